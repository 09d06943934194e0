"""Raw peers: what a client sends, byte by byte, and what it gets, parsed by h11."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import h11
import trio
from trio.testing import memory_stream_pair

import trillium_trio as tt
from trillium_trio.http import Networks
from trillium_trio.listeners import PreboundBind, ProxyBind, TlsBind

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from trillium_trio.conn import HandlerLike

Pair = tuple[trio.abc.Stream, trio.abc.Stream]

# The fields of a request that may be upgraded (RFC 9110, 7.8).
UPGRADE = ("Connection: upgrade", "Upgrade: x")


def request(
    target: str = "/", *fields: str, method: str = "GET", body: bytes = b"", version: str = "1.1"
) -> bytes:
    """Write a request; a body gets its Content-Length unless a field says how it is framed."""
    lines = [f"{method} {target} HTTP/{version}", "Host: x", *fields]
    if body and not any(each.lower().startswith("transfer-encoding") for each in fields):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@dataclass
class Response:
    """One response, as far as it came.

    Attributes:
      informational: The statuses of the interim responses before it.
      is_whole: Its end came as its framing says.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    informational: list[int] = field(default_factory=list)
    is_whole: bool = False

    @property
    def closes(self) -> bool:
        return "close" in self.headers.get("connection", "")


class Peer:
    """A client's end of a connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.leftover = b""

    async def send(self, *messages: bytes) -> None:
        await self.stream.send_all(b"".join(messages))

    async def get(self, *args: str, **kwargs: str) -> Response:
        await self.send(request(*args, **kwargs))  # type: ignore[arg-type]  # str is what tests give
        return await self.response(kwargs.get("method", "GET"))

    async def receive(self) -> bytes:
        """Return what comes next; nothing at the end, or if the connection is reset."""
        if self.leftover:
            data, self.leftover = self.leftover, b""
            return data
        try:
            return bytes(await self.stream.receive_some())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def response(self, method: str = "GET") -> Response:
        """Read one response, or what came of it."""
        parser = h11.Connection(h11.CLIENT)
        # Whatever was sent, it may have asked for an upgrade.
        fields = [("host", "x"), ("connection", "upgrade"), ("upgrade", "x")]
        parser.send(h11.Request(method=method, target="/", headers=fields))
        parser.send(h11.EndOfMessage())
        response = Response()
        try:
            while True:
                match event := parser.next_event():
                    case h11.NEED_DATA:
                        parser.receive_data(await self.receive())
                    case h11.InformationalResponse(status_code=status) if status != 101:
                        response.informational.append(status)
                    case h11.InformationalResponse() | h11.Response():
                        response.status = event.status_code
                        response.headers = {
                            name.decode(): value.decode() for name, value in event.headers
                        }
                        if event.status_code == 101:
                            break
                    case h11.Data(data=data):
                        response.body += data
                    case h11.EndOfMessage():
                        response.is_whole = True
                        break
                    case _:
                        break  # switched protocols, or closed before a byte
        except h11.RemoteProtocolError:
            pass  # it broke off
        self.leftover = parser.trailing_data[0]
        return response

    async def rest(self) -> bytes:
        """Read to the end of the connection."""
        data = b""
        while piece := await self.receive():
            data += piece
        return data

    async def ends(self) -> bool:
        """Whether the connection ends without another byte."""
        return await self.rest() == b""


class Listener(trio.abc.Listener[trio.abc.Stream]):
    """Accepts streams of any kind in memory.

    Args:
      pair: Makes a client's and a server's end.
    """

    def __init__(self, pair: Callable[[], Pair] = memory_stream_pair) -> None:
        self._pair = pair
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](100)

    def connect(self) -> Peer:
        client, server = self._pair()
        self._send.send_nowait(server)
        return Peer(client)

    async def accept(self) -> trio.abc.Stream:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self._receive.close()
        self._send.close()
        await trio.lowlevel.checkpoint()


class App:
    """A server in memory."""

    def __init__(self, listener: Listener, handle: tt.ServerHandle) -> None:
        self.connect = listener.connect
        self.handle = handle

    @property
    def guards(self) -> int:
        return self.handle.swansong.guard_count


@asynccontextmanager
async def serving(
    handler: HandlerLike,
    config: tt.Config | None = None,
    *,
    pair: Callable[[], Pair] = memory_stream_pair,
    tls: ssl.SSLContext | None = None,
    proxies: str = "",
    **http: float,
) -> AsyncIterator[App]:
    """Serve in memory, with TLS or for proxies if so asked; other settings are those of HTTP."""
    listener = Listener(pair)
    plain = PreboundBind(listener, "test")
    inner = ProxyBind(plain, Networks(proxies, setting="proxies")) if proxies else plain
    bind = inner if tls is None else TlsBind(inner, tls)
    config = config or tt.config().with_drain_timeout(30)
    config = config.with_listeners((*config.listeners, bind)).without_signals()
    config = config.with_http(tt.HttpConfig(**http))  # type: ignore[arg-type]  # also counts
    async with config.serving(handler) as handle:
        yield App(listener, handle)


async def settled() -> None:
    """Let everything run until it waits."""
    await trio.testing.wait_all_tasks_blocked()
