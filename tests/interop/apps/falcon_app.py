"""Falcon, whose responders run on trio, and whose WebSockets and event streams do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import falcon
import falcon.asgi
from falcon.asgi import SSEvent

from tests.interop.apps import LINES, lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from falcon.asgi import Request, Response, WebSocket


async def encoded() -> AsyncIterator[bytes]:
    async for line in lines():
        yield line.encode()


class Hello:
    async def on_get(self, request: Request, response: Response) -> None:
        response.text = "hello"


class Stream:
    async def on_get(self, request: Request, response: Response) -> None:
        response.stream = encoded()


class Upload:
    async def on_post(self, request: Request, response: Response) -> None:
        response.text = str(len(await request.stream.read()))


class Events:
    async def on_get(self, request: Request, response: Response) -> None:
        response.sse = self.events()

    async def events(self) -> AsyncIterator[SSEvent]:
        for line in LINES:
            yield SSEvent(text=line)


class Echo:
    async def on_websocket(self, request: Request, ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send_text(await ws.receive_text())


app = falcon.asgi.App()
app.add_route("/", Hello())
app.add_route("/stream", Stream())
app.add_route("/upload", Upload())
app.add_route("/events", Events())
app.add_route("/echo", Echo())
