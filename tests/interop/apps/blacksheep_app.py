"""BlackSheep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blacksheep import Application, Request, Response, StreamedContent, WebSocket, text
from blacksheep.server.websocket import WebSocketDisconnectError

from tests.interop.apps import lines, lines_until_stop, wait_for_stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = Application()


async def encoded_lines() -> AsyncIterator[bytes]:
    async for line in lines():
        yield line.encode()


@app.router.get("/")
async def hello() -> Response:
    return text("hello")


@app.router.get("/sync")
def sync() -> Response:
    return text("sync")


@app.router.get("/stream")
async def stream() -> Response:
    return Response(200, content=StreamedContent(b"text/plain", encoded_lines))


@app.router.post("/upload")
async def upload(request: Request) -> Response:
    return text(str(len(await request.read() or b"")))


@app.router.get("/slow")
async def slow(request: Request) -> Response:
    await wait_for_stop(request.scope)
    return text("finished")


@app.router.get("/endless")
async def endless(request: Request) -> Response:
    async def encoded() -> AsyncIterator[bytes]:
        async for line in lines_until_stop(request.scope):
            yield line.encode()

    return Response(200, content=StreamedContent(b"text/plain", encoded))


@app.router.ws("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            await ws.send_text(await ws.receive_text())
    except WebSocketDisconnectError:
        pass
