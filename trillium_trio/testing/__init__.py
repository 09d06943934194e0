"""Tools for applications to test their handlers: no mocks, no sockets, no waiting.

.. code-block:: text

    TestServer(handler)          serves in memory; every request a connection of its own
    |- get, post, ...   ------>  TestResponse, with assertions
    |- session()        ------>  Session: several requests on one connection
    |- events()         ------>  EventReader: server-sent events as a browser gets them
    |- websocket()      ------>  TestWebSocket: messages, and the code of the goodbye
    `- connect()        ------>  RawPeer: raw bytes
                 |
                 |  client's end       wrap_server     server's end
                 `- MemoryStream ===== MemoryStream <- StallingStream, DribblingStream, ...
                                            |
                    MemoryListener ---------'--->  the server's real connections

    assert_ends_after_stop       a handler ends soon after the stop
    assert_restart_loses_nothing no request is lost while servers replace each other

Everything but the sockets is real. Work in memory takes no time, so with trio's ``MockClock`` a
test of a minute's timeout is over at once, and is deterministic.
"""

from __future__ import annotations

from ._client import Client, Session
from ._events import EventParser, EventReader
from ._faults import BreakingStream, DribblingStream, Operation, StallingStream
from ._listener import MemoryListener, WrapServer
from ._memory import MemoryStream
from ._peer import RawPeer
from ._request import Options
from ._response import TestResponse
from ._restart import RestartReport, assert_restart_loses_nothing
from ._server import TestServer
from ._stop import assert_ends_after_stop
from ._websocket import TestWebSocket

__all__ = [
    "BreakingStream",
    "Client",
    "DribblingStream",
    "EventParser",
    "EventReader",
    "MemoryListener",
    "MemoryStream",
    "Operation",
    "Options",
    "RawPeer",
    "RestartReport",
    "Session",
    "StallingStream",
    "TestResponse",
    "TestServer",
    "TestWebSocket",
    "WrapServer",
    "assert_ends_after_stop",
    "assert_restart_loses_nothing",
]
