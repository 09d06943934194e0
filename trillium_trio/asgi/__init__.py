"""ASGI 3: an application of another framework as a handler, and our handlers as an application.

.. code-block:: text

    _handler     Asgi             an application as a handler
      _http        HttpCycle        one request: receive and send
        _sending     Sending          a body that is pushed, on a driver that pulls
      _websocket   WebSocketCycle   one WebSocket, on a `trillium_trio.handlers.WebSocketConn`
      _lifespan    Lifespan         start and end, in one call
    _scope                        what a request or a WebSocket is about
    _errors                       what goes wrong between the two, and asyncio
    _detect      is_asgi          an application, or a handler?
    _to_asgi     to_asgi          our handlers as an application

The application runs in the connection's task. Where it sends, the driver's own code sends, so
framing, limits, guards, the stop and the error table are those of all handlers.
"""

from __future__ import annotations

from ._detect import is_asgi
from ._errors import LifespanFailed, SendError
from ._handler import Asgi
from ._to_asgi import to_asgi
from ._types import AsgiApp, Message, Receive, Scope, Send

__all__ = [
    "Asgi",
    "AsgiApp",
    "LifespanFailed",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "SendError",
    "is_asgi",
    "to_asgi",
]
