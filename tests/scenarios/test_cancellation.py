"""Every wait of a connection, cut or cancelled right there: what was sent, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

import trillium_trio as tt
from tests.wire import UPGRADE, Listener, request, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trillium_trio.conn import HandlerLike

EXPECTING = request("/", "Expect: 100-continue", "Content-Length: 9", method="PUT")
UPLOAD = request(method="PUT", body=b"x" * 9)[:-1]
UPGRADING_UPLOAD = request("/", *UPGRADE, method="PUT", body=b"x" * 9)[:-1]
LAST_CHUNK = b"\r\n0\r\n\r\n"
UNAVAILABLE = b"Service Unavailable\n"


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello")


async def asleep(conn: tt.Conn) -> tt.Conn:
    await trio.sleep_forever()
    return conn


async def reads(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.read())


async def watches(conn: tt.Conn) -> tt.Conn:
    async with conn.cancel_on_disconnect():
        return await asleep(conn)
    return conn


async def watches_and_reads(conn: tt.Conn) -> tt.Conn:
    async with conn.cancel_on_disconnect():
        return await reads(conn)
    return conn


async def streams(conn: tt.Conn) -> tt.Conn:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"piece"
        await trio.sleep_forever()

    return conn.ok(pieces())


class SlowToClose(trio.abc.ReceiveStream):
    def __init__(self) -> None:
        self._pieces = [b"piece"]

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._pieces.pop() if self._pieces else b""

    async def aclose(self) -> None:
        await trio.sleep_forever()


async def closes(conn: tt.Conn) -> tt.Conn:
    return conn.ok(SlowToClose())


async def linger_on(conn: tt.Conn) -> tt.Conn:
    async def after(conn: tt.Conn) -> None:
        await trio.sleep_forever()

    return conn.after_send(after).ok("hello")


class Hooks(tt.Handler):
    def __init__(self, where: str) -> None:
        self._where = where

    async def run(self, conn: tt.Conn) -> tt.Conn:
        return conn.ok("hello") if self._where == "before_send" else conn.upgrade()

    async def before_send(self, conn: tt.Conn) -> tt.Conn:
        return await asleep(conn) if self._where == "before_send" else conn

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        return True

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        await trio.sleep_forever()


@dataclass(frozen=True)
class Wait:
    """One place to wait.

    Attributes:
      name: What is waited for.
      ends: The end of what the client gets if the connection is cut there.
      cancelled: The same if it is cancelled; as cut, unless that is a 503.
      takes: How often the client receives before it stops reading, where sending is to block.
      seconds: How long a cut takes at most; the client does not close.
    """

    name: str
    handler: HandlerLike
    sent: bytes
    ends: bytes
    takes: int | None = None
    seconds: float = 1

    @property
    def cancelled(self) -> bytes:
        return b"" if self.ends == UNAVAILABLE else self.ends


WAITS = [
    Wait("the first byte", hello, b"", b"", seconds=0),
    Wait("the next request", hello, request(), b"hello", seconds=0),
    Wait("the rest of a head", hello, request()[:5], UNAVAILABLE),
    Wait("a handler", asleep, request(), UNAVAILABLE),
    Wait("a body", reads, UPLOAD, UNAVAILABLE),
    Wait("a watched handler", watches, request(), UNAVAILABLE),
    Wait("a watched body", watches_and_reads, UPLOAD, UNAVAILABLE),
    Wait("before_send", Hooks("before_send"), request(), UNAVAILABLE),
    Wait("an iterator", streams, request(), b"\r\npiece\r\n", seconds=0),
    Wait("the close of a source", closes, request(), LAST_CHUNK),
    Wait("after_send", linger_on, request(), b"hello"),
    Wait("a body to drop", hello, UPLOAD, b"hello"),
    Wait("a body before an upgrade", Hooks("upgrade"), UPGRADING_UPLOAD, UNAVAILABLE),
    Wait("an upgrade", Hooks("upgrade"), request("/", *UPGRADE), b"\r\n\r\n", seconds=0),
    Wait("the peer's close", hello, request("/", "Connection: close"), b"hello", seconds=2),
    Wait("room for 100", reads, EXPECTING, b"", takes=0, seconds=2),
    Wait("room for a response", hello, request(), b"", takes=0, seconds=2),
    Wait("room for a chunk", streams, request(), b"\r\n\r\n", takes=1, seconds=2),
    Wait("room for 101", Hooks("upgrade"), request("/", *UPGRADE), b"", takes=0, seconds=2),
    Wait("room for a 400", hello, b"NONSENSE\r\n\r\n", b"", takes=0, seconds=2),
]


@pytest.mark.parametrize("how", ["cut", "cancelled"])
@pytest.mark.parametrize("wait", WAITS, ids=lambda wait: wait.name)
async def test_a_wait_that_is_ended(wait: Wait, how: str, autojump_clock: object) -> None:
    blocks = wait.takes is not None
    listener = Listener(lockstep_stream_pair if blocks else memory_stream_pair)
    config = tt.config().bind_listener(listener, name="test").without_signals()
    # Nothing ends of itself meanwhile.
    server = config.with_keepalive_grace(60).server(wait.handler)
    before = trio.lowlevel.current_statistics().tasks_living
    got = b""
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(server.serve)
        client = listener.connect()
        await client.send(wait.sent)
        for _ in range(wait.takes or 0):
            got += await client.receive()
        await settled()
        start = trio.current_time()
        if how == "cut":
            handle.cancel("enough")
            await handle
        else:
            nursery.cancel_scope.cancel()
    took = trio.current_time() - start
    assert took <= (wait.seconds if how == "cut" else 0)
    # The server's end is closed, so this ends; what a blocked send had left is no matter.
    rest = await client.rest()
    if not blocks:
        got += rest
    assert got.endswith(wait.ends if how == "cut" else wait.cancelled)
    if wait.ends == UNAVAILABLE:
        assert got.startswith(b"HTTP/1.1 503 ") == (how == "cut")
    assert handle.swansong.guard_count == 0
    assert trio.lowlevel.current_statistics().tasks_living == before
