"""A `Proxy` and its upstreams, all in memory: by name, ours or played byte by byte."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from trillium_trio.handlers import Proxy
from trillium_trio.testing import MemoryListener, TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import trillium_trio as tt
    from trillium_trio.conn import HandlerLike
    from trillium_trio.testing import MemoryStream


class Visit:
    """An upstream's end of one connection, for an upstream that is played by a test."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def until(self, end: bytes) -> bytes:
        """Read up to some bytes, and return what came with them."""
        while end not in self._buffer:
            data = await self.stream.receive_some()
            assert data, self._buffer
            self._buffer += data
        found, _, self._buffer = self._buffer.partition(end)
        return found + end

    async def head(self) -> list[str]:
        """Read a request's head, as its lines."""
        return (await self.until(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def ends(self) -> bool:
        """Wait for the end of the connection; return whether nothing came before it."""
        rest = self._buffer
        try:
            while data := await self.stream.receive_some():
                rest += data
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        return rest == b""

    def close(self) -> None:
        self.stream.close()  # type: ignore[attr-defined]  # a MemoryStream has it

    def reset(self) -> None:
        self.stream.abort()  # type: ignore[attr-defined]  # the same


class Played:
    """An upstream that is played by a test."""

    def __init__(self) -> None:
        self._listener = MemoryListener()

    def open(self) -> MemoryStream:
        return self._listener.connect()

    async def accept(self) -> Visit:
        return Visit(await self._listener.accept())

    async def answer(self, *answers: bytes) -> list[list[str]]:
        """Answer requests without a body, each on a new connection that stays open."""
        heads = []
        for each in answers:
            visit = await self.accept()
            heads.append(await visit.head())
            await visit.send(each)
        return heads


class Hosts:
    """Where the proxy of a test connects to, by name; all others refuse.

    Attributes:
      dialled: The names that connections were opened to, in order.
    """

    def __init__(self, **open_: Callable[[], trio.abc.Stream]) -> None:
        self.open = open_
        self.dialled: list[str] = []

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dialled.append(host)
        if host not in self.open:
            raise ConnectionRefusedError("connection refused")
        return self.open[host]()


@asynccontextmanager
async def behind(
    upstream: HandlerLike,
    *,
    url: str = "http://up",
    config: tt.Config | None = None,
    **settings: Any,
) -> AsyncIterator[TestServer]:
    """Serve a handler behind a proxy; yields the proxy's server."""
    async with TestServer(upstream, config) as back:
        hosts = Hosts(up=lambda: back.connect().stream)
        async with TestServer(Proxy(url, connect=hosts.connect, **settings), config) as app:
            yield app


@asynccontextmanager
async def played(
    *, front: tuple[HandlerLike, ...] = (), config: tt.Config | None = None, **settings: Any
) -> AsyncIterator[tuple[TestServer, Played]]:
    """Serve a proxy whose upstream is played; yields the proxy's server and the upstream."""
    upstream = Played()
    hosts = Hosts(up=upstream.open)
    proxy = Proxy("http://up", connect=hosts.connect, **settings)
    async with TestServer((*front, proxy), config) as app:
        yield app, upstream


async def show(conn: tt.Conn) -> tt.Conn:
    """Answer with what has arrived."""
    body = await conn.request_body.read()
    fields = [[name.lower(), value] for name, value in conn.request_headers.items()]
    value = {"method": conn.method, "target": conn.head.target, "fields": fields}
    return conn.ok(json.dumps({**value, "body": body.decode("latin-1")}))
