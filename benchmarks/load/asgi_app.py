"""The raw ASGI application that uvicorn, hypercorn and granian serve: no framework between."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio

from benchmarks.load.payload import (
    BLOCK_SECONDS,
    DOWNLOAD_BYTES,
    HELLO,
    MEBIBYTE,
    PIECE,
    SLOW_SECONDS,
)

Message = MutableMapping[str, Any]  # Any: ASGI leaves the values to the type of the message
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PLAIN = (b"content-type", b"text/plain")


async def answer(send: Send, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def hello(receive: Receive, send: Send) -> None:
    await answer(send, HELLO, PLAIN)


async def echo(receive: Receive, send: Send) -> None:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await answer(send, body)


async def upload(receive: Receive, send: Send) -> None:
    size = 0
    more = True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await answer(send, str(size).encode())


async def download(receive: Receive, send: Send) -> None:
    length = (b"content-length", str(DOWNLOAD_BYTES).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    for _ in range(DOWNLOAD_BYTES // len(PIECE)):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def mebibyte(receive: Receive, send: Send) -> None:
    await answer(send, MEBIBYTE)


async def slow(receive: Receive, send: Send) -> None:
    await anyio.sleep(SLOW_SECONDS)
    await answer(send, HELLO, PLAIN)


async def block(receive: Receive, send: Send) -> None:
    time.sleep(BLOCK_SECONDS)
    await answer(send, HELLO, PLAIN)


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


ROUTES = {
    "/": hello,
    "/echo": echo,
    "/upload": upload,
    "/download": download,
    "/mebibyte": mebibyte,
    "/slow": slow,
    "/block": block,
}


async def app(scope: Message, receive: Receive, send: Send) -> None:
    handler = lifespan if scope["type"] == "lifespan" else ROUTES[scope["path"]]
    await handler(receive, send)
