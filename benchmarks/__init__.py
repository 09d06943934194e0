"""Benchmarks, beside the peers that are installed; those that are missing are left out, by name.

.. code-block:: text

    compare.py         load: requests/s, CPU per request, memory, start    -> results/load.*
    drain/compare.py   requests lost at SIGTERM, time to exit              -> results/drain.*
    micro/             single building blocks, in one process

    servers.py         every server program and how it is started
    process.py         one server process: its core, its CPU time, its memory, its end
    environment.py     what the figures were measured on
    load/, drain/      the cases

Linux only: they read ``/proc``. Traffic stays on the loopback interface.
"""
