"""CN-19 to CN-21 of docs/spec/connection.md: what is said, and how it is framed."""

from __future__ import annotations

import logging
from array import array
from typing import TYPE_CHECKING, Any, Self

import pytest
import trio
from trio.testing import lockstep_stream_pair

import trillium_trio as tt
from tests.wire import chunked, request, serving, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from trillium_trio.conn import HandlerLike

EXPECT = "Expect: 100-continue"


class Tunnels(tt.Handler):
    takes_connect = True


async def read(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.read())


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello")


# CN-19


async def test_cn_19_the_first_read_invites_the_body(autojump_clock: object) -> None:
    async def late(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(5)
        return await read(conn)

    async with serving(late) as app:
        client = app.connect()
        await client.send(request("/", EXPECT, "Content-Length: 3", method="PUT"))
        start = trio.current_time()
        assert await client.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert trio.current_time() - start == 5
        await client.send(b"abc")
        response = await client.response()
        assert (response.body, response.closes) == (b"abc", False)


async def test_cn_19_a_body_that_comes_uninvited_gets_no_100(autojump_clock: object) -> None:
    async with serving(read) as app:
        client = app.connect()
        await client.send(request("/", EXPECT, method="PUT", body=b"abc"))
        response = await client.response()
        assert (response.informational, response.body, response.closes) == ([], b"abc", False)


@pytest.mark.parametrize("handler", [hello, "", tt.Status.NO_CONTENT])
async def test_cn_19_a_body_that_is_never_read_gets_no_100_and_a_close(
    handler: HandlerLike, autojump_clock: object
) -> None:
    async with serving(handler) as app:
        client = app.connect()
        await client.send(request("/", EXPECT, "Content-Length: 3", method="PUT"))
        response = await client.response()
        assert (response.informational, response.closes) == ([], True)
        assert await client.ends()


async def test_cn_19_no_100_for_what_is_refused_by_its_length(autojump_clock: object) -> None:
    async with serving(read, max_body_bytes=2) as app:
        client = app.connect()
        await client.send(request("/", EXPECT, "Content-Length: 3", method="PUT"))
        response = await client.response()
        assert (response.status, response.informational, response.closes) == (413, [], True)


@pytest.mark.parametrize("when", ["while streaming", "after sending"])
async def test_cn_19_no_100_once_the_response_has_begun(when: str, autojump_clock: object) -> None:
    bodies: list[bytes] = []

    async def take(conn: tt.Conn) -> None:
        bodies.append(await conn.request_body.read())

    async def echo(conn: tt.Conn) -> AsyncIterator[bytes]:
        yield b"so far "
        await take(conn)
        yield b"so good"

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(echo(conn)) if when == "while streaming" else conn.after_send(take).ok("x")

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request("/", EXPECT, "Content-Length: 3", method="PUT"))
        await settled()
        await client.send(b"abc")
        raw = await client.rest()
        assert b"100 Continue" not in raw
        assert raw.endswith(b"so good\r\n0\r\n\r\n" if when == "while streaming" else b"\r\n\r\nx")
        assert bodies == [b"abc"]


# CN-20


async def stream(conn: tt.Conn) -> tt.Conn:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"hel"
        yield b""
        yield b"lo"

    return conn.ok(tt.Body.streaming(pieces(), length=5 if conn.querystring else None))


LENGTH, CHUNKED = "content-length", "transfer-encoding"


@pytest.mark.parametrize(
    ("handler", "method", "target", "version", "framed", "body", "closes"),
    [
        (hello, "GET", "/", "1.1", {LENGTH: "5"}, b"hello", False),
        (hello, "GET", "/", "1.0", {LENGTH: "5"}, b"hello", True),
        (hello, "HEAD", "/", "1.1", {LENGTH: "5"}, b"", False),
        (stream, "GET", "/", "1.1", {CHUNKED: "chunked"}, b"hello", False),
        (stream, "GET", "/", "1.0", {}, b"hello", True),
        (stream, "GET", "/?5", "1.1", {LENGTH: "5"}, b"hello", False),
        (stream, "GET", "/?5", "1.0", {LENGTH: "5"}, b"hello", True),
        (stream, "HEAD", "/", "1.1", {}, b"", False),
        (stream, "HEAD", "/?5", "1.1", {LENGTH: "5"}, b"", False),
        ((tt.Status.NO_CONTENT, None), "GET", "/", "1.1", {}, b"", False),
        ((tt.Status.NOT_MODIFIED,), "GET", "/", "1.1", {}, b"", False),
        (None, "GET", "/", "1.1", {LENGTH: "10"}, b"Not Found\n", False),
        ((Tunnels(), "x"), "CONNECT", "x:1", "1.1", {}, b"", True),
        ((Tunnels(), tt.Status.FORBIDDEN), "CONNECT", "x:1", "1.1", {LENGTH: "0"}, b"", False),
    ],
)
async def test_cn_20_framing(
    handler: HandlerLike,
    method: str,
    target: str,
    version: str,
    framed: dict[str, str],
    body: bytes,
    closes: bool,
    autojump_clock: object,
) -> None:
    async with serving(handler) as app:
        client = app.connect()
        await client.send(request(target, method=method, version=version))
        await settled()
        head, _, rest = (await client.receive()).partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        assert {name: fields[name] for name in (LENGTH, CHUNKED) if name in fields} == framed
        assert rest == (chunked(b"hel", b"lo") if CHUNKED in framed else body)
        assert "date" in fields
        assert ("close" in fields.get("connection", "")) == closes
        if not closes:
            assert (await client.get()).status != 0


