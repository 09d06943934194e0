"""Benchmarks, beside the peers that are installed; those that are missing are left out, by name.

.. code-block:: text

    compare.py         load: requests/s, CPU per request, memory, start    -> results/load.*
    drain/compare.py   requests lost at SIGTERM, time to exit              -> results/drain.*
    soak.py            what a process keeps of servers that came and went -> results/soak.*
    slow_peers.py      honest clients beside 10,000 slow ones             -> results/slow_peers.*
    micro/             single building blocks, in one process

    servers.py         every server program and how it is started
    process.py         one server process: its core, its CPU time, its memory, its end
    environment.py     what the figures were measured on
    load/, drain/      the cases
    endurance/         what soak.py and slow_peers.py are made of

Linux only: they read ``/proc``. Traffic stays on the loopback interface.
"""
