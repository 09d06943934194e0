"""Runs a protocol over one transport, in one task.

.. code-block:: text

    Service            what all connections of a server share: handler, limits, swansong, watchdog
      Watchdog         one task: every timeout of every connection
      Http1Connection  one transport: the keep-alive loop, the boundary around whatever happens
        Wire           its timed reads and writes, its read-ahead
        link           what a conn may ask of it: facts and disconnects
        Cycle          one request -> one response
          inbound      the request body, pulled off the wire through the codec
          outbound     where the response body comes from

What an exception means, for the peer and for the log, is one table in ``_errors.py``.

Three things reach a connection from outside. The *stop* is looked up on the swansong, by whoever
writes a head. A *notice*, once, wakes a connection that is idle; others see it when they get there.
A *cut* is the only thing that cancels: at the deadline of a drain, one connection at a time.
"""

from __future__ import annotations

from ._errors import find_exit, split_cancelled
from ._http1 import Http1Connection
from ._outbound import as_piece, open_body
from ._service import Service
from ._watchdog import Timed, Watchdog

__all__ = [
    "Http1Connection",
    "Service",
    "Timed",
    "Watchdog",
    "as_piece",
    "find_exit",
    "open_body",
    "split_cancelled",
]
