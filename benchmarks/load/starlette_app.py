"""The application of `trillium_app` for Starlette, its middleware written the fast way: plain ASGI.

Run under uvicorn as ``benchmarks.load.starlette_app:app``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import (
    Headers,
    MutableHeaders,
)
from starlette.middleware import Middleware
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
)
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import (
        ASGIApp,
        Message,
        Receive,
        Scope,
        Send,
    )


class ServedBy:
    """Adds a response header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["served-by"] = "benchmark"
            await send(message)

        await self.app(scope, receive, send_with_header)


class Authenticate:
    """Notes who asks."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["caller"] = Headers(scope=scope).get("user-agent", "nobody")
        await self.app(scope, receive, send)


async def front_page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("the front page")


async def article(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"article {request.path_params['ident']}")


async def user(request: Request) -> JSONResponse:
    ident = int(request.path_params["ident"])
    return JSONResponse({"id": ident, "by": request.scope["caller"]})


app = Starlette(
    routes=[
        Route("/articles/{ident}", article),
        Route("/users/{ident}", user),
        Route("/", front_page),
    ],
    middleware=[Middleware(ServedBy), Middleware(Authenticate)],
)
