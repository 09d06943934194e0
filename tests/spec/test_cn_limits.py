"""CN-15 to CN-18 on connections: each limit just under, at and just over it, however it arrives.

Behind what is sent stands another request: it is answered as well, or it is never read as one.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

import trillium_trio as tt
from tests.spec.test_cn_grammar import (
    BAD_FIELDS,
    DOUBTFUL_CHUNKS,
    DOUBTFUL_FIELDS,
    DOUBTFUL_TARGETS,
    NOT_HTTP,
    post,
)
from tests.spec.test_cn_tls import tls_pair
from tests.unit.transport._tls import server_context
from tests.wire import Peer, chunked, request, serving, settled
from trillium_trio.testing import DribblingStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from tests.wire import App, Pair
    from trillium_trio.conn import HandlerLike

# In how many pieces the server receives a message. None: each byte on its own.
each_delivery = pytest.mark.parametrize(
    "pieces",
    [pytest.param(1, id="whole"), pytest.param(2, id="halves"), pytest.param(None, id="bytes")],
)

BEHIND = request("/behind")
CHUNKED = "Transfer-Encoding: chunked"
# More than any body here.
PLENTY = 1_000_000


def cut(message: bytes, pieces: int | None) -> list[bytes]:
    step = 1 if pieces is None else -(-len(message) // pieces)
    return [message[at : at + step] for at in range(0, len(message), step)]


def dribbling_pair(step: int) -> Pair:
    """Return a connection of which the server receives at most ``step`` bytes at a time."""
    client, server = memory_stream_pair()
    return client, DribblingStream(server, step=step)


@dataclass
class Outcome:
    """What became of a message and the request behind it.

    Attributes:
      statuses: Of the responses.
      targets: What the handler was called with.
      bodies: What it read to the end.
    """

    statuses: list[int] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


if TYPE_CHECKING:
    Reader: TypeAlias = Callable[[tt.RequestBody], Awaitable[bytes]]


async def read(body: tt.RequestBody) -> bytes:
    return await body.read()


async def read_plenty(body: tt.RequestBody) -> bytes:
    return await body.read(PLENTY)


async def read_four(body: tt.RequestBody) -> bytes:
    return await body.read(4)


async def iterate(body: tt.RequestBody) -> bytes:
    return b"".join([piece async for piece in body])


def limited(
    handler: HandlerLike,
    limits: Mapping[str, float],
    pair: Callable[[], Pair] = memory_stream_pair,
) -> AbstractAsyncContextManager[App]:
    tls = server_context() if pair is tls_pair else None
    return serving(handler, pair=pair, tls=tls, **limits)  # type: ignore[arg-type]  # settings of HTTP only


async def deliver(
    message: bytes,
    pieces: int | None,
    limits: Mapping[str, float],
    *,
    reader: Reader = read,
) -> Outcome:
    """Send a message and the request behind it to a handler that reads bodies."""
    outcome = Outcome()

    async def handler(conn: tt.Conn) -> tt.Conn:
        outcome.targets.append(conn.path)
        outcome.bodies.append(await reader(conn.request_body))
        return conn.ok("")

    step = len(cut(message, pieces)[0])
    async with limited(handler, limits, lambda: dribbling_pair(step)) as app:
        client = app.connect()
        await client.send(message, BEHIND)
        for _ in range(2):
            response = await client.response()
            outcome.statuses.append(response.status)
            if response.closes:
                assert await client.ends()
                break
    return outcome


# CN-16: sizes. Each of these writes a message in which something has this size.


def head_of(size: int) -> bytes:
    return request("/", "A: " + "a" * (size - len(request("/", "A: "))))


def head_behind_an_empty_line(size: int) -> bytes:
    return b"\r\n" + head_of(size)


def fields_of(count: int) -> bytes:
    return request("/", *["A:"] * (count - len(["Host"])))


def target_of(size: int) -> bytes:
    return request("/" + "a" * (size - 1))


def absolute_target_of(size: int) -> bytes:
    return request("http://x/" + "a" * (size - len("http://x/")))


def length_of(size: int) -> bytes:
    return request(method="PUT", body=b"x" * size)


def chunks_of(size: int) -> bytes:
    return request("/", CHUNKED, method="PUT", body=chunked(b"x" * (size - 1), b"x"))


def length_digits_of(count: int) -> bytes:
    return request("/", f"Content-Length: {'9' * count}", method="PUT")


def in_chunks(body: bytes) -> bytes:
    return request("/", CHUNKED, method="PUT", body=body)


def trailers_of(size: int) -> bytes:
    return in_chunks(b"0\r\nA: " + b"a" * (size - len(b"A: \r\n\r\n")) + b"\r\n\r\n")


def trailer_fields_of(count: int) -> bytes:
    return in_chunks(b"0\r\n" + b"A:\r\n" * count + b"\r\n")


def size_line_of(size: int) -> bytes:
    return in_chunks(b"1;" + b"a" * (size - len(b"1;\r\n")) + b"\r\nx\r\n0\r\n\r\n")


def last_size_line_of(size: int) -> bytes:
    return in_chunks(b"0;" + b"a" * (size - len(b"0;\r\n")) + b"\r\n\r\n")


def extensions_of(size: int) -> bytes:
    lines = [b";" + b"a" * 3999] * (size // 4000) + [b";" + b"a" * (size % 4000 - 1)]
    return in_chunks(b"".join(b"1%b\r\nx\r\n" % line for line in lines) + b"0\r\n\r\n")


def size_digits_of(count: int) -> bytes:
    return in_chunks(b"%0*x\r\nx\r\n0\r\n\r\n" % (count, 1))


@pytest.mark.parametrize("beyond", [-1, 0, 1])
@each_delivery
@pytest.mark.parametrize(
    ("setting", "limit", "message", "status"),
    [
        ("max_head_bytes", 80, head_of, 431),
        ("max_head_bytes", 80, head_behind_an_empty_line, 431),
        ("max_headers", 5, fields_of, 431),
        ("max_target_bytes", 20, target_of, 414),
        ("max_target_bytes", 20, absolute_target_of, 414),
    ],
)
async def test_cn_16_a_head_at_the_edge_of_a_limit(
    setting: str | None,
    limit: int,
    message: Callable[[int], bytes],
    status: int,
    pieces: int | None,
    beyond: int,
    autojump_clock: object,
) -> None:
    limits = {setting: limit} if setting else {}
    if setting == "max_headers":
        assert message(limit).count(b":") == limit
    outcome = await deliver(message(limit + beyond), pieces, limits)
    if beyond > 0:
        assert (outcome.statuses, outcome.targets) == ([status], [])
    else:
        assert outcome.statuses == [200, 200]
        assert outcome.targets[1] == "/behind"


@pytest.mark.parametrize("beyond", [-1, 0, 1])
@each_delivery
@pytest.mark.parametrize(
    ("setting", "limit", "message", "status", "reader"),
    [
        ("max_body_bytes", 5, length_of, 413, read),
        ("max_body_bytes", 5, length_of, 413, iterate),
        ("max_body_bytes", 5, chunks_of, 413, read),
        ("max_body_bytes", 5, chunks_of, 413, iterate),
        # A handler may ask for less than the setting, or for more.
        ("max_body_bytes", 4, length_of, 413, read_four),
        ("max_body_bytes", 4, chunks_of, 413, read_four),
        ("max_trailer_bytes", 40, trailers_of, 431, read),
        (None, 100, trailer_fields_of, 431, read),
        (None, 4096, size_line_of, 400, read),
        (None, 4096, last_size_line_of, 400, read),
        (None, 16, size_digits_of, 400, read),
        (None, 16_384, extensions_of, 400, read),
    ],
)
async def test_cn_16_a_body_at_the_edge_of_a_limit(
    setting: str | None,
    limit: int,
    message: Callable[[int], bytes],
    status: int,
    reader: Reader,
    pieces: int | None,
    beyond: int,
    autojump_clock: object,
) -> None:
    limits = {setting: limit} if setting else {}
    if reader is read_four:
        limits = {"max_body_bytes": 100}
    sent = message(limit + beyond)
    outcome = await deliver(sent, pieces, limits, reader=reader)
    if beyond > 0:
        assert (outcome.statuses, outcome.targets, outcome.bodies) == ([status], ["/"], [])
    else:
        assert (outcome.statuses, outcome.targets) == ([200, 200], ["/", "/behind"])
        size = limit + beyond if setting == "max_body_bytes" else sent.count(b"\nx\r\n")
        assert outcome.bodies == [b"x" * size, b""]


@each_delivery
async def test_cn_16_a_handler_may_read_more_than_the_setting(
    pieces: int | None, autojump_clock: object
) -> None:
    for message in (length_of(9), chunks_of(9)):
        outcome = await deliver(message, pieces, {"max_body_bytes": 5}, reader=read_plenty)
        assert outcome.bodies == [b"x" * 9, b""]


@each_delivery
@pytest.mark.parametrize(
    ("announced", "reader"),
    [
        pytest.param(b"6\r\n", read, id="read"),
        pytest.param(b"6\r\n", iterate, id="iterated"),
        pytest.param(b"5\r\n", read_four, id="with-a-limit-of-its-own"),
        pytest.param(b"3\r\nabc\r\n3\r\n", read, id="the-second"),
        pytest.param(b"3\r\nabc\r\n3\r\nd", read, id="begun"),
        pytest.param(b"1\r\na\r\n" * 5 + b"1\r\n", read, id="one-byte-too-many"),
        pytest.param(b"ffffffffffffffff\r\n", read, id="more-than-there-is"),
    ],
)
async def test_cn_16_a_chunk_that_is_too_long_is_refused_when_it_is_announced(
    announced: bytes, reader: Reader, pieces: int | None, autojump_clock: object
) -> None:
    statuses = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(await reader(conn.request_body))

    message = in_chunks(announced)
    step = len(cut(message, pieces)[0])
    async with limited(handler, {"max_body_bytes": 5}, lambda: dribbling_pair(step)) as app:
        client = app.connect()
        # Of the chunk itself nothing ever comes.
        await client.send(message)
        response = await client.response()
        statuses.append(response.status)
        assert response.closes
        assert trio.current_time() == 0
    assert statuses == [413]


async def test_cn_16_what_is_announced_counts_for_the_read_that_is_under_way(
    autojump_clock: object,
) -> None:
    seen: list[object] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        body = conn.request_body
        async for piece in body:
            seen.append(piece)
            break
        try:
            await body.read(4)
        except tt.ContentTooLarge:
            seen.append("more than 4")
        seen.append(await body.read(9))
        return conn.ok("")

    async with limited(handler, {"max_body_bytes": 9}) as app:
        client = app.connect()
        await client.send(in_chunks(b"9\r\nabc"))
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [b"abc", "more than 4"]
        await client.send(b"defghi\r\n0\r\n\r\n")
        assert (await client.response()).status == 200
    assert seen == [b"abc", "more than 4", b"defghi"]


@pytest.mark.parametrize(("digits", "status"), [(17, 413), (18, 413), (19, 400)])
@each_delivery
async def test_cn_16_a_length_has_so_many_digits(
    digits: int, status: int, pieces: int | None, autojump_clock: object
) -> None:
    outcome = await deliver(length_digits_of(digits), pieces, {})
    assert outcome.statuses == [status]
    assert bool(outcome.targets) == (status == 413)


@each_delivery
@pytest.mark.parametrize(
    ("setting", "message", "status"),
    [
        ("max_head_bytes", request(), 431),
        ("max_headers", request(), 431),
        ("max_headers", b"GET / HTTP/1.0\r\nConnection: close\r\n\r\n", 431),
        ("max_target_bytes", request(), 414),
        ("max_body_bytes", request(), 200),
        ("max_body_bytes", in_chunks(chunked()), 200),
        ("max_body_bytes", length_of(1), 413),
        ("max_body_bytes", in_chunks(chunked(b"x")), 413),
        ("max_trailer_bytes", trailer_fields_of(1), 431),
        ("max_trailer_bytes", in_chunks(chunked()), 200),
    ],
)
async def test_cn_16_a_limit_of_zero_allows_nothing(
    setting: str, message: bytes, status: int, pieces: int | None, autojump_clock: object
) -> None:
    outcome = await deliver(message, pieces, {setting: 0})
    assert outcome.statuses == ([200, 200] if status == 200 else [status])
    assert "/behind" not in outcome.targets or status == 200


@each_delivery
@pytest.mark.parametrize(
    ("message", "status"),
    [
        (post(b"Transfer-Encoding: gzip, chunked"), 501),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
        (post(b"Expect: more"), 417),
        (b"hello\r\n\r\n", 400),
        (b"\r\n\r\n" + post(), 400),
    ],
)
async def test_cn_16_what_is_not_supported_has_its_status(
    message: bytes, status: int, pieces: int | None, autojump_clock: object
) -> None:
    outcome = await deliver(message, pieces, {})
    assert (outcome.statuses, outcome.targets) == ([status], [])


@pytest.mark.parametrize("pair", [memory_stream_pair, lambda: dribbling_pair(1)])
@pytest.mark.parametrize(
    "data",
    [
        *NOT_HTTP,
        *(b"GET / HTTP/1.1\r\nHost: h\r\n" + line for line in BAD_FIELDS),
        # A TLS ClientHello, as it begins.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_cn_16_what_is_no_http_is_answered_without_waiting_for_more(
    data: bytes, pair: Callable[[], Pair], autojump_clock: object
) -> None:
    handled: list[str] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        handled.append(conn.path)
        return conn.ok("")

    async with limited(handler, {}, pair) as app:
        client = app.connect()
        await client.send(data)
        response = await client.response()
        assert (response.status, response.closes) == (400, True)
        assert trio.current_time() == 0
        await client.stream.aclose()
    assert handled == []


async def test_cn_16_a_tls_handshake_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    caplog.set_level(logging.INFO, "trillium_trio.driver")
    async with serving("hello") as app:
        client = app.connect()
        await client.send(b"\x16\x03\x01")
        assert (await client.response()).status == 400
        await client.stream.aclose()
    assert "a TLS handshake on a plaintext port" in caplog.text


# CN-17


@each_delivery
@pytest.mark.parametrize(
    "message",
    [
        *(post(*fields) for fields in DOUBTFUL_FIELDS),
        *(line + b" HTTP/1.1\r\nHost: h\r\n\r\n" for line in DOUBTFUL_TARGETS),
        post(b"Transfer-Encoding: chunked").replace(b"/1.1", b"/1.0"),
        b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n",
    ],
)
async def test_cn_17_no_handler_sees_a_doubtful_head(
    message: bytes, pieces: int | None, autojump_clock: object
) -> None:
    outcome = await deliver(message, pieces, {})
    assert (outcome.statuses, outcome.targets) == ([400], [])


@each_delivery
@pytest.mark.parametrize("body", DOUBTFUL_CHUNKS)
async def test_cn_17_nothing_behind_a_doubtful_chunk_is_a_request(
    body: bytes, pieces: int | None, autojump_clock: object
) -> None:
    outcome = await deliver(in_chunks(body), pieces, {})
    assert (outcome.statuses, outcome.targets, outcome.bodies) == ([400], ["/"], [])


@each_delivery
async def test_cn_17_a_dropped_trailer_is_never_shown(
    pieces: int | None, autojump_clock: object
) -> None:
    shown: list[list[tuple[str, str]]] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        body = await conn.request_body.read()
        shown.append(conn.request_trailers.items())
        return conn.ok(body)

    message = in_chunks(b"1\r\nx\r\n0\r\nVary: a\r\nX-Sum: 1\r\nContent-Type: b\r\n\r\n")
    step = len(cut(message, pieces)[0])
    async with limited(handler, {}, lambda: dribbling_pair(step)) as app:
        client = app.connect()
        await client.send(message, BEHIND)
        assert [(await client.response()).status for _ in range(2)] == [200, 200]
        await client.stream.aclose()
    assert shown == [[("X-Sum", "1")], []]


# CN-18

SENDABLE = ["\t", "\x20", "\x21", "\x7e", "\x80", "\xff"]
UNSENDABLE = ["\x00", "\x08", "\n", "\r", "\x1f", "\x7f", "\u0100"]
IN_NAMES, NOT_IN_NAMES = ["!", "~", "^"], ["\t", "\x1f", "\x20", '"', ":", "\x7f", "\x80", "\xff"]


async def respond_with(name: str, value: str) -> bytes:
    """Return what a client gets from a handler that sets this field."""

    async def handler(conn: tt.Conn) -> tt.Conn:
        conn.response_headers.set(name, value)
        return conn.ok("")

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request("/", "Connection: close"))
        return await client.rest()


@pytest.mark.parametrize(
    ("name", "value"),
    [*(("X-Tag", f"a{each}b") for each in SENDABLE), *((f"X-{each}", "b") for each in IN_NAMES)],
)
async def test_cn_18_what_is_sendable_is_sent_as_it_is(
    name: str, value: str, autojump_clock: object
) -> None:
    raw = await respond_with(name, value)
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"\r\n{name}: {value}\r\n".encode("latin-1") in raw


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("X-Tag", f"a{each}b") for each in UNSENDABLE),
        *((f"X-Tag{each}", "b") for each in [*NOT_IN_NAMES, *UNSENDABLE]),
        ("", "b"),
    ],
)
async def test_cn_18_of_what_is_not_nothing_is_sent(
    name: str, value: str, caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    raw = await respond_with(name, value)
    assert raw.startswith(b"HTTP/1.1 500 ")
    assert b"x-tag" not in raw.lower()
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "GET /" in record.getMessage()


@pytest.mark.parametrize("text", ["", *(f"a{each}b" for each in SENDABLE)])
async def test_cn_18_a_server_field_is_sent_as_it_is(text: str, autojump_clock: object) -> None:
    async def hello(conn: tt.Conn) -> tt.Conn:
        return conn.ok("")

    config = tt.HttpConfig(server_header=text)
    async with tt.testing.TestServer(hello, tt.Config(http=config)) as app:
        with app.connect() as client:
            # The one that a handler's response has, and the one of a refusal.
            await client.send(request() + b"hello\r\n\r\n")
            raw = await client.receive_until_closed()
    assert raw.count(b"HTTP/1.1 ") == 2
    lines = f"\r\nserver: {text}\r\n" if text else "server:"
    assert raw.lower().count(lines.encode("latin-1")) == (2 if text else 0)


@pytest.mark.parametrize("character", UNSENDABLE)
def test_cn_18_an_unsendable_server_field_is_refused(character: str) -> None:
    with pytest.raises(tt.ConfigError, match=r"HttpConfig\.server_header"):
        tt.HttpConfig(server_header=f"a{character}b")


# CN-15. At the very moment of a timeout either may win; before and after it there is no doubt.

TICK = 2.0**-10
LARGE_BODY = b"x" * 100_000


async def speak(client: Peer, seconds: float) -> None:
    await trio.sleep(seconds)
    await client.send(request())


async def speak_again(client: Peer, seconds: float) -> None:
    assert (await client.get()).status == 200
    await speak(client, seconds)


async def send_head(pieces: int | None, client: Peer, seconds: float) -> None:
    """Send the pieces evenly, the last of them at the end."""
    start = trio.current_time()
    first, *others = cut(request(), pieces)
    await client.send(first)
    for count, piece in enumerate(others, 1):
        await trio.sleep_until(start + seconds * (count / len(others)))
        await client.send(piece)


async def send_body(pieces: int | None, client: Peer, seconds: float) -> None:
    """Send a body: all the time before each of its pieces."""
    message = request(method="PUT", body=b"xxxx")
    await client.send(message[:-4])
    for piece in cut(message[-4:], pieces):
        await trio.sleep(seconds)
        await client.send(piece)


async def take(client: Peer, seconds: float) -> None:
    await client.send(request("/large"))
    await trio.sleep(seconds)


async def shake_hands(client: Peer, seconds: float) -> None:
    assert isinstance(client.stream, trio.SSLStream)
    await trio.sleep(seconds)
    await client.stream.do_handshake()
    await client.send(request())


@pytest.mark.parametrize("beyond", [-TICK, 0, TICK])
@pytest.mark.parametrize(
    ("setting", "act", "late", "pair"),
    [
        pytest.param("head_timeout", speak, (0, False), memory_stream_pair, id="silent"),
        pytest.param("idle_timeout", speak_again, (0, False), memory_stream_pair, id="idle-again"),
        *(
            pytest.param(
                f"{what}_timeout", partial(send, pieces), (408, True), memory_stream_pair, id=name
            )
            for what, send, pieces, name in [
                ("head", send_head, 2, "head-halves"),
                ("head", send_head, None, "head-bytes"),
                ("body", send_body, 1, "body-whole"),
                ("body", send_body, 2, "body-halves"),
                ("body", send_body, None, "body-bytes"),
            ]
        ),
        pytest.param("write_timeout", take, (200, False), lockstep_stream_pair, id="write"),
        pytest.param("handshake_timeout", shake_hands, (0, False), tls_pair, id="handshake"),
    ],
)
async def test_cn_15_at_the_edge_of_a_timeout(
    setting: str,
    act: Callable[[Peer, float], Awaitable[None]],
    late: tuple[int, bool],
    pair: Callable[[], Pair],
    beyond: float,
    autojump_clock: object,
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        await conn.request_body.read()
        return conn.ok(LARGE_BODY if conn.path == "/large" else "")

    async with limited(handler, {setting: 4.0, "min_rate": 0}, pair) as app:
        client = app.connect()
        with suppress(trio.BrokenResourceError):
            await act(client, 4.0 + beyond)
        response = await client.response()
        await client.stream.aclose()
    outcome = response.status, response.is_whole
    in_time = (200, True)
    assert outcome in ([in_time] if beyond < 0 else [late] if beyond > 0 else [in_time, late])


@pytest.mark.parametrize("beyond", [-TICK, 0, TICK])
async def test_cn_15_a_peer_that_closes_at_the_edge_of_the_linger_timeout(
    beyond: float, autojump_clock: object
) -> None:
    async with serving("hello", linger_timeout=4.0) as app, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def leave() -> None:
            await trio.sleep(4.0 + beyond)
            await client.stream.aclose()

        client = app.connect()
        await client.send(request("/", "Connection: close"))
        assert (await client.response()).closes
        start = trio.current_time()
        app.handle.shut_down()
        await app.handle
        assert trio.current_time() - start == 4.0 + min(beyond, 0)


@pytest.mark.parametrize(
    ("setting", "sent", "statuses", "pair"),
    [
        pytest.param("idle_timeout", request(), [200, 0], memory_stream_pair, id="idle"),
        pytest.param("head_timeout", b"", [0], memory_stream_pair, id="silent"),
        pytest.param("body_timeout", length_of(9), [200], memory_stream_pair, id="whole-body"),
        pytest.param("body_timeout", length_of(9)[:-1], [408], memory_stream_pair, id="body"),
        pytest.param("handshake_timeout", b"", [0], tls_pair, id="handshake"),
    ],
)
async def test_cn_15_a_timeout_of_zero_waits_for_nobody(
    setting: str, sent: bytes, statuses: list[int], pair: Callable[[], Pair], autojump_clock: object
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(await conn.request_body.read())

    async with limited(handler, {setting: 0}, pair) as app:
        client = app.connect()
        if sent:
            await client.send(sent)
        assert [(await client.response()).status for _ in statuses] == statuses
        assert trio.current_time() == 0
        await client.stream.aclose()


async def test_cn_15_nor_does_a_response_or_a_close(autojump_clock: object) -> None:
    limits = {"write_timeout": 0, "linger_timeout": 0}
    async with limited(LARGE_BODY, limits, lockstep_stream_pair) as app:
        client = app.connect()
        await client.send(request())
        app.handle.shut_down()
        report = await app.handle
        assert report.is_clean
        assert trio.current_time() == 0


RATE = 16


@pytest.mark.parametrize("beyond", [-1, 0, 1])
async def test_cn_15_an_upload_at_the_edge_of_the_rate(beyond: int, autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(str(len(await conn.request_body.read())))

    async with serving(handler, min_rate=RATE, body_timeout=4.0) as app:
        client = app.connect()
        await client.send(request("/", "Content-Length: 1500", method="PUT"))
        with suppress(trio.BrokenResourceError):
            for _ in range(100):
                await trio.sleep(1)
                await client.send(b"x" * (RATE + beyond))
        if beyond < 0:
            # The timeout's length, and a second for each 16 bytes: with 15 a second, 64 seconds.
            assert (await client.response()).status == 408
        else:
            assert (await client.response()).body == b"1500"


@pytest.mark.parametrize("beyond", [-1, 0, 1])
async def test_cn_15_a_download_at_the_edge_of_the_rate(
    beyond: int, autojump_clock: object
) -> None:
    size = RATE + beyond

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b"x" * size

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.streaming(pieces(), length=400 * size))

    limits = {"min_rate": RATE, "write_timeout": 4.0}
    async with limited(handler, limits, lockstep_stream_pair) as app:
        client = app.connect()
        await client.send(request("/", "Connection: close"))
        taken = b""
        while piece := await client.receive():
            taken += piece
            await trio.sleep(1)
        await client.stream.aclose()
    body = taken.partition(b"\r\n\r\n")[2]
    assert len(body) == 400 * size if beyond >= 0 else len(body) < 400 * size


# SV-13


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_sv_13_at_the_edge_of_max_connections(count: int, autojump_clock: object) -> None:
    async with serving("hello", tt.config().with_max_connections(2)) as app:
        clients = []
        for _ in range(count):
            clients.append(app.connect())
            with suppress(trio.BrokenResourceError):  # refused already
                await clients[-1].send(request()[:-2])
            await settled()
        for client in clients[:2]:
            await client.send(b"\r\n")
        statuses = [(await client.response()).status for client in clients]
        assert statuses == [200, 200, 503][:count]
