"""Litestar."""

from typing import Any, TypeAlias

from litestar import Litestar, Request, WebSocket, get, post, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.response import Stream

from tests.interop.apps import lines, lines_until_stop, wait_for_stop

# Any: of the user, the credentials and the state, which there are none of.
AnyRequest: TypeAlias = Request[Any, Any, Any]
AnyWebSocket: TypeAlias = WebSocket[Any, Any, Any]


@get("/")
async def hello() -> str:
    return "hello"


@get("/sync", sync_to_thread=True)
def sync() -> str:
    return "sync"


@get("/stream")
async def stream() -> Stream:
    return Stream(lines())


@post("/upload")
async def upload(request: AnyRequest) -> str:
    return str(len(await request.body()))


@get("/slow")
async def slow(request: AnyRequest) -> str:
    await wait_for_stop(request.scope)
    return "finished"


@get("/endless")
async def endless(request: AnyRequest) -> Stream:
    return Stream(lines_until_stop(request.scope))


@websocket("/echo")
async def echo(socket: AnyWebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass


app = Litestar([hello, sync, stream, upload, slow, endless, echo])
