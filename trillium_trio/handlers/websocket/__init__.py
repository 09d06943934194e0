"""WebSockets, whose goodbye gets through.

.. code-block:: text

    _handler    WebSocket      a request becomes a WebSocket: handshake, function, goodbye
    _watch                     the tasks beside the function: the stop, keepalive
    _conn       WebSocketConn  one open WebSocket, as the function sees it: messages, close
    _ahead      ReadAhead      a task that reads while the function only sends
    _wire       Wire           bytes in and out, a task that sends to a slow peer, the loss
    _handshake                 decides from the request whether there is one; no I/O
    _codec      MessageCodec   messages from bytes and back; no I/O; stands on ``websockets``

A file imports only from files below it.
"""

from __future__ import annotations

from ._codec import MessageCodec
from ._conn import WebSocketConn
from ._handler import WebSocket, code_of
from ._handshake import Accepted, Refused, accept_key

__all__ = [
    "Accepted",
    "MessageCodec",
    "Refused",
    "WebSocket",
    "WebSocketConn",
    "accept_key",
    "code_of",
]
