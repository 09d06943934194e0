"""Starlette."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 (Starlette reads annotations)
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket  # noqa: TC002

from tests.interop.apps import lines, lines_until_stop, wait_for_stop


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def sync(request: Request) -> PlainTextResponse:
    return PlainTextResponse("sync")


async def stream(request: Request) -> StreamingResponse:
    return StreamingResponse(lines())


async def upload(request: Request) -> PlainTextResponse:
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return PlainTextResponse(str(size))


async def slow(request: Request) -> PlainTextResponse:
    await wait_for_stop(request.scope)
    return PlainTextResponse("finished")


async def endless(request: Request) -> StreamingResponse:
    return StreamingResponse(lines_until_stop(request.scope))


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(text)


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/sync", sync),
        Route("/stream", stream),
        Route("/upload", upload, methods=["POST"]),
        Route("/slow", slow),
        Route("/endless", endless),
        WebSocketRoute("/echo", echo),
    ]
)
