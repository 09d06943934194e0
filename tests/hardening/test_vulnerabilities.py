"""Published vulnerabilities of HTTP servers and parsers, each as a test of this one.

An id names the CVE, or the project and the year, so that a report about another server can be
looked up here. The tables say what is sent, and what must become of it.
"""

from __future__ import annotations

import codecs
import logging
import re
import sys
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
import trio
from trio.testing import lockstep_stream_pair

import trillium_trio as tt
from tests.wire import Peer, chunked, request, serving, settled
from trillium_trio.codec import ChunkedReader, HeadLimits, _head, _irregular, read_head
from trillium_trio.conn import RequestBody
from trillium_trio.handlers import Forwarded
from trillium_trio.http import Headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trillium_trio.conn import HandlerLike


# Behind every attack: who reads the message before it otherwise than we do, runs this.
EVIL = request("/evil")


def post(*fields: str, body: bytes = b"") -> bytes:
    """Write a POST with these fields and bytes behind them, whatever the fields say of those."""
    lines = ["POST /first HTTP/1.1", "Host: x", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def post_chunks(body: bytes) -> bytes:
    return post("Transfer-Encoding: chunked", body=body)


class Witness:
    """A handler that reads the body, and notes every request whose body was whole."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes]] = []

    async def __call__(self, conn: tt.Conn) -> tt.Conn:
        body = await conn.request_body.read()
        self.seen.append((conn.method, conn.path, body))
        return conn.ok("seen")


def statuses(received: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"^HTTP/1\.1 (\d{3}) ", received, re.MULTILINE)]


async def send(client: Peer, data: bytes, step: int) -> None:
    """Send in pieces, each of which the server has read before the next one comes."""
    for at in range(0, len(data), step):
        try:
            await client.send(data[at : at + step])
        except trio.BrokenResourceError:
            return  # refused and closed before it was all sent
        if step < len(data):
            await settled()


# Where a message ends: one refusal, the connection over, nothing behind it read as a request.

FRAMING = {
    "CVE-2019-16785-waitress-bare-lf": (post("X: a\nTransfer-Encoding: chunked"), 400),
    "CVE-2019-16786-waitress-te-list": (post("Transfer-Encoding: gzip, chunked"), 501),
    "CVE-2019-16792-waitress-two-lengths": (post("Content-Length: 0", "Content-Length: 33"), 400),
    "CVE-2020-7658-meinheld-te-behind-vt": (post("Transfer-Encoding: \x0bchunked"), 400),
    "CVE-2020-10108-twisted-two-lengths": (post("Content-Length: 3", "Content-Length: 0"), 400),
    "CVE-2020-10109-twisted-length-and-te": (
        post("Content-Length: 3", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        400,
    ),
    "CVE-2022-24761-waitress-plus-in-chunk-size": (post_chunks(b"+3\r\nabc\r\n0\r\n\r\n"), 400),
    "CVE-2022-24761-waitress-bad-extension": (post_chunks(b"3;\x7f\r\nabc\r\n0\r\n\r\n"), 400),
    "CVE-2022-24801-twisted-signed-length": (post("Content-Length: +0"), 400),
    "CVE-2022-24801-twisted-0x-in-chunk-size": (post_chunks(b"0x3\r\nabc\r\n0\r\n\r\n"), 400),
    "CVE-2022-24801-twisted-bad-extension": (post_chunks(b"3;=\r\nabc\r\n0\r\n\r\n"), 400),
    "CVE-2023-37276-aiohttp-cr-in-field": (post("X: a\rTransfer-Encoding: chunked"), 400),
    "CVE-2023-41419-gevent-trailers": (post_chunks(b"0\r\n" + EVIL), 400),
    "CVE-2023-47627-aiohttp-minus-in-length": (post("Content-Length: -0"), 400),
    "CVE-2023-47627-aiohttp-underscore-in-length": (post("Content-Length: 0_0"), 400),
    "CVE-2023-47627-aiohttp-underscore-in-chunk": (post_chunks(b"0_3\r\nabc\r\n0\r\n\r\n"), 400),
    "CVE-2023-47641-aiohttp-length-and-te": (
        post("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n"),
        400,
    ),
    "CVE-2024-1135-gunicorn-two-codings": (
        post("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=b"0\r\n\r\n"),
        400,
    ),
    "CVE-2024-6827-gunicorn-unknown-coding": (
        post("Transfer-Encoding: xchunked", "Content-Length: 0"),
        501,
    ),
    "CVE-2024-23829-aiohttp-space-before-colon": (post("Content-Length : 33"), 400),
    "CVE-2024-23829-aiohttp-name-is-no-token": (post("Content\x80-Length: 33"), 400),
    "CVE-2024-49768-waitress-served-after-error": (b"G@T\r\n\r\n", 400),
    "CVE-2024-52304-aiohttp-lf-in-extension": (post_chunks(b"3;a\nb\r\nabc\r\n0\r\n\r\n"), 400),
    "CVE-2025-22871-go-lf-ends-chunk-size": (post_chunks(b"3\nabc\r\n0\r\n\r\n"), 400),
    "CVE-2025-43859-h11-chunk-end-unchecked": (post_chunks(b"3\r\nabcXX0\r\n\r\n"), 400),
    "CVE-2025-53643-aiohttp-trailers-unread": (
        post_chunks(b"0\r\nX: y\nGET /evil HTTP/1.1\r\n\r\n"),
        400,
    ),
    "CVE-2025-58068-eventlet-framing-in-trailer": (
        post_chunks(b"0\r\nContent-Length: 33\r\n\r\n"),
        400,
    ),
    "CVE-2025-69224-aiohttp-latin-digits": (post("Content-Length: \xb3"), 400),
    "CVE-2025-69224-aiohttp-arabic-digits": (
        post("Content-Length: " + "\u0663".encode().decode("latin-1")),
        400,
    ),
    "CVE-2026-22815-aiohttp-endless-trailers": (
        post_chunks(b"0\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(101))),
        431,
    ),
    "CVE-2026-44546-daphne-controls-split-fields": (
        post("X: a\x1cTransfer-Encoding: chunked"),
        400,
    ),
    "h2-4.4.1-two-hosts": (post("Host: y"), 400),
}


@pytest.mark.parametrize("step", [1, 1_000_000], ids=["by-byte", "whole"])
@pytest.mark.parametrize(("attack", "status"), FRAMING.values(), ids=FRAMING)
async def test_nothing_is_smuggled(
    attack: bytes, status: int, step: int, autojump_clock: object
) -> None:
    witness = Witness()
    async with serving(witness) as app:
        client = app.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, client, attack + EVIL, step)
            received = await client.rest()
            assert statuses(received) == [status]
            assert received.lower().count(b"\r\nconnection: close\r\n") == 1
        assert witness.seen == []
        assert (await app.connect().get("/honest")).body == b"seen"


async def test_cve_2022_29361_werkzeug_an_unread_body_is_no_request(
    autojump_clock: object,
) -> None:
    paths: list[str] = []

    async def ignorant(conn: tt.Conn) -> tt.Conn:
        paths.append(conn.path)
        return conn.ok("unread")

    async with serving(ignorant) as app:
        client = app.connect()
        await client.send(post(f"Content-Length: {len(EVIL)}", body=EVIL), request("/second"))
        assert [(await client.response()).status for _ in range(2)] == [200, 200]
        other = app.connect()
        await other.send(post_chunks(chunked(EVIL)), request("/second"))
        assert statuses(await other.rest()) == [200]
    assert paths == ["/first", "/second", "/first"]


@pytest.mark.parametrize("id_", ["CVE-2023-46137-twisted", "CVE-2024-41671-twisted"])
async def test_pipelined_responses_keep_their_order(id_: str, autojump_clock: object) -> None:
    running = 0

    async def slower_first(conn: tt.Conn) -> tt.Conn:
        nonlocal running
        running += 1
        assert running == 1, "one request of a connection at a time"
        await trio.sleep(10 - int(conn.path[1:]))
        running -= 1
        return conn.ok(conn.path)

    async with serving(slower_first) as app:
        client = app.connect()
        await client.send(*(request(f"/{n}") for n in range(5)))
        bodies = [(await client.response()).body for _ in range(5)]
    assert bodies == [b"/%d" % n for n in range(5)]


async def test_cve_2026_44546_daphne_a_byte_beyond_ascii_splits_no_field(
    autojump_clock: object,
) -> None:
    fields: list[tuple[str, str]] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        fields.extend(conn.request_headers.items())
        return conn.ok("")

    async with serving(handler) as app:
        # str.splitlines() would make two fields of it.
        await app.connect().send(post("X: a\x85Content-Length: 33"))
        await settled()
    assert fields == [("Host", "x"), ("X", "a\x85Content-Length: 33")]


# What a peer says, said again: in a field, a status line, a body, the log.


async def reflect(conn: tt.Conn) -> tt.Conn:
    return conn.with_response_header("X-Tag", unquote(conn.querystring)).ok("set")


async def leap(conn: tt.Conn) -> tt.Conn:
    return conn.redirect(unquote(conn.querystring))


class Reason(int):
    reason = phrase = "Fine\r\nX-Evil: 1"


async def brings_a_reason(conn: tt.Conn) -> tt.Conn:
    return conn.with_status(Reason(299)).with_body("set")


async def says_nothing(conn: tt.Conn) -> tt.Conn:
    return conn


async def fails(conn: tt.Conn) -> tt.Conn:
    raise RuntimeError(f"secret of {conn.host}{conn.path}")


async def refuses(conn: tt.Conn) -> tt.Conn:
    raise tt.BadRequest(f"secret of {conn.host}{conn.path}")


@pytest.mark.parametrize(
    ("handler", "status"),
    [
        pytest.param(reflect, 500, id="CVE-2020-7695-uvicorn-crlf-in-field"),
        pytest.param(leap, 500, id="CVE-2024-23653-redirect-crlf-in-location"),
        pytest.param(brings_a_reason, 299, id="CVE-2025-67724-tornado-reason-phrase"),
    ],
)
async def test_no_response_is_split(
    handler: HandlerLike, status: int, autojump_clock: object
) -> None:
    async with serving(handler) as app:
        response = await app.connect().get("/?a%0d%0aX-Evil:%201%0d%0a%0d%0aHTTP/1.1")
        assert (response.status, response.is_whole) == (status, True)
        assert "x-evil" not in response.headers
        assert "x-tag" not in response.headers


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(leap, id="CVE-2024-41810-twisted-redirect-page"),
        pytest.param(says_nothing, id="CVE-2022-39348-twisted-host-on-404"),
        pytest.param(fails, id="error-page-without-internals"),
        pytest.param(refuses, id="refusal-without-internals"),
    ],
)
async def test_no_page_of_ours_says_anything_of_the_request(
    handler: HandlerLike, autojump_clock: object
) -> None:
    async with serving(handler) as app:
        client = app.connect()
        await client.send(b"GET /attack?<script>attack HTTP/1.1\r\nHost: attack\r\n\r\n")
        response = await client.response()
        assert response.is_whole
        assert b"attack" not in response.body
        assert b"secret" not in response.body
        assert b"Traceback" not in response.body
        assert response.headers.get("content-type", "text/plain").startswith("text/plain")


ESCAPES = "\x1b[31m\x07\x9b2J"

# With what each of them is refused, once: (what is sent, status).
LOGGED = {
    "CVE-2020-7694-uvicorn-escapes-in-target": (f"GET /{ESCAPES} HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "escapes-in-method": (f"G{ESCAPES} / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "c1-escape-in-target": ("GET /\x9b31m HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "c1-escape-in-method": ("G\x9b31m / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "c1-escape-in-version": ("GET / HTTP/1.\x9b\r\nHost: x\r\n\r\n", 400),
    "c1-escape-in-field-name": ("GET / HTTP/1.1\r\nHost: x\r\nA\x9b31m: b\r\n\r\n", 400),
    "c1-escape-in-host": ("GET / HTTP/1.1\r\nHost: \x9b31m\r\n\r\n", 400),
    "c1-escape-in-length": ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: \x9b\r\n\r\n", 400),
    "c1-escape-in-coding": ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x9b\r\n\r\n", 400),
    "c1-escape-in-expectation": ("GET / HTTP/1.1\r\nHost: x\r\nExpect: \x9b31m\r\n\r\n", 417),
    "long-coding": (f"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {'a' * 16_000}\r\n\r\n", 501),
    "endless-target": (f"GET /{'a' * 60_000}", 414),
    "endless-head": (f"GET / HTTP/1.1\r\nA: {'a' * 60_000}", 431),
    "escapes-in-chunk-size": (post_chunks(b"\x1b[31m\r\n").decode("latin-1"), 400),
    "escapes-in-trailer": (post_chunks(b"0\r\nA\x9b: b\r\n\r\n").decode("latin-1"), 400),
    "forbidden-trailer": (post_chunks(b"0\r\nHost: b\r\n\r\n").decode("latin-1"), 400),
}
NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.name == "trillium_trio.driver"]


@pytest.mark.parametrize(("attack", "status"), LOGGED.values(), ids=LOGGED)
async def test_a_refusal_is_one_printable_line(
    attack: str, status: int, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(Witness()) as app:
        client = app.connect()
        # However much of it there is: who is refused once is not listened to again.
        await client.send(attack.encode("latin-1") * 3)
        assert statuses(await client.rest()) == [status]
        await client.stream.aclose()
        await settled()
    [record] = logged(caplog)
    assert record.levelno == logging.INFO
    assert record.exc_info is None
    assert NOT_PRINTABLE.search(record.getMessage()) is None
    assert len(record.getMessage()) < 17_000


async def test_the_message_of_an_exception_is_one_printable_line(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        raise tt.BadRequest(f"no {await conn.request_body.text()}")

    caplog.set_level(logging.DEBUG)
    async with serving(handler) as app:
        client = app.connect()
        await client.send(request("/", method="POST", body="é\r\n\x1b[2J\u202e forged".encode()))
        assert (await client.response()).status == 400
    [record] = logged(caplog)
    assert record.getMessage().endswith(r"no é\r\n\x1b[2J\u202e forged")


async def test_the_traceback_of_an_exception_forges_no_line(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        text = await conn.request_body.text()
        try:
            raise LookupError(f"first {text}")
        except LookupError as error:
            error.add_note(f"note {text}")
            raise ExceptionGroup(f"group {text}", [ValueError(f"second {text}")]) from error

    async with serving(handler) as app:
        client = app.connect()
        body = b"\r\nERROR forged\x1b[2J\n  | forged"
        await client.send(request("/", method="POST", body=body))
        assert (await client.response()).status == 500
    [record] = logged(caplog)
    assert record.exc_info is not None
    lines = logging.Formatter().format(record).split("\n")
    assert "Traceback (most recent call last):" in lines
    assert all(line.isprintable() for line in lines)
    for what in ("first", "second", "note", "group"):
        [shown] = [line for line in lines[1:] if f"{what} \\r\\nERROR forged\\x1b" in line]
        assert not shown.startswith("ERROR")
    assert not any(line.startswith(("ERROR", "  | forged")) for line in lines)


async def test_an_answered_request_logs_nothing_whatever_it_says(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    # CVE-2025-69230, aiohttp: a line for each odd cookie fills the disk.
    caplog.set_level(logging.DEBUG)
    cookies = [f"Cookie: {'; '.join(f'=[{n}=' for n in range(20))}" for _ in range(90)]
    async with serving(Witness()) as app:
        response = await app.connect().get("/", *cookies)
        assert response.status == 200
    assert logged(caplog) == []


# Host and URL


@pytest.mark.parametrize(
    "head",
    [
        pytest.param("GET / HTTP/1.1\r\nHost: x/admin?", id="CVE-2026-48710-starlette-host-path"),
        pytest.param("GET / HTTP/1.1\r\nHost: x#", id="CVE-2026-48710-starlette-host-fragment"),
        pytest.param("GET / HTTP/1.1\r\nHost: x\\evil", id="CVE-2026-48710-starlette-backslash"),
        pytest.param("GET @evil/ HTTP/1.1\r\nHost: x", id="CVE-2026-54282-starlette-at-target"),
        pytest.param("GET .evil/ HTTP/1.1\r\nHost: x", id="CVE-2026-54282-starlette-dot-target"),
        pytest.param("GET http://x@evil/ HTTP/1.1\r\nHost: x", id="userinfo-in-target"),
        pytest.param("GET /\\evil HTTP/1.1\r\nHost: x", id="CVE-2023-28370-tornado-backslash"),
    ],
)
async def test_what_would_change_the_url_is_refused(head: str, autojump_clock: object) -> None:
    witness = Witness()
    async with serving(witness) as app:
        client = app.connect()
        await client.send(f"{head}\r\n\r\n".encode())
        assert statuses(await client.rest()) == [400]
    assert witness.seen == []


@pytest.mark.parametrize(
    "id_",
    ["CVE-2020-28724-werkzeug", "CVE-2021-21330-aiohttp", "CVE-2023-28370-tornado"],
)
async def test_two_slashes_are_no_authority(id_: str, autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(f"{conn.host} {conn.path} {conn.url}")

    async with serving(handler) as app:
        response = await app.connect().get("//evil/..%2f")
        assert response.body == b"x //evil/..%2f http://x//evil/..%2f"


# Memory and processor time. No clock: what is counted are calls, and bytes that were looked at.


@contextmanager
def counting_calls() -> Iterator[list[int]]:
    """Count what is called, Python's and C's, by whatever runs in the block."""
    calls = [0]

    def profile(frame: object, event: str, argument: object) -> None:
        calls[0] += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def calls_of(work: Callable[[], object]) -> int:
    with counting_calls() as calls:
        work()
    return calls[0]


def tiny_chunks(count: int) -> Callable[[], object]:
    # The smallest that are read one by one: a run of smaller ones is two calls.
    data = b"10\r\n0123456789abcdef\r\n" * count + b"0\r\n\r\n"

    def work() -> None:
        reader = ChunkedReader()
        reader.feed(data)
        while reader.is_paused:
            reader.feed(b"")
        assert reader.is_complete

    return work


def trailer_lines(count: int) -> Callable[[], object]:
    data = b"0\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(count)) + b"\r\n"
    return lambda: ChunkedReader().feed(data)


def bytewise_trailers(count: int) -> Callable[[], object]:
    data = b"0\r\n" + b"X: y\r\n" * count + b"\r\n"

    def work() -> None:
        reader = ChunkedReader()
        for at in range(len(data)):
            reader.feed(data[at : at + 1])
        assert reader.is_complete

    return work


def bytewise_head(count: int) -> Callable[[], object]:
    head = post(*["X: y"] * count)

    def work() -> None:
        parsed = None
        for end in range(1, len(head) + 1):
            parsed = read_head(head[:end], HeadLimits(), seen=end - 1)
        assert parsed is not None

    return work


def repeated_fields(count: int) -> Callable[[], object]:
    # Odd enough for the way that looks at every line.
    head = post(*["X: \xff"] * count)
    limits = HeadLimits(max_headers=1000, max_head_bytes=100_000)

    def work() -> None:
        parsed = read_head(head, limits)
        assert parsed is not None
        assert len(parsed[0].headers.get_all("x")) == count

    return work


def header_block(count: int) -> Callable[[], object]:
    return lambda: Headers.from_block(b"X: y\r\n" * count).items()


@pytest.mark.parametrize(
    ("make", "count"),
    [
        pytest.param(tiny_chunks, 1000, id="CVE-2025-69229-aiohttp-tiny-chunks"),
        pytest.param(trailer_lines, 40, id="CVE-2026-22815-aiohttp-trailers"),
        pytest.param(bytewise_trailers, 40, id="trailers-byte-by-byte"),
        pytest.param(bytewise_head, 40, id="head-byte-by-byte"),
        pytest.param(repeated_fields, 200, id="CVE-2025-67725-tornado-repeated-fields"),
        pytest.param(header_block, 200, id="CVE-2025-67725-tornado-field-block"),
    ],
)
def test_twice_the_input_is_twice_the_work(
    make: Callable[[int], Callable[[], object]], count: int
) -> None:
    make(count)()  # what is done once, such as filling caches, is done
    once, twice = calls_of(make(count)), calls_of(make(2 * count))
    assert count < once < twice < 2.1 * once


async def test_each_line_of_a_head_that_dribbles_in_is_checked_once(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []

    def noting(at: int, line: bytes) -> None:
        checked.append(line)
        _irregular.check_line(at, line)

    monkeypatch.setattr(_head, "check_line", noting)
    head = post(*["X: y"] * 20)
    async with serving("hello") as app:
        client = app.connect()
        # But for its end: a whole head is read by one pattern, or by all checks once more.
        await send(client, head[:-1], 1)
    assert checked == head[:-4].split(b"\r\n")


async def test_aiohttp_3_14_1_pipelined_requests_wait_for_who_does_not_read(
    autojump_clock: object,
) -> None:
    taken: list[int] = []

    async def flood(client: Peer) -> None:
        requests = request() * 1000
        for _ in range(100):
            await client.send(requests)
            taken.append(len(requests))

    witness = Witness()
    # What is sent over such a pair waits until it is taken.
    async with serving(witness, pair=lockstep_stream_pair) as app, trio.open_nursery() as nursery:
        client = app.connect()
        nursery.start_soon(flood, client)
        await settled()
        # One receive, and one request, whose response waits to be read.
        assert len(witness.seen) == len(taken) == 1
        nursery.cancel_scope.cancel()
        await client.stream.aclose()


# What a peer names and Python looks up: its own limits apply to JSON, and its codecs are many.


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="CVE-2024-27454-orjson-depth"),
        pytest.param(b'{"a":' * 100_000, id="CVE-2024-27454-orjson-depth-of-objects"),
        pytest.param(b"9" * 100_000, id="CVE-2020-10735-cpython-digits"),
        pytest.param(b"\xff\xfe\x00", id="no-unicode"),
    ],
)
async def test_json_that_python_gives_up_on_is_a_bad_request(
    body: bytes, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        await conn.request_body.json()
        return conn.ok("read")

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request("/", method="POST", body=body))
        assert (await client.response()).status == 400
        await client.send(request("/", method="POST", body=b"{}"))
        assert (await client.response()).status == 200
    assert [each.levelno for each in logged(caplog) if each.levelno > logging.INFO] == []


@pytest.mark.parametrize(
    "charset",
    [
        pytest.param("punycode", id="CVE-2022-45061-cpython-quadratic-punycode"),
        pytest.param("idna", id="CVE-2022-45061-cpython-quadratic-idna"),
        pytest.param("undefined", id="raises-what-no-other-codec-does"),
        pytest.param("zip", id="bytes-to-bytes-that-inflate"),
        pytest.param("never-heard-of", id="remembered-by-python-for-ever"),
    ],
)
async def test_a_charset_that_is_none_is_not_looked_up(
    charset: str, autojump_clock: object
) -> None:
    looked_up: list[str] = []

    def search(name: str) -> None:
        looked_up.append(name)

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(await conn.request_body.text())

    codecs.register(search)
    try:
        async with serving(handler) as app:
            client = app.connect()
            field = f"Content-Type: text/plain; charset={charset}"
            await client.send(request("/", field, method="POST", body=b"\\q"))
            assert (await client.response()).status == 400
    finally:
        codecs.unregister(search)
    # Python keeps each name that it did not find.
    assert looked_up == []


# Crashes, and what leaks from one request into another. Races of the accept: tests/e2e.


async def test_cve_2026_42544_granian_bytes_beyond_ascii_end_nothing(
    autojump_clock: object,
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(conn.request_headers["Sec-WebSocket-Protocol"].encode("latin-1"))

    async with serving(handler) as app:
        client = app.connect()
        fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Protocol: \xe9\xff")
        await client.send(post(*fields))
        response = await client.response()
        assert (response.status, response.body) == (200, b"\xe9\xff")
        await client.send(post(*fields))
        assert (await client.response()).status == 200


async def test_cve_2020_35681_channels_state_belongs_to_one_request(
    autojump_clock: object,
) -> None:
    meet = trio.Event()
    found: list[str | None] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        found.append(conn.state(str))
        conn.insert_state(conn.path)
        conn.response_headers.set("X-Path", conn.path)
        await meet.wait()
        return conn.ok(conn.state(str))

    async with serving(handler) as app:
        clients = [app.connect() for _ in range(3)]
        for n, client in enumerate(clients):
            await client.send(request(f"/{n}"), request(f"/{n}/again"))
        await settled()
        meet.set()
        for n, client in enumerate(clients):
            for path in (f"/{n}", f"/{n}/again"):
                response = await client.response()
                assert response.body.decode() == response.headers["x-path"] == path
    assert found == [None] * 6


class InPairs:
    """A body that arrives two bytes at a time."""

    trailers = Headers()

    def __init__(self, length: int) -> None:
        self.length = self._left = length

    @property
    def is_complete(self) -> bool:
        return self._left == 0

    async def receive(self, max_bytes: int) -> bytes:
        piece = bytes(min(2, self._left))
        self._left -= len(piece)
        return piece


async def test_a_body_in_tiny_pieces_takes_no_more_memory() -> None:
    size = 100_000
    head, _ = read_head(request(), HeadLimits()) or pytest.fail("no head")
    body = RequestBody(InPairs(size), max_bytes=size, max_json_bytes=size, head=head)
    tracemalloc.start()
    try:
        assert await body.read() == bytes(size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # What is returned, what it was gathered in, and some room to grow.
    assert peak < 3 * size


# Which address is the client's, behind one proxy that appends to what it gets.
ADDRESSES = {
    "divviup-api-2278-leftmost": ["X-Forwarded-For: 6.6.6.6, 1.2.3.4"],
    "uvicorn-0.48-second-line": ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 1.2.3.4"],
    "uvicorn-star-leftmost": ["x-forwarded-for: 127.0.0.1, 1.2.3.4"],
    "a-quote-without-its-partner": ['Forwarded: for="6.6.6.6, for=1.2.3.4'],
    "a-name-in-place-of-an-address": ["X-Forwarded-For: localhost, 1.2.3.4"],
    "an-address-with-a-zone": ["X-Forwarded-For: ::1%\t1.2.3.4, 1.2.3.4"],
}


@pytest.mark.parametrize("trust", ["unix", "*"])
@pytest.mark.parametrize("id_", ADDRESSES)
async def test_no_client_chooses_its_address(id_: str, trust: str, autojump_clock: object) -> None:
    async def show(conn: tt.Conn) -> tt.Conn:
        return conn.ok(f"{conn.peer_ip} {conn.url}")

    async with serving((Forwarded([trust]), show)) as app:
        # Most proxies pass this one on.
        fields = (*ADDRESSES[id_], "X-Forwarded-Host: evil")
        response = await app.connect().get("/", *fields)
        assert response.body == b"1.2.3.4 http://x/"
