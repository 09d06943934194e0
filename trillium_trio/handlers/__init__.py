"""Ready-made handlers: one file or folder each; none imports another, but Channels WebSocket.

.. code-block:: text

    Channels        topics over WebSocket, with the protocol of Phoenix's clients
    Cookies         what the client sent, and what the response sets
    EventStream     server-sent events from a generator, which may send a last one at the stop
    Health          liveness and readiness, which differ while the server drains
    Router          the handler of the most specific route; Params has its parameters
    Sessions        what a server remembers of a browser, in a sealed cookie or a store
    WebSocket       a WebSocket for each request, closed with a goodbye at the stop
    sync_handler    a plain function, in a worker thread
"""

from __future__ import annotations

from ._cookies import CookieJar, Cookies
from ._event_stream import Event, EventStream
from ._health import Health
from ._sync import sync_handler
from .channels import Broker, Channel, ChannelError, Channels, RedisBroker
from .router import Converter, Params, Router
from .sessions import MemoryStore, Session, Sessions, SessionStore
from .websocket import (
    Accepted,
    MessageCodec,
    Refused,
    WebSocket,
    WebSocketConn,
    accept_key,
    code_of,
)

__all__ = [
    "Accepted",
    "Broker",
    "Channel",
    "ChannelError",
    "Channels",
    "Converter",
    "CookieJar",
    "Cookies",
    "Event",
    "EventStream",
    "Health",
    "MemoryStore",
    "MessageCodec",
    "Params",
    "RedisBroker",
    "Refused",
    "Router",
    "Session",
    "SessionStore",
    "Sessions",
    "WebSocket",
    "WebSocketConn",
    "accept_key",
    "code_of",
    "sync_handler",
]
