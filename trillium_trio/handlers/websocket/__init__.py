"""WebSockets, whose goodbye gets through.

.. code-block:: text

    _handler    WebSocket      a request becomes a WebSocket: handshake, function, goodbye
    _conn       WebSocketConn  one open WebSocket: reading, sending, the stop, keepalive
    _handshake                 decides from the request whether there is one; no I/O
    _codec      MessageCodec   messages from bytes and back; no I/O; stands on ``websockets``
"""

from __future__ import annotations

from ._codec import MessageCodec
from ._conn import WebSocketConn
from ._handler import WebSocket
from ._handshake import accept_key

__all__ = [
    "MessageCodec",
    "WebSocket",
    "WebSocketConn",
    "accept_key",
]