async def test_cn_20_http_1_0_may_keep_alive(autojump_clock: object) -> None:
    async with serving(hello) as app:
        client = app.connect()
        for _ in range(2):
            await client.send(request("/", "Connection: keep-alive", version="1.0"))
            response = await client.response()
            assert (response.body, response.headers["connection"]) == (b"hello", "keep-alive")


@pytest.mark.parametrize(
    ("sent", "keeps"),
    [
        pytest.param(request(method="PUT", body=b"x" * 65_536), True, id="small"),
        pytest.param(request(method="PUT", body=b"x" * 65_537), False, id="large"),
        pytest.param(
            request("/", "Transfer-Encoding: chunked", method="PUT", body=chunked(b"x")),
            False,
            id="of-unknown-size",
        ),
    ],
)
@pytest.mark.parametrize("is_slow", [False, True])
async def test_cn_20_an_unread_body(
    sent: bytes, keeps: bool, is_slow: bool, autojump_clock: object
) -> None:
    async with serving(hello) as app:
        client = app.connect()
        await client.send(sent[:-1] if is_slow else sent)
        response = await client.response()
        assert (response.body, response.closes) == (b"hello", not keeps)
        if keeps:
            await client.send(sent[-1:] if is_slow else b"", request())
            assert (await client.response()).body == b"hello"
        else:
            assert await client.ends()


async def test_cn_20_an_unread_body_that_does_not_come_ends_the_connection(
    autojump_clock: object,
) -> None:
    async with serving(hello, body_timeout=7) as app:
        client = app.connect()
        await client.send(request("/", "Content-Length: 3", method="PUT"))
        assert not (await client.response()).closes
        start = trio.current_time()
        assert app.guards == 0
        assert await client.ends()
        assert trio.current_time() - start == 7


async def test_cn_20_pipelined_requests_are_answered_in_order(autojump_clock: object) -> None:
    async def slow(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(10 - int(conn.path[1:]))
        return conn.ok(conn.path + (await conn.request_body.text()))

    async with serving(slow) as app:
        client = app.connect()
        await client.send(*(request(f"/{n}", method="PUT", body=b"!") for n in range(10)))
        assert [(await client.response()).body for _ in range(10)] == [
            b"/%d!" % n for n in range(10)
        ]


async def test_cn_20_connection_close_of_the_handler_or_the_client_ends_it(
    autojump_clock: object,
) -> None:
    async def parting(conn: tt.Conn) -> tt.Conn:
        return conn.with_response_header("Connection", "X-y, Close").ok("bye")

    for handler, field in ((parting, "X: y"), (hello, "Connection: close")):
        async with serving(handler) as app:
            client = app.connect()
            await client.send(request("/", field), request("/never"))
            assert (await client.response()).closes
            assert await client.ends()


class Source:
    """A stream that gives whatever it was made of. Any: also what no stream may give."""

    def __init__(self, pieces: list[Any]) -> None:
        self._pieces = [*pieces, b""]

    async def receive_some(self, max_bytes: int | None = None) -> Any:
        await trio.lowlevel.checkpoint()
        return self._pieces.pop(0)


async def generate(pieces: list[Any]) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece


WIDE = array("I", [1, 2, 3])
BUFFERS: list[Any] = [
    memoryview(WIDE),
    b"-",
    bytearray(b"bytes"),
    memoryview(WIDE)[::2],
    memoryview(bytes(24)).cast("H", (3, 4)),
    WIDE,
    memoryview(b"abcd")[1:3],
    memoryview(b"abcd")[::-1],
    memoryview(bytearray(b"mutable")).toreadonly(),
]
SENT = b"".join(memoryview(each).tobytes() for each in BUFFERS)


@pytest.mark.parametrize("source", [generate, Source])
@pytest.mark.parametrize(
    ("version", "length"),
    [
        pytest.param("1.1", None, id="in-chunks"),
        pytest.param("1.1", len(SENT), id="with-a-length"),
        pytest.param("1.0", None, id="until-the-end"),
    ],
)
async def test_cn_20_pieces_are_counted_in_bytes(
    source: Callable[[list[Any]], Any], version: str, length: int | None, autojump_clock: object
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.streaming(source(BUFFERS), length))

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request(version=version))
        response = await client.response()
        assert (response.body, response.is_whole) == (SENT, True)
        if version == "1.1":
            assert (await client.get()).body == SENT


