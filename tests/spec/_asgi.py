"""What the tests of ASGI applications share: small applications, and short names for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from trillium_trio.asgi import Message, Receive, Scope, Send

    Call = Callable[[Scope, Receive, Send], Awaitable[None]]


def start(status: int = 200, headers: Iterable[tuple[Any, Any]] = (), **more: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers, **more}


def body(data: Any = b"", **more: Any) -> Message:
    return {"type": "http.response.body", "body": data, **more}


class Noting:
    """An application that notes the scope of its last call, and answers with ``ok``."""

    def __init__(self) -> None:
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] != "lifespan", "none here"
        self.scope = scope
        await send(start())
        await send(body(b"ok"))


def answering(call: Call) -> Call:
    """Return an application without a lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] != "lifespan", "none here"
        await call(scope, receive, send)

    return app


async def drain(receive: Receive) -> bytes:
    """Receive the whole body of a request."""
    data = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        piece: bytes = message["body"]
        data += piece
        if not message["more_body"]:
            return data
