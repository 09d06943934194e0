"""Slow and greedy peers: bounded in time and in what is read, quiet, and in nobody else's way.

In virtual time. A peer's end of each connection is watched from the server's side: what was read
and sent, and when the server let go of it.
"""

from __future__ import annotations

import errno
import logging
import os
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.wire import chunked, request
from trillium_trio.testing import (
    BreakingStream,
    DribblingStream,
    MemoryStream,
    RawPeer,
    StallingStream,
    TestServer,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

KIB = 1024
GIB = 1024**3
# One receive of the server's takes so much, so that it may read as much beyond any limit.
RECEIVE = 64 * KIB
# What is discarded at most behind a last response, so that the peer can read it.
DISCARD = 16 * 1024 * KIB
# What lines call a peer in memory.
PEER = "unix: "


class Watched(trio.abc.HalfCloseableStream):
    """The server's end of a connection.

    Attributes:
      received, sent: Bytes.
      end: When the server closed or aborted it; None while it is open.
    """

    def __init__(self, stream: trio.abc.HalfCloseableStream, below: MemoryStream) -> None:
        self._stream = stream
        self._below = below
        self.received = self.sent = 0
        self.end: float | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self.received += len(data)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)
        self.sent += len(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    def abort(self) -> None:
        self._ended()
        self._below.abort()

    async def aclose(self) -> None:
        self._ended()
        await self._stream.aclose()

    def _ended(self) -> None:
        if self.end is None:
            self.end = trio.current_time()


class App:
    """A server with a few handlers, and what it has logged."""

    def __init__(self, server: TestServer, caplog: pytest.LogCaptureFixture) -> None:
        self.server = server
        self._caplog = caplog

    def connect(
        self,
        wrap: Callable[[MemoryStream], trio.abc.HalfCloseableStream] = lambda stream: stream,
    ) -> tuple[RawPeer, Watched]:
        watched: list[Watched] = []

        def watch(stream: MemoryStream) -> Watched:
            watched.append(Watched(wrap(stream), stream))
            return watched[0]

        peer = self.server.connect(wrap_server=watch)
        return peer, watched[0]

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The level and text of each line about connections."""
        return [
            (record.levelname, record.getMessage())
            for record in self._caplog.records
            if record.name == "trillium_trio.driver" or "refusing" in record.getMessage()
        ]

    async def is_served_elsewhere(self) -> None:
        """Hold the server to answer somebody else at once."""
        start = trio.current_time()
        assert (await self.server.get("/")).body == b"hello"
        assert trio.current_time() == start


async def handle(conn: tt.Conn) -> tt.Conn:
    match conn.path:
        case "/upload":
            return conn.ok(str(len(await conn.request_body.read())))
        case "/any-upload":
            return conn.ok(str(len(await conn.request_body.read(2 * GIB))))
        case "/json":
            return conn.ok(str(len(await conn.request_body.json())))
        case "/stream":
            return conn.ok(endless())
        case "/large":
            return conn.ok(b"x" * 1024 * KIB)
        case "/wait":
            await trio.sleep(5)
        case "/ticks":
            return conn.ok(ticks())
    return conn.ok("hello")


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 16


async def ticks() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await trio.sleep(2)


@asynccontextmanager
async def serving(
    caplog: pytest.LogCaptureFixture, config: tt.Config | None = None
) -> AsyncIterator[App]:
    caplog.set_level(logging.DEBUG, "trillium_trio")
    async with TestServer(handle, config) as server:
        yield App(server, caplog)
        # Nothing is held any more by whom the test has seen to its end.
        assert server.swansong.guard_count == 0


# What a peer does. Each ends when the server has let go of the connection, or it has nothing left.


async def drip(data: bytes, dripped: bytes, peer: RawPeer) -> None:
    """Send something, then one byte a second."""
    await peer.send(data)
    await trio.sleep(1)
    await peer.send_slowly(dripped, interval=1)


async def say(data: bytes, peer: RawPeer) -> None:
    await peer.send(data)


async def say_and_half_close(data: bytes, peer: RawPeer) -> None:
    await peer.send(data)
    await peer.send_eof()


async def pour(data: bytes, repeated: bytes, peer: RawPeer) -> None:
    """Send something, then the same again and again, as fast as it can."""
    await peer.send(data)
    for _ in range(1000):
        await peer.send(repeated)
    await trio.sleep_forever()


PUT = partial(request, method="PUT")
UPLOAD = PUT("/upload", "Content-Length: 1000")
CHUNKED_UPLOAD = PUT("/upload", "Transfer-Encoding: chunked")
SOME_FIELDS = b"X-Field: value\r\n" * 4 * KIB


@dataclass
class Case:
    """A peer, and what becomes of it.

    Attributes:
      act: What it does.
      end: When the server has let go of it, in seconds.
      read: How many bytes the server has read at most.
      lines: What is logged: a level and a part of the text.
      wrap: Put between the server and the peer.
    """

    act: Callable[[RawPeer], Awaitable[None]]
    end: float
    read: int
    lines: list[tuple[str, str]]
    wrap: Callable[[MemoryStream], trio.abc.HalfCloseableStream] = lambda stream: stream


stall = partial(StallingStream, on="send")

# What is refused or ends with a response lingers for two seconds more; what stalls is reset.
CASES = {
    "says-nothing": Case(partial(say, b""), 10, 0, []),
    "an-empty-line": Case(partial(drip, b"", b"\r\n"), 10, 2, []),
    "idle": Case(partial(say, request()), 60, 99, []),
    "slow-head": Case(
        partial(drip, b"", request("/", "A: " + "a" * 99)), 12, 12, [("INFO", "408")]
    ),
    "slow-fields": Case(
        partial(drip, b"GET / HTTP/1.1\r\nHost: x\r\n", b"A:b\r\n" * 99),
        12,
        99,
        [("INFO", "408")],
    ),
    "endless-head": Case(
        partial(pour, b"GET / HTTP/1.1\r\n", SOME_FIELDS),
        0,
        DISCARD + 2 * RECEIVE,
        [("INFO", "431")],
    ),
    "endless-target": Case(
        partial(pour, b"GET /", b"a" * RECEIVE), 0, DISCARD + 2 * RECEIVE, [("INFO", "414")]
    ),
    "endless-trailers": Case(
        partial(pour, CHUNKED_UPLOAD + b"0\r\n", SOME_FIELDS),
        0,
        DISCARD + 2 * RECEIVE,
        [("INFO", "431")],
    ),
    "endless-chunks": Case(
        partial(pour, CHUNKED_UPLOAD, chunked(b"x" * RECEIVE)[:-5]),
        0,
        27 * 1024 * KIB,
        [("INFO", "413")],
    ),
    "a-deep-json-bomb": Case(
        partial(say, PUT("/json", body=b"[" * 500 * KIB)), 60, 512 * KIB, [("INFO", "400")]
    ),
    "a-broad-json-bomb": Case(
        partial(say, PUT("/json", body=b"[" + b"[]," * 400 * KIB)),
        2,
        DISCARD,
        [("INFO", "413")],
    ),
    "slow-body": Case(partial(drip, UPLOAD, b"x" * 99), 30 + 30 / 256 + 2, 200, [("INFO", "408")]),
    "slow-chunks": Case(
        partial(drip, CHUNKED_UPLOAD, b"1;abc=defghijk\r\nx\r\n" * 99),
        30 + 1 / 256 + 2,
        200,
        [("INFO", "408")],
    ),
    "stalled-body": Case(partial(say, UPLOAD + b"x"), 32, 200, [("INFO", "408")]),
    "a-gibibyte-declared": Case(
        partial(say, PUT("/upload", f"Content-Length: {GIB}")), 2, 200, [("INFO", "413")]
    ),
    "a-gibibyte-allowed": Case(
        partial(say, PUT("/any-upload", f"Content-Length: {GIB}")), 32, 200, [("INFO", "408")]
    ),
    # Refused as soon as its size is read.
    "a-gibibyte-chunk": Case(
        partial(say, CHUNKED_UPLOAD + b"%x\r\n" % GIB), 2, 200, [("INFO", "413")]
    ),
    "a-gibibyte-chunk-allowed": Case(
        partial(say, PUT("/any-upload", "Transfer-Encoding: chunked") + b"%x\r\n" % GIB),
        32,
        200,
        [("INFO", "408")],
    ),
    "a-gibibyte-not-wanted": Case(partial(say, PUT("/", f"Content-Length: {GIB}")), 2, 200, []),
    "half-closed-in-silence": Case(partial(say_and_half_close, b""), 0, 0, []),
    "half-closed-in-a-head": Case(partial(say_and_half_close, request()[:-1]), 0, 99, []),
    "half-closed-in-a-body": Case(
        partial(say_and_half_close, UPLOAD), 0, 200, [("DEBUG", "ended its request")]
    ),
    "half-closed-and-served": Case(partial(say_and_half_close, request("/wait")), 5, 99, []),
    "reads-nothing": Case(partial(say, request("/large")), 30, 99, [("INFO", "Stalled")], stall),
    "reads-nothing-of-a-stream": Case(
        partial(say, request("/stream")), 30, 99, [("INFO", "Stalled")], stall
    ),
    "reads-nothing-of-an-error": Case(
        partial(say, b"hello\r\n\r\n"), 30, 99, [("INFO", "400")], stall
    ),
    "reads-nothing-half-closed": Case(
        partial(say_and_half_close, request("/large")), 30, 99, [("INFO", "Stalled")], stall
    ),
    # The one case of two lines: what it did, and that it does not hear of it.
    "neither-sends-nor-reads": Case(
        partial(say, UPLOAD), 60, 99, [("INFO", "408"), ("INFO", "Stalled")], stall
    ),
    # Its request takes two or three seconds; a head of 104 or 107 bytes and 12 chunks of 22 bytes
    # are worth a fraction of a second each.
    "reads-16-bytes-a-second": Case(
        partial(say, request("/large")),
        2 + 30 + 104 / 256,
        99,
        [("INFO", "Stalled")],
        partial(DribblingStream, step=16, interval=1),
    ),
    "reads-a-stream-so-slowly": Case(
        partial(say, request("/stream")),
        3 + 30 + (107 + 12 * 22) / 256,
        99,
        [("INFO", "Stalled")],
        partial(DribblingStream, step=16, interval=1),
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_peer_is_bounded_and_in_nobodys_way(
    name: str, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    case = CASES[name]
    async with serving(caplog) as app, trio.open_nursery() as nursery:
        peer, watched = app.connect(case.wrap)

        @nursery.start_soon
        async def act() -> None:
            with suppress(trio.BrokenResourceError):
                await case.act(peer)

        while watched.end is None:
            await app.is_served_elsewhere()
            assert trio.current_time() < 100
            await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert watched.end == case.end
    assert watched.received <= case.read
    assert len(app.lines) == len(case.lines)
    for (level, text), (expected_level, part) in zip(app.lines, case.lines, strict=True):
        assert level == expected_level
        assert part in text
        assert text.startswith(PEER)


async def test_a_pipelining_flood_is_not_read_while_nothing_is_taken(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(caplog) as app:
        peer, watched = app.connect(stall)
        await peer.send(request() * 10_000)
        for _ in range(29):
            await trio.sleep(1)
            await app.is_served_elsewhere()
            assert watched.received <= RECEIVE
        await trio.sleep(4)
        assert watched.end == 30
        assert [level for level, _ in app.lines] == ["INFO"]


async def test_a_flood_of_connections_is_turned_away(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(caplog, tt.Config(max_connections=10)) as app:
        slow = [app.connect() for _ in range(10)]
        for peer, _ in slow:
            await peer.send(b"G")
        await trio.testing.wait_all_tasks_blocked()
        flood = slow + [app.connect() for _ in range(990)]
        refused = 0
        for _ in range(8):
            await trio.sleep(1.1)
            # Those beyond the limit are gone after a second, the others may finish their head.
            assert sum(watched.end is None for _, watched in flood) == 10
            refused += (await app.server.get("/")).status == 503
        assert refused == 8
        await trio.sleep(4)
        assert all(watched.end is not None for _, watched in flood)
        assert sum(watched.received for _, watched in flood) == 10
        await app.is_served_elsewhere()
        assert [level for level, text in app.lines if "refusing" in text] == ["WARNING"]


async def test_a_flood_of_silent_connections_is_in_nobodys_way(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(caplog, tt.Config(max_connections=10)) as app:
        flood = []
        for _ in range(9):
            flood += [app.connect()[1] for _ in range(50)]
            await trio.sleep(1)
            assert sum(each.end is None for each in flood) <= 10
            await app.is_served_elsewhere()
        await trio.sleep(10)
        assert all(each.end is not None for each in flood)
        assert sum(each.received for each in flood) == 0
        assert app.lines == []
        assert caplog.text.count("closing idle ones") == 1


async def test_a_crowd_of_slow_heads_is_in_nobodys_way(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    head = request("/", "A: " + "a" * 99)
    async with serving(caplog) as app, trio.open_nursery() as nursery:
        crowd = [app.connect() for _ in range(300)]
        for peer, _ in crowd:
            nursery.start_soon(drip, b"", head[:11], peer)
        for _ in range(12):
            await app.is_served_elsewhere()
            await trio.sleep(1)
        await trio.sleep(2)
        assert {watched.end for _, watched in crowd} == {12}
        assert [level for level, _ in app.lines] == ["INFO"] * 300


@pytest.mark.parametrize(
    ("sent", "end", "levels"),
    [
        pytest.param(b"", 1, [], id="in-silence"),
        pytest.param(request()[:-1], 1, [], id="in-a-head"),
        pytest.param(request("/wait"), 5, ["DEBUG"], id="in-the-handler"),
        pytest.param(UPLOAD + b"x", 1, ["DEBUG"], id="in-a-body"),
        pytest.param(CHUNKED_UPLOAD + b"9\r\nx", 1, ["DEBUG"], id="in-a-chunk"),
        pytest.param(request("/ticks"), 2, ["DEBUG"], id="in-a-response"),
        pytest.param(request(), 1, [], id="behind-a-response"),
        pytest.param(request("/", "Connection: close"), 1, [], id="behind-the-last-response"),
        pytest.param(b"hello\r\n\r\n", 1, ["INFO"], id="behind-an-error"),
        pytest.param(request() * 9 + request("/wait"), 5, ["DEBUG"], id="in-a-pipeline"),
    ],
)
async def test_a_reset_ends_one_connection_quietly(
    sent: bytes,
    end: float,
    levels: list[str],
    autojump_clock: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(caplog) as app:
        peer, watched = app.connect()
        await peer.send(sent)
        await trio.sleep(1)
        assert watched.end is None
        peer.reset()
        await trio.sleep(0.5)
        await app.is_served_elsewhere()
        await trio.sleep(9)
        assert watched.end == end
        assert [level for level, _ in app.lines] == levels


ERRORS = [
    pytest.param(trio.BrokenResourceError("broken"), id="broken"),
    *(
        pytest.param(OSError(number, os.strerror(number)), id=errno.errorcode[number])
        for number in (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT)
    ),
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("at", range(1, 11))
async def test_an_error_at_any_operation_ends_one_connection_quietly(
    at: int, error: Exception, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(caplog) as app:
        peer, watched = app.connect(partial(BreakingStream, at=at, error=error))
        with suppress(trio.BrokenResourceError):
            # A head and a body in two pieces each, another request, and one that is refused.
            for piece in (
                UPLOAD[:9],
                UPLOAD[9:],
                b"x" * 500,
                b"x" * 500,
                request(),
                b"hello\r\n\r\n",
            ):
                await peer.send(piece)
                await trio.sleep(0.1)
        await app.is_served_elsewhere()
        peer.close()
        await trio.sleep(0.1)
        assert watched.end is not None
        levels = [level for level, _ in app.lines]
        assert levels in ([], ["DEBUG"], ["INFO"])
