"""The types of ASGI: three callables and their dictionaries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

__all__ = ["AsgiApp", "Message", "Receive", "Scope", "Send"]

# Any: what a value is depends on the type of the message, which ASGI leaves to its text.
Message: TypeAlias = MutableMapping[str, Any]
"""One event: its ``type``, and what that type has."""

Scope: TypeAlias = MutableMapping[str, Any]
"""What a call of the application is about: a request, a WebSocket, or the lifespan."""

Receive: TypeAlias = Callable[[], Awaitable[Message]]
"""What an application calls to get the next event."""

Send: TypeAlias = Callable[[Message], Awaitable[None]]
"""What an application calls with each event of its own."""

AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""
