"""A client of raw bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trillium_trio import ClientDisconnected, Conn
from trillium_trio.testing import (
    DribblingStream,
    MemoryListener,
    RawPeer,
    StallingStream,
    TestServer,
)

if TYPE_CHECKING:
    from trillium_trio.testing import MemoryStream

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


async def fixed(data: bytes) -> RawPeer:
    """Return a peer of a server that has sent this and closed."""
    listener = MemoryListener()
    peer = RawPeer(listener.connect())
    server = await listener.accept()
    await server.send_all(data)
    await server.aclose()
    return peer


async def test_pipelined_responses_are_received_one_by_one() -> None:
    async def handler(conn: Conn) -> Conn:
        return conn.ok(conn.path)

    async with TestServer(handler) as app:
        with app.connect() as peer:
            await peer.send(REQUEST + REQUEST.replace(b"/ ", b"/2 "))
            (await peer.receive_response()).assert_body("/")
            (await peer.receive_response()).assert_body("/2")
        with pytest.raises(trio.ClosedResourceError):
            await peer.send(b"x")


async def test_what_no_client_would_send_can_be_sent(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with TestServer("hello") as app:
        peer = app.connect()
        await peer.send(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
        response = await peer.receive_response()
        assert response.assert_status(400).is_closing
        await peer.expect_close()


async def test_bytes_can_be_sent_slowly(autojump_clock: trio.testing.MockClock) -> None:
    async with TestServer("hello") as app:
        peer = app.connect()
        start = trio.current_time()
        await peer.send_slowly(REQUEST, interval=0.25, step=5)
        (await peer.receive_response()).assert_ok()
        assert trio.current_time() - start == pytest.approx(0.25 * ((len(REQUEST) - 1) // 5))


async def test_a_head_that_comes_too_slowly_times_out(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with TestServer("hello") as app, trio.open_nursery() as nursery:
        peer = app.connect()
        start = trio.current_time()
        nursery.start_soon(lambda: peer.send_slowly(REQUEST, interval=1.0))
        (await peer.receive_response()).assert_status(408)
        assert trio.current_time() - start == pytest.approx(10.0)
        nursery.cancel_scope.cancel()


async def test_a_half_closing_client_gets_its_response() -> None:
    async with TestServer("hello") as app:
        peer = app.connect()
        await peer.send(REQUEST)
        await peer.send_eof()
        assert (await peer.receive_until_closed()).endswith(b"hello")


async def test_a_reset_is_seen_by_the_handler() -> None:
    seen: list[str] = []

    async def handler(conn: Conn) -> Conn:
        try:
            await conn.request_body.read()
        except ClientDisconnected as error:
            seen.append(str(error))
            raise
        return conn

    async with TestServer(handler) as app:
        peer = app.connect()
        await peer.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\npart")
        await wait_all_tasks_blocked()
        peer.reset()
        await wait_all_tasks_blocked()
    assert len(seen) == 1


async def test_a_response_is_read_by_the_method_it_answers() -> None:
    peer = await fixed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHTTP/1.1 204 No\r\n\r\n")
    response = await peer.receive_response("HEAD")
    assert (response.status, response.body) == (200, b"")
    assert await peer.receive_some() == b"HTTP/1.1 204 No\r\n\r\n"


async def test_informational_responses_are_listed() -> None:
    peer = await fixed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    response = await peer.receive_response()
    assert (response.informational, response.status) == ((100,), 204)


async def test_a_response_may_end_with_the_connection() -> None:
    response = await (await fixed(b"HTTP/1.0 200 OK\r\n\r\nbody")).receive_response()
    assert response.is_closing
    response.assert_body("body")


async def test_trailers_are_kept() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    peer = await fixed(head + b"1\r\nx\r\n0\r\ndigest: y\r\n\r\n")
    response = await peer.receive_response()
    assert response.trailers.get("digest") == "y"


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n123"]
)
async def test_a_response_that_breaks_off_raises(data: bytes) -> None:
    with pytest.raises(ConnectionResetError, match="incomplete response") as caught:
        await (await fixed(data)).receive_response()
    assert repr(data) in str(caught.value)


async def test_a_reset_server_raises(autojump_clock: trio.testing.MockClock) -> None:
    ends: list[MemoryStream] = []

    def keep(stream: MemoryStream) -> MemoryStream:
        ends.append(stream)
        return stream

    peer = RawPeer(MemoryListener().connect(wrap_server=keep))
    await ends[0].send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n123")
    ends[0].abort()
    with pytest.raises(ConnectionResetError, match="reset by peer"):
        await peer.receive_response()
    await peer.expect_close()


async def test_what_is_no_http_raises() -> None:
    with pytest.raises(h11.RemoteProtocolError):
        await (await fixed(b"hello\r\n\r\n")).receive_response()


async def test_a_close_that_does_not_come_fails(autojump_clock: trio.testing.MockClock) -> None:
    async with TestServer("hello") as app:
        peer = app.connect()
        start = trio.current_time()
        with pytest.raises(AssertionError, match=r"closed within 2 s"):
            await peer.expect_close(within=2)
        assert trio.current_time() - start == pytest.approx(2.0)


async def test_bytes_in_place_of_a_close_fail() -> None:
    with pytest.raises(AssertionError, match=r"received b'surprise'"):
        await (await fixed(b"surprise")).expect_close()


async def test_a_server_on_a_slow_or_stalled_connection(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with TestServer("hello") as app:
        start = trio.current_time()
        slow = app.session(wrap_server=lambda end: DribblingStream(end, step=10, interval=0.1))
        (await slow.get("/")).assert_body("hello")
        assert trio.current_time() - start > 1.0
        peer = app.connect(wrap_server=lambda end: StallingStream(end, on="send"))
        await peer.send(REQUEST)
        # The write timeout: half a minute that takes no time.
        await peer.expect_close(within=31)
