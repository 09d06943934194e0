"""The ASGI application of all servers. `Service` copies this file, once for each version."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any

import sniffio

Message = MutableMapping[str, Any]  # Any: ASGI leaves the values to the type of the message
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

VERSION = "@VERSION@"
FOLDER = Path(__file__).parent

_HANDLER_SECONDS = 0.005

# About 250 bytes each: what an application may keep at hand.
CATALOGUE = [
    {"id": number, "name": f"item {number}"} for number in range(int(os.environ.get("DICTS", "0")))
]
LOOPS = int(os.environ.get("LOOPS", "0"))


@cache
def begun() -> int:
    """Open the file in which this worker notes each request that it has begun."""
    path = FOLDER / f"begun-{os.getpid()}"
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


async def sleep(seconds: float) -> None:
    """Sleep with the event loop that the server has, and import no other: memory is measured."""
    await sys.modules[sniffio.current_async_library()].sleep(seconds)


def burn(loops: int) -> None:
    """Use the CPU for a time that does not depend on who else uses it."""
    total = 0
    for number in range(loops):
        total += number


async def answer(send: Send, body: str) -> None:
    data = body.encode()
    length = (b"content-length", str(len(data)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": data})


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            (FOLDER / f"started-{os.getpid()}").touch()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    name = ""
    if scope["path"] == "/post":
        more = True
        while more:
            message = await receive()
            name += message.get("body", b"").decode()
            more = message.get("more_body", False)
        os.write(begun(), f"{name}\n".encode())
        await sleep(_HANDLER_SECONDS)
    elif scope["path"] == "/burn":
        burn(LOOPS)
    await answer(send, f"{name or '-'} {os.getpid()} {VERSION}")
