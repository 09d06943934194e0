"""Quart-Trio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import request, websocket
from quart_trio import QuartTrio

from tests.interop.apps import lines, lines_until_stop, wait_for_stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = QuartTrio(__name__)


@app.get("/")
async def hello() -> str:
    return "hello"


@app.get("/sync")
def sync() -> str:
    return "sync"


@app.get("/stream")
async def stream() -> AsyncIterator[str]:
    return lines()


@app.post("/upload")
async def upload() -> str:
    return str(len(await request.get_data()))


@app.get("/slow")
async def slow() -> str:
    await wait_for_stop(request.scope)
    return "finished"


@app.get("/endless")
async def endless() -> AsyncIterator[str]:
    return lines_until_stop(request.scope)


@app.websocket("/echo")
async def echo() -> None:
    while True:
        await websocket.send(await websocket.receive())
