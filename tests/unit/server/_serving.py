"""A server in memory and its clients, as the tests of servers use them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
import trio.testing

import trillium_trio as tt
from trillium_trio.testing import MemoryListener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trillium_trio.conn import HandlerLike
    from trillium_trio.testing import MemoryStream

    Hook = Callable[[tt.Info], Awaitable[None]]


def request(target: str = "/") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello")


async def receive_all(client: MemoryStream) -> bytes:
    """Read until the server closes its half, or breaks off."""
    received = b""
    try:
        while data := await client.receive_some():
            received += data
    except trio.BrokenResourceError:
        pass
    return received


async def receive_response(client: MemoryStream) -> bytes:
    """Read one response with a Content-Length; the connection may stay open."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += await more(client)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += await more(client)
    return head + b"\r\n\r\n" + body


async def more(client: MemoryStream) -> bytes:
    data = await client.receive_some()
    assert data, "closed before the response was whole"
    return bytes(data)


async def get(client: MemoryStream, target: str = "/") -> bytes:
    """Send one request and read its response."""
    await client.send_all(request(target))
    return await receive_response(client)


def is_closing(response: bytes) -> bool:
    return b"\r\nconnection: close\r\n" in response.lower()


class Running:
    """A server in memory that is ready, in a task of its own."""

    def __init__(self, handle: tt.ServerHandle, listener: MemoryListener, server: tt.Server):
        self.handle = handle
        self.listener = listener
        self.server = server

    async def started(self, target: str = "/") -> MemoryStream:
        """Return a client whose request was sent, and is as far as it can get."""
        client = self.listener.connect()
        await client.send_all(request(target))
        await trio.testing.wait_all_tasks_blocked()
        return client

    async def idle(self) -> MemoryStream:
        """Return a client that has had one response and may send more."""
        client = self.listener.connect()
        response = await get(client)
        assert not is_closing(response)
        return client

    async def begun(self) -> MemoryStream:
        """Return a client that has sent a request but for its empty line."""
        client = self.listener.connect()
        await client.send_all(request()[:-2])
        await trio.testing.wait_all_tasks_blocked()
        return client


@asynccontextmanager
async def running(
    handler: HandlerLike = hello, config: tt.Config | None = None
) -> AsyncIterator[Running]:
    """Serve in memory. The block drains the server, or the end of the block cancels it."""
    listener = MemoryListener()
    server = (config or tt.config()).bind_listener(listener, name="memory").server(handler)
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(server.serve)
        yield Running(handle, listener, server)
        nursery.cancel_scope.cancel()


async def nothing(info: tt.Info) -> None:
    pass


class Recorder(tt.Handler):
    """A handler that notes what is called, and does in each hook what it is told to."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.title = name
        self.events = events
        self.on_init: Hook = nothing
        self.on_enter: Hook = nothing
        self.on_exit: Hook = nothing

    async def init(self, info: tt.Info) -> None:
        self.events.append(f"init {self.title}")
        await self.on_init(info)

    @asynccontextmanager
    async def lifespan(self, info: tt.Info) -> AsyncIterator[None]:
        self.events.append(f"enter {self.title}")
        await self.on_enter(info)
        try:
            yield
        except BaseException as error:
            self.events.append(f"{type(error).__name__} in {self.title}")
            raise
        self.events.append(f"leave {self.title}")
        await self.on_exit(info)
        self.events.append(f"left {self.title}")

    @property
    def name(self) -> str:
        return self.title
