"""What the tests of WebSockets share: frames by hand, and a server for a function."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from trillium_trio.handlers import WebSocket
from trillium_trio.testing import RawPeer, TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import trillium_trio as tt
    from trillium_trio.handlers import WebSocketConn
    from trillium_trio.testing import WrapServer

    Function = Callable[[WebSocketConn], Awaitable[object]]

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
# Any will do; the same each time, for the names of tests.
MASK = b"\x12\x34\xab\xcd"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    "GET /chat HTTP/1.1\r\nHost: testserver\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
).encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Return a frame as a client sends it: masked."""
    masked = bytes(each ^ MASK[at % 4] for at, each in enumerate(payload))
    return head(opcode, len(payload), fin=fin, rsv1=rsv1) + MASK + masked


def head(opcode: int, size: int, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Return the head of a client's frame, up to its mask."""
    first = bytes([opcode | 0x80 * fin | 0x40 * rsv1])
    if size < 126:
        return first + bytes([0x80 | size])
    if size < 65_536:
        return first + b"\xfe" + size.to_bytes(2, "big")
    return first + b"\xff" + size.to_bytes(8, "big")


def close(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


class RawSocket:
    """A client that sends frames made by hand, and reads those of the server."""

    def __init__(self, peer: RawPeer) -> None:
        self.peer = peer
        self._buffer = bytearray()

    async def send(self, *frames: bytes) -> None:
        await self.peer.send(b"".join(frames))

    async def receive(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame."""
        first, second = await self._take(2)
        size = second & 127
        if size == 126:
            size = int.from_bytes(await self._take(2), "big")
        elif size == 127:
            size = int.from_bytes(await self._take(8), "big")
        assert first & 0x80, "the server sends no fragments"
        assert not second & 0x80, "the server sends no masks"
        return first & 15, bytes(await self._take(size))

    async def receive_close(self) -> tuple[int, str]:
        """Return code and reason of the Close that comes next."""
        opcode, payload = await self.receive()
        assert opcode == CLOSE, (opcode, payload)
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def _take(self, size: int) -> bytearray:
        while len(self._buffer) < size:
            data = await self.peer.receive_some()
            assert data, "the server has closed"
            self._buffer += data
        taken = self._buffer[:size]
        del self._buffer[:size]
        return taken


@asynccontextmanager
async def serving(
    fn: Function, config: tt.Config | None = None, **settings: Any
) -> AsyncIterator[TestServer]:
    async with TestServer(WebSocket(fn, **settings), config) as app:
        yield app


async def open_raw(
    app: TestServer, *early: bytes, wrap_server: WrapServer | None = None
) -> RawSocket:
    """Open a WebSocket by hand; what is given is sent in one piece with the handshake."""
    peer = app.connect(wrap_server=wrap_server)
    await peer.send(HANDSHAKE + b"".join(early))
    response = await peer.receive_response()
    response.assert_status(101)
    return RawSocket(peer)


async def echo(ws: WebSocketConn) -> None:
    async for message in ws:
        await ws.send(message)
