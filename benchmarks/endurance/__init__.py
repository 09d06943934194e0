"""Endurance: what a server keeps of what it has served, and what slow peers cost it.

.. code-block:: text

    soak.py                                        slow_peers.py
    |  clients, tallies              one process   |  100 honest clients, latencies
    |- traffic     kinds of clients                |- honest
    |- trend       the fit, the verdict            |
    |- chart       an SVG                          |
    |                                              |- swarm    10,000 slow peers, a process of
    `- cycles      the measured process: servers   |           their own
       `- app      come and go in it; it alone     `- the command line's server, a process of
                   is counted                                  its own

The clients of the soak are those of the tests (`tests.wire`): raw peers that send whatever they
are told to, and parse what they get with h11.
"""
