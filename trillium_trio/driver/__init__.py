"""Runs a protocol over one transport, in one task.

.. code-block:: text

    Service              what all connections of a server share: handler, limits, swansong
      Watchdog           one task: every timeout of every connection
      Poller             one task: receives for all while many are ready at once (`transport`)
      Outbox             answers of one turn of the poller, sent in a row
      Connection         one transport from accept to close: the boundary, the notice, the cut
        Wire             its timed reads and writes, its read-ahead
        ConnectionLink   what a conn may ask of it: facts and disconnects
        Exchange         one request -> one response: handler, error table, hooks, guard

Each file knows those that it stands on, and none that stands on it: ``_service``, ``_errors``,
``_wire`` and ``_outbound`` below, then ``_exchange``, then ``_connection``.

A protocol implements two classes. HTTP/1's are `Http1Connection`, the keep-alive loop, and
`Http1Exchange`, which frames the response; with ``_http1_inbound``, the body of the request, they
are all that knows HTTP/1. ``tests/scenarios/test_another_protocol.py`` has a second protocol, in
fewer than a hundred lines.

What an exception means, for the peer and for the log, is one table in ``_errors.py``.

Four things reach a connection from outside. The *stop* is looked up on the swansong, by whoever
writes a head. A *notice*, once, wakes a connection that is idle; others see it when they get there.
An *eviction* ends one that is idle, because a new connection needs its place.
A *cut* is the only thing that cancels: at the deadline of a drain, one connection at a time.
"""

from __future__ import annotations

from ._connection import Connection, State
from ._errors import find_exit, split_cancelled
from ._exchange import Exchange, Phase
from ._http1 import Http1Connection
from ._outbound import as_piece, open_body
from ._service import Served, Service
from ._watchdog import Timed, Watchdog

__all__ = [
    "Connection",
    "Exchange",
    "Http1Connection",
    "Phase",
    "Served",
    "Service",
    "State",
    "Timed",
    "Watchdog",
    "as_piece",
    "find_exit",
    "open_body",
    "split_cancelled",
]
