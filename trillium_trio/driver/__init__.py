"""Runs a protocol over one transport, in one task.

.. code-block:: text

    Service              what all connections of a server share: handler, limits, swansong
      Watchdog           one task: every timeout of every connection
      Poller             one task: receives for all while many are ready at once (`transport`)
      Outbox             answers of one turn of the poller, sent in a row
      Connection         one transport from accept to close: the boundary, the notice, the cut
        ConnectionLink   the part of it that its conns know: facts, disconnects, sending at once
        Wire             its timed reads and writes, its read-ahead
        Exchange         one request -> one response: handler, error table, hooks, guard

Each file imports only files below it: ``_service``, ``_errors``, ``_wire`` and ``_outbound`` are
the lowest, then ``_exchange``, then ``_connection``.

A protocol implements two classes. HTTP/1's are `Http1Connection`, the keep-alive loop, and
`Http1Exchange`, which frames the response. Only these and ``_http1_inbound``, the body of the
request, know HTTP/1. ``tests/scenarios/test_another_protocol.py`` has a second protocol, in fewer
than a hundred lines.

What an exception means, for the peer and for the log, is one table in ``_errors.py``.

Four things reach a connection from outside. The *stop* is looked up on the swansong whenever a
response head is written. A *notice* wakes an idle connection once; others check when they become
idle. An *eviction* closes an idle connection, because a new one needs its place.
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
