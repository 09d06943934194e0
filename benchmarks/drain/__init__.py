"""What a stop costs the clients: real processes, real SIGTERM, a client that counts.

.. code-block:: text

    busy       64 keep-alive connections in use, and some new ones, at SIGTERM         (P8)
    handover   the same, while a successor accepts from the same listening socket
    idle       1,000 connections that have been idle for a second: SIGTERM to exit     (P9)
    backlog    20 connections queued behind a blocked event loop at SIGTERM            (P11)

A request counts as lost if it was sent whole and no whole response came.
"""