@pytest.mark.parametrize(
    "view", [bytearray, memoryview, lambda buffer: memoryview(buffer).toreadonly()]
)
@pytest.mark.parametrize("length", [None, 100_000])
async def test_cn_20_a_piece_is_sent_as_it_was_given(
    view: Callable[[bytearray], Any], length: int | None, autojump_clock: object
) -> None:
    buffer = bytearray(b"x" * 100_000)

    async def handler(conn: tt.Conn) -> tt.Conn:
        given = buffer if view is bytearray else view(buffer)
        return conn.ok(tt.Body.streaming(generate([given]), length))

    async with serving(handler, pair=lockstep_stream_pair) as app:
        client = app.connect()
        await client.send(request())
        received = await client.receive()
        assert received.endswith(b"\r\n\r\n")
        await settled()  # in the middle of the piece
        buffer[:] = b"y" * 100_000
        client.leftover = received
        response = await client.response()
        assert (response.body, response.is_whole) == (b"x" * 100_000, True)


@pytest.mark.parametrize("piece", ["text", None, 5, [1]], ids=repr)
@pytest.mark.parametrize("source", [generate, Source])
@pytest.mark.parametrize("length", [None, 100])
async def test_cn_20_a_piece_that_is_not_bytes_breaks_the_response_off(
    piece: object,
    source: Callable[[list[Any]], Any],
    length: int | None,
    autojump_clock: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.streaming(source([b"hello", piece, b"never"]), length))

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request(), request())
        received = await client.rest()
        _, _, body = received.partition(b"\r\n\r\n")
        assert body == (b"hello" if length else b"5\r\nhello\r\n")
    [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    message = record.getMessage()
    assert (
        f"TypeError: <Body stream {'async_generator' if source is generate else 'Source'}"
        in message
    )
    assert message.endswith(f"gave a piece of type {type(piece).__name__}, not bytes")


# CN-21


async def test_cn_21_a_declared_length_is_one_of_bytes(autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        # As many items as declared, and four times the bytes.
        return conn.ok(tt.Body.streaming(generate([memoryview(WIDE)]), length=len(WIDE)))

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request(), request())
        _, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert body == b""


@pytest.mark.parametrize("given", [b"hell", b"hello!"])
@pytest.mark.parametrize("is_last", [False, True])
async def test_cn_21_a_body_of_another_length(
    given: bytes, is_last: bool, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(given), 5 if is_last else 4):
            yield given[at:][: 5 if is_last else 4]

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.streaming(pieces(), length=5))

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request("/odd"), request())
        raw = await client.rest()
        head, _, body = raw.partition(b"\r\n\r\n")
        assert b"content-length: 5" in head
        # Not a byte beyond what was declared, and no second response.
        assert body in (b"hell", b"hello")
        [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert f"gave {len(given)} bytes where 5 were declared" in record.getMessage()
        assert "GET /odd" in record.getMessage()
        assert record.exc_info is None
        await settled()
        assert app.guards == 0


class Produced:
    """A body whose pieces come from a task of its own."""

    def __init__(self, log: list[str], failing: bool = False) -> None:
        self._log = log
        self._failing = failing

    async def __aenter__(self) -> Self:
        self._log.append("entered")
        self._nursery = trio.open_nursery()
        nursery = await self._nursery.__aenter__()
        send, self._pieces = trio.open_memory_channel[bytes](0)
        nursery.start_soon(self._produce, send)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._log.append("left")
        return await self._nursery.__aexit__(kind, error, traceback)

    async def _produce(self, send: trio.MemorySendChannel[bytes]) -> None:
        async with send:
            await send.send(b"one")
            if self._failing:
                raise ValueError("boom")
            await send.send(b"two")

    def __aiter__(self) -> trio.MemoryReceiveChannel[bytes]:
        return self._pieces


@pytest.mark.parametrize("failing", [False, True])
async def test_cn_20_a_source_may_hold_a_nursery(failing: bool) -> None:
    log: list[str] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        log.append("asked")
        return conn.ok(Produced(log, failing))

    async with serving(handler) as app:
        response = await app.connect().get()
        assert response.is_whole is not failing
        assert response.body in ((b"", b"one") if failing else (b"onetwo",))
        await settled()
        assert app.guards == 0
    assert log == ["asked", "entered", "left"]
