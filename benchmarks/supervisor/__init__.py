"""Several workers under a supervisor: what replacing them costs the clients, and what they cost.

.. code-block:: text

    losses      rolls, upgrades, versions that cannot start, and kill -9, under load;
                directly and behind HAProxy, which makes no retries
    throughput  one worker and two: requests per second, CPU time per request
    balance     64 kept connections that are opened at once: how many each worker gets
    memory      PSS of each worker, and of their parent
    start       from exec to ready; a roll
    idle        CPU time while nobody asks

All servers serve one ASGI application, from a folder in which new versions of it are saved.
"""
