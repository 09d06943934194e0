"""PX-8 to PX-10, PX-12 to PX-14, PX-19 and PX-20 of docs/spec/proxy.md: one exchange, over time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import lockstep_stream_pair

import trillium_trio as tt
from tests.spec._proxy import Hosts, Played, behind, played
from tests.wire import serving, settled
from trillium_trio.handlers import Proxy, Timeout
from trillium_trio.testing import MemoryListener, StallingStream, TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from trillium_trio.testing import RawPeer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
MIB = 1024 * 1024


def reasons(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(each.getMessage() for each in caplog.records)


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trillium_trio")


# -- PX-8 --------------------------------------------------------------------------------------


async def test_px_8_a_large_body_passes_both_ways() -> None:
    async def echo(conn: tt.Conn) -> tt.Conn:
        return conn.ok(await conn.request_body.read())

    body = bytes(range(256)) * (8 * 1024)
    async with behind(echo) as app:
        (await app.post("/", body=body)).assert_ok().assert_body(body)

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 70_000):
                yield body[start : start + 70_000]

        (await app.put("/", body=pieces())).assert_ok().assert_body(body)


async def test_px_8_a_client_that_does_not_read_holds_the_upstream_up() -> None:
    given = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal given
        while given < 64 * MIB:
            given += 65_536
            yield b"x" * 65_536

    async def upstream(conn: tt.Conn) -> tt.Conn:
        return conn.ok(pieces())

    # Streams that take nothing before it is read.
    async with serving(upstream, pair=lockstep_stream_pair) as back:
        hosts = Hosts(up=lambda: back.connect().stream)
        proxy = Proxy("http://up", connect=hosts.connect)
        async with serving(proxy, pair=lockstep_stream_pair) as app:
            client = app.connect()
            await client.send(GET)
            for taken in (100_000, 5 * MIB):
                received = 0
                while received < taken:
                    received += len(await client.stream.receive_some())
                await settled()
                assert given < 2 * taken + 500_000
            await client.stream.aclose()
    assert given < 20 * MIB


async def test_px_8_an_upstream_that_does_not_read_holds_the_client_up() -> None:
    taken, go_on = 0, trio.Event()

    async def upstream(conn: tt.Conn) -> tt.Conn:
        nonlocal taken
        async for piece in conn.request_body:
            taken += len(piece)
            if taken > 100_000:
                await go_on.wait()
        return conn.ok(str(taken))

    config = tt.config().with_http(tt.HttpConfig(max_body_bytes=64 * MIB)).with_drain_timeout(30)
    given = 0
    async with serving(upstream, pair=lockstep_stream_pair) as back:
        hosts = Hosts(up=lambda: back.connect().stream)
        proxy = Proxy("http://up", connect=hosts.connect)
        async with (
            serving(proxy, config, pair=lockstep_stream_pair) as app,
            trio.open_nursery() as nursery,
        ):
            client = app.connect()

            async def give() -> None:
                nonlocal given
                await client.send(CHUNKED)
                for _ in range(50):
                    await client.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                    given += 65_536
                await client.send(b"0\r\n\r\n")

            nursery.start_soon(give)
            await settled()
            assert 0 < given < 600_000
            go_on.set()
            assert (await client.response()).body == b"%d" % (50 * 65_536)
            await client.stream.aclose()


def _to(back: TestServer, **settings: Any) -> Proxy:
    return Proxy("http://up", connect=Hosts(up=lambda: back.connect().stream).connect, **settings)


async def test_px_8_a_small_body_is_sent_with_its_head() -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        await settled()
        await peer.send(b"cd")
        visit = await upstream.accept()
        assert (await visit.stream.receive_some()).endswith(b"\r\n\r\nabcd")
        await visit.send(OK)
        assert (await peer.receive_response()).status == 200


async def test_px_8_a_body_that_is_too_large_is_a_413() -> None:
    hosts = Hosts()
    async with TestServer(Proxy("http://up", connect=hosts.connect, max_body_bytes=10)) as app:
        (await app.post("/", body=b"x" * 11)).assert_status(413)
        (await app.post("/", body=b"x" * 100_000)).assert_status(413)
    assert hosts.dialled == []
    async with behind(_swallow, max_body_bytes=10) as app:
        peer = app.connect()
        await peer.send(CHUNKED + b"8\r\n12345678\r\n8\r\n")
        assert (await peer.receive_response()).status == 413
        (await app.post("/", body=b"x" * 10)).assert_ok()
    config = tt.Config(http=tt.HttpConfig(max_body_bytes=10))
    async with behind(_swallow, config=config) as app:
        (await app.post("/", body=b"x" * 11)).assert_status(413)


async def _swallow(conn: tt.Conn) -> tt.Conn:
    return conn.ok(str(len(await conn.request_body.read())))


async def test_px_8_bytes_pass_on_as_they_come() -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(CHUNKED + b"1\r\na\r\n")
        visit = await upstream.accept()
        await visit.until(b"1\r\na\r\n")
        await peer.send(b"1\r\nb\r\n0\r\n\r\n")
        await visit.until(b"1\r\nb\r\n0\r\n\r\n")
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n")
        received = await peer.receive_some()
        while not received.endswith(b"1\r\nc\r\n"):
            received += await peer.receive_some()
        await visit.send(b"0\r\n\r\n")
        assert await peer.receive_some() == b"0\r\n\r\n"


# -- PX-9 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [b"413 Content Too Large", b"200 OK"])
async def test_px_9_an_early_answer_is_passed_on(status: bytes) -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(CHUNKED + b"1\r\na\r\n")
        visit = await upstream.accept()
        await visit.until(b"1\r\na\r\n")
        await visit.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nno")
        response = await peer.receive_response()
        assert (response.status, response.body) == (int(status[:3]), b"no")
        assert response.is_closing
        assert await visit.ends()
        peer.close()


async def test_px_9_one_that_closes_after_its_answer_is_heard() -> None:
    """An upstream that refuses a body often closes without reading it."""
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(CHUNKED + b"1\r\na\r\n")
        visit = await upstream.accept()
        await visit.until(b"1\r\na\r\n")
        visit.close()
        await peer.send(b"1\r\nb\r\n" * 10)
        assert (await peer.receive_response()).status == 502


async def test_px_9_both_go_on_at_once() -> None:
    async def upper(conn: tt.Conn) -> tt.Conn:
        async def pieces() -> AsyncIterator[bytes]:
            async for piece in conn.request_body:
                yield piece.upper()

        return conn.ok(pieces())

    async with behind(upper) as app:
        peer = app.connect()
        await peer.send(CHUNKED)
        received = b""
        for letter in (b"a", b"b", b"c"):
            await peer.send(b"1\r\n" + letter + b"\r\n")
            while not received.endswith(b"1\r\n" + letter.upper() + b"\r\n"):
                received += await peer.receive_some()
        await peer.send(b"0\r\n\r\n")
        while not received.endswith(b"0\r\n\r\n"):
            received += await peer.receive_some()
        peer.close()


async def test_px_9_a_client_that_stalls_within_an_early_answer_is_cut(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with played(config=tt.Config(http=tt.HttpConfig(body_timeout=3))) as (app, upstream):
        peer = app.connect()
        await peer.send(CHUNKED + b"1\r\na\r\n")
        visit = await upstream.accept()
        await visit.until(b"1\r\na\r\n")
        await visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n")
        received = await peer.receive_until_closed()
        assert received.startswith(b"HTTP/1.1 200")
        assert not received.endswith(b"0\r\n\r\n")
        assert await visit.ends()
        assert app.swansong.guard_count == 0


# -- PX-10 -------------------------------------------------------------------------------------


async def test_px_10_interim_answers_are_passed_on() -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(GET)
        await upstream.answer(
            b"HTTP/1.1 100 Continue\r\n\r\n"
            b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-a\r\nX-A: 1\r\n\r\n"
            b"HTTP/1.1 102 Processing\r\n\r\n" + OK
        )
        received = await peer.receive_some()
        while not received.endswith(b"ok"):
            received += await peer.receive_some()
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nvia: 1.1 trillium-trio\r\n\r\n"
    assert received.startswith(hint + b"HTTP/1.1 102 ")
    assert received.count(b"HTTP/1.1 ") == 3


async def test_px_10_a_client_of_http_1_0_gets_none() -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(b"GET / HTTP/1.0\r\n\r\n")
        await upstream.answer(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
        assert (await peer.receive_until_closed()).startswith(b"HTTP/1.1 200 OK\r\n")


EXPECT = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"


async def test_px_10_the_client_is_invited_when_the_upstream_is_ready(
    autojump_clock: MockClock,
) -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(EXPECT)
        visit = await upstream.accept()
        assert "expect: 100-continue" in await visit.head()
        with trio.move_on_after(0.5) as early:
            await peer.receive_some()
        assert early.cancelled_caught
        await visit.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await peer.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.send(b"hi")
        await visit.until(b"hi")
        await visit.send(OK)
        assert (await peer.receive_response()).body == b"ok"


async def test_px_10_a_final_answer_saves_the_body(autojump_clock: MockClock) -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(EXPECT)
        visit = await upstream.accept()
        await visit.head()
        await visit.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        response = await peer.receive_response()
        assert (response.status, response.informational, response.body) == (401, (), b"no")
        assert response.is_closing
        assert await visit.ends()
        peer.close()


async def test_px_10_an_upstream_that_says_nothing_gets_the_body(
    autojump_clock: MockClock,
) -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(EXPECT)
        visit = await upstream.accept()
        await visit.head()
        start = trio.current_time()
        assert await peer.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert trio.current_time() - start == pytest.approx(1.0)
        await peer.send(b"hi")
        await visit.until(b"hi")
        await visit.send(OK)
        assert (await peer.receive_response()).body == b"ok"


# -- PX-12 -------------------------------------------------------------------------------------


async def test_px_12_one_that_refuses_is_a_502(caplog: pytest.LogCaptureFixture) -> None:
    proxy = Proxy("http://secret.internal:81", connect=Hosts().connect)
    async with TestServer(proxy) as app:
        response = (await app.get("/x")).assert_status(502).assert_body("Bad Gateway\n")
    assert "secret" not in str(response.headers)
    line = "GET /x: HttpError: 502 http://secret.internal:81 cannot be reached: connection refused"
    assert line in reasons(caplog)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "has closed the connection without an answer"),
        (b"HTTP/1.1 200", "without an answer"),
        (b"hello\r\n\r\n", "broke the protocol"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "broke the protocol"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "broke the protocol"),
        (b"HTTP/1.1 103 Early\r\n\r\n", "without an answer"),
        (
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "broke the protocol",
        ),
    ],
)
async def test_px_12_a_broken_answer_is_a_502(
    answer: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with played() as (app, upstream), trio.open_nursery() as nursery:

        async def serve() -> None:
            visit = await upstream.accept()
            await visit.head()
            await visit.send(answer)
            visit.close()

        nursery.start_soon(serve)
        (await app.post("/")).assert_status(502).assert_body("Bad Gateway\n")
    assert "http://up " in reasons(caplog)
    assert reason in reasons(caplog)
    assert not [each for each in caplog.records if each.exc_info]


# -- PX-13 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (b"Content-Length: 9\r\n\r\nabc", "close"),
        (b"Content-Length: 9\r\n\r\nabc", "reset"),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "close"),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n", ""),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", ""),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-A: a\x01\r\n\r\n", ""),
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_px_13_an_answer_that_breaks_off_is_severed(
    answer: bytes,
    end: str,
    version: str,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with played(piece_timeout=3) as (app, upstream):
        peer = app.connect()
        await peer.send(GET.replace(b"1.1", version.encode()))
        visit = await upstream.accept()
        await visit.head()
        await visit.send(b"HTTP/1.1 200 OK\r\n" + answer)
        await settled()
        if end:
            getattr(visit, end)()
        received, is_reset = await _all(peer)
    assert await visit.ends()
    assert b"\r\n0\r\n" not in received
    if b"Content-Length" in answer:
        assert received.endswith(b"abc") or is_reset
    elif version == "1.0":
        # What is known to be broken before the head is sent needs no reset.
        assert is_reset or received.startswith(b"HTTP/1.1 502 ")
    assert "HttpError: 50" in reasons(caplog)
    assert "http://up " in reasons(caplog)


async def _all(peer: RawPeer) -> tuple[bytes, bool]:
    received = b""
    try:
        while data := await peer.receive_some():
            received += data
    except trio.BrokenResourceError:
        return received, True
    return received, False


async def test_px_13_an_answer_that_ends_with_its_connection_is_whole() -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(GET)
        visit = await upstream.accept()
        await visit.head()
        await visit.send(b"HTTP/1.0 200 OK\r\n\r\nabc")
        visit.close()
        response = await peer.receive_response()
        assert (response.status, response.body) == (200, b"abc")


# -- PX-14 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "body", "is_safe"),
    [
        *(("GET", b"", True), ("HEAD", b"", True), ("PUT", b"hi", True), ("DELETE", b"", True)),
        *(("POST", b"", False), ("POST", b"hi", False), ("PATCH", b"hi", False)),
        ("PUT", b"x" * 70_000, False),
    ],
)
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_px_14_a_kept_connection_that_ends_is_no_error_where_that_is_safe(
    method: str, body: bytes, is_safe: bool, end: str
) -> None:
    async with played() as (app, upstream), app.session() as session:

        async def serve() -> None:
            visit = await upstream.accept()
            await visit.head()
            await visit.send(OK)
            await visit.head()
            if body:
                await visit.until(body)
            getattr(visit, end)()
            if is_safe:
                visit = await upstream.accept()
                await visit.head()
                await visit.send(OK)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            (await session.get("/")).assert_ok()
            response = await session.request(method, "/", body=body)
    response.assert_status(200 if is_safe else 502)


async def test_px_14_it_is_sent_once_more_at_most() -> None:
    async with played() as (app, upstream), trio.open_nursery() as nursery:
        visits = 0

        async def serve() -> None:
            nonlocal visits
            while True:
                visit = await upstream.accept()
                visits += 1
                await visit.head()
                visit.close()

        nursery.start_soon(serve)
        (await app.get("/")).assert_status(502)
        assert visits == 2
        nursery.cancel_scope.cancel()


async def test_px_14_nothing_is_sent_again_once_a_byte_of_the_answer_has_come() -> None:
    async with played() as (app, upstream), trio.open_nursery() as nursery:

        async def serve() -> None:
            visit = await upstream.accept()
            await visit.head()
            await visit.send(b"H")
            visit.close()

        nursery.start_soon(serve)
        (await app.get("/")).assert_status(502)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_px_14_what_found_no_connection_goes_to_the_next(
    method: str, is_streamed: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"hi"

    async with TestServer(_swallow) as back:
        hosts = Hosts(up=lambda: back.connect().stream)
        proxy = Proxy(["http://gone", "http://up"], connect=hosts.connect)
        async with TestServer(proxy) as app:
            body: Any = pieces() if is_streamed else b"hi"
            (await app.request(method, "/", body=body)).assert_ok().assert_body("2")
    assert hosts.dialled == ["gone", "up"]


async def test_px_14_one_that_ends_without_an_answer_is_asked_no_more_than_another() -> None:
    async with TestServer("other") as back:
        upstream = Played()
        hosts = Hosts(a=upstream.open, b=lambda: back.connect().stream)
        proxy = Proxy(["http://a", "http://b"], connect=hosts.connect)
        async with TestServer(proxy) as app, trio.open_nursery() as nursery:

            async def serve() -> None:
                visit = await upstream.accept()
                await visit.head()
                visit.close()

            nursery.start_soon(serve)
            (await app.get("/")).assert_ok().assert_body("other")
    assert hosts.dialled == ["a", "b"]


# -- PX-19 -------------------------------------------------------------------------------------


async def test_px_19_a_connection_that_takes_too_long(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def never(host: str, port: int) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    async with TestServer(Proxy("http://up", connect=never, connect_timeout=3)) as app:
        start = trio.current_time()
        (await app.get("/")).assert_status(504)
        assert trio.current_time() - start == pytest.approx(3)
    assert "http://up has not accepted a connection for 3 s" in reasons(caplog)


@pytest.mark.parametrize("body", [b"", b"x" * 100_000])
async def test_px_19_a_head_that_takes_too_long(
    body: bytes, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with played(answer_timeout=7) as (app, upstream):
        start = trio.current_time()
        (await app.post("/", body=body)).assert_status(504).assert_body("Gateway Timeout\n")
        assert trio.current_time() - start == pytest.approx(7)
        await (await upstream.accept()).until(b"\r\n\r\n" + body)
    assert "http://up has" in reasons(caplog)
    assert "for 7 s" in reasons(caplog)


async def test_px_19_a_slow_upload_does_not_count(autojump_clock: MockClock) -> None:
    async with played(answer_timeout=7) as (app, upstream):
        peer = app.connect()
        await peer.send(CHUNKED)
        for _ in range(5):
            await trio.sleep(5)
            await peer.send(b"1\r\na\r\n")
        await peer.send(b"0\r\n\r\n")
        visit = await upstream.accept()
        await visit.until(b"0\r\n\r\n")
        await trio.sleep(6)
        await visit.send(OK)
        assert (await peer.receive_response()).status == 200


async def test_px_19_interim_answers_buy_no_time(autojump_clock: MockClock) -> None:
    async with played(answer_timeout=7) as (app, upstream):
        peer = app.connect()
        await peer.send(GET)
        visit = await upstream.accept()
        for _ in range(3):
            await trio.sleep(2)
            await visit.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        start = trio.current_time()
        assert (await peer.receive_response()).status == 504
        assert trio.current_time() - start == pytest.approx(1)


async def test_px_19_an_upstream_that_does_not_take_the_request(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = MemoryListener()
    hosts = Hosts(up=lambda: StallingStream(listener.connect(), at=2, on="send"))
    proxy = Proxy("http://up", connect=hosts.connect, piece_timeout=4)
    async with TestServer(proxy) as app:
        start = trio.current_time()
        (await app.post("/", body=b"x" * 1_000_000)).assert_status(504)
        assert trio.current_time() - start == pytest.approx(4)
    assert "http://up has not taken the request for 4 s" in reasons(caplog)


async def test_px_19_a_bound_on_the_handler_does_not_bound_the_body(
    autojump_clock: MockClock,
) -> None:
    async def slow(conn: tt.Conn) -> tt.Conn:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield b"x"
                await trio.sleep(2)

        return conn.ok(pieces())

    async with TestServer(slow) as back, TestServer(Timeout(_to(back), seconds=3)) as app:
        (await app.get("/")).assert_ok().assert_body("xxxxx")


# -- PX-20 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["reset", "close", "send_eof"])
@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"]
)
@pytest.mark.parametrize(
    ("request_", "last"),
    [
        (GET, b"\r\n\r\n"),
        (CHUNKED + b"1\r\na\r\n0\r\n\r\n", b"\r\n0\r\n\r\n"),
        (CHUNKED + b"1\r\na\r\n", b"1\r\na\r\n"),
    ],
    ids=["no body", "whole", "in part"],
)
async def test_px_20_a_client_that_leaves_ends_the_request(
    how: str,
    answer: bytes,
    request_: bytes,
    last: bytes,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(request_)
        visit = await upstream.accept()
        await visit.until(last)
        await visit.send(answer)
        await trio.sleep(1)
        start = trio.current_time()
        left = getattr(peer, how)()
        if left is not None:
            await left
        assert await visit.ends()
        assert trio.current_time() - start < 0.1
        await settled()
        assert app.swansong.guard_count == 0
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_px_20_the_deadline_of_a_drain_ends_the_request(autojump_clock: MockClock) -> None:
    async with played(config=tt.Config(drain_timeout=2)) as (app, upstream):
        peers = [app.connect() for _ in range(3)]
        answers = (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b"")
        visits = []
        for peer, answer, sent in zip(peers, answers, (GET, GET, CHUNKED), strict=True):
            await peer.send(sent)
            visit = await upstream.accept()
            await visit.head()
            await visit.send(answer)
            visits.append(visit)
        await settled()
        report = await app.shut_down()
        assert not report.is_clean
        assert [await visit.ends() for visit in visits] == [True] * 3
        assert (await peers[0].receive_response()).status == 503
