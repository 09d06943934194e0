"""PX-21 and PX-22 of docs/spec/proxy.md: WebSockets and other protocols through the proxy."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.spec._proxy import Hosts, Visit, behind, played
from tests.wire import settled
from trillium_trio.exceptions import WebSocketClosed
from trillium_trio.handlers import Proxy, WebSocket, WebSocketConn
from trillium_trio.testing import RawPeer, TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from tests.spec._proxy import Played

ASK = b"GET /x HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
    b"Upgrade: websocket\r\nX-A: 1\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def echo(ws: WebSocketConn) -> None:
    async for message in ws:
        await ws.send(message)


async def switched(app: TestServer, upstream: Played) -> tuple[RawPeer, Visit]:
    peer = app.connect()
    await peer.send(ASK)
    visit = await upstream.accept()
    await visit.head()
    await visit.send(SWITCH)
    response = await peer.receive_response()
    assert response.status == 101
    return peer, visit


async def test_px_21_a_websocket_through_the_proxy() -> None:
    async with behind(WebSocket(echo, origins="*", subprotocols=["chat"], compression=True)) as app:
        fields = {"origin": "https://other.example"}
        async with app.websocket("/", headers=fields, subprotocols=["chat"]) as ws:
            assert ws.subprotocol == "chat"
            await ws.send("hello")
            assert await ws.receive() == "hello"
            await ws.send(b"x" * 500_000)
            assert await ws.receive() == b"x" * 500_000
            await ws.close(1000, "bye")
            assert ws.close_code == 1000


async def test_px_21_the_same_origin_is_checked_with_the_host_kept() -> None:
    async with (
        behind(WebSocket(echo), preserve_host=True) as app,
        app.websocket("/", headers={"origin": "http://testserver"}) as ws,
    ):
        await ws.send("hello")
        assert await ws.receive() == "hello"


async def test_px_21_the_handshake_passes_on() -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(ASK.replace(b"websocket\r\n", b"WebSocket\r\nSec-WebSocket-Key: k\r\n"))
        visit = await upstream.accept()
        head = await visit.head()
        assert {"upgrade: websocket", "connection: upgrade", "Sec-WebSocket-Key: k"} <= set(head)
        # Bytes may come together with either head.
        await visit.send(SWITCH + b"first")
        assert (await peer.receive_response()).headers.get("x-a") == "1"
        assert await peer.receive_some() == b"first"
        await peer.send(b"second")
        assert await visit.until(b"second") == b"second"
        peer.close()


async def test_px_21_bytes_behind_the_request_are_the_protocols() -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(ASK + b"early")
        visit = await upstream.accept()
        await visit.head()
        await visit.send(SWITCH)
        assert await visit.until(b"early") == b"early"
        peer.close()


async def test_px_21_the_end_of_one_side_is_passed_on() -> None:
    async with played() as (app, upstream):
        peer, visit = await switched(app, upstream)
        await peer.send(b"all")
        await peer.send_eof()
        await visit.until(b"all")
        assert await visit.stream.receive_some() == b""
        await visit.send(b"answer")
        await visit.stream.send_eof()
        assert await peer.receive_until_closed() == b"answer"
        await settled()
        assert app.swansong.guard_count == 0
    async with played() as (app, upstream):
        peer, visit = await switched(app, upstream)
        await visit.stream.send_eof()
        assert await peer.receive_some() == b""
        await peer.send(b"more")
        assert await visit.until(b"more") == b"more"
        peer.close()
        assert await visit.ends()


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_px_21_one_that_breaks_off_ends_the_other(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with played() as (app, upstream):
        peer, visit = await switched(app, upstream)
        getattr(peer, how)()
        assert await visit.ends()
        visit.close()
        peer, visit = await switched(app, upstream)
        getattr(visit, how)()
        await peer.send(b"x")
        with pytest.raises((trio.BrokenResourceError, AssertionError)):
            assert await peer.receive_until_closed() == b"never"
        await settled()
        assert app.swansong.guard_count == 0
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


async def test_px_21_silence_ends_it(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trillium_trio.proxy")
    async with played(upgrade_timeout=10) as (app, upstream):
        peer, visit = await switched(app, upstream)
        for _ in range(3):
            await trio.sleep(8)
            await peer.send(b"x")
            await trio.sleep(8)
            await visit.send(b"y")
        start = trio.current_time()
        await visit.until(b"xxx")
        assert await visit.ends()
        assert trio.current_time() - start == pytest.approx(10)
        assert await peer.receive_until_closed() == b"yyy"
    assert "GET /x: closed, because nothing was sent either way for 10 s" in caplog.text


@pytest.mark.parametrize("named", ["h2c", "foo, h2c", "websockets"])
async def test_px_21_other_protocols_are_not_passed_on(named: str) -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        fields = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {named}\r\nHTTP2-Settings: x\r\n"
        await peer.send(f"GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
        [head] = await upstream.answer(OK)
        assert not [each for each in head if each.lower().startswith(("upgr", "conn", "http2"))]
        assert (await peer.receive_response("GET")).status == 200


async def test_px_21_one_may_be_allowed() -> None:
    async with played(upgrades=["Foo"]) as (app, upstream):
        peer = app.connect()
        await peer.send(ASK.replace(b"websocket", b"foo, websocket"))
        visit = await upstream.accept()
        assert "upgrade: foo" in await visit.head()
        await visit.send(SWITCH.replace(b"websocket", b"foo"))
        assert (await peer.receive_response()).headers.get("upgrade") == "foo"
        peer.close()


async def test_px_21_an_upstream_may_decline() -> None:
    async with behind("just a page") as app:
        peer = app.connect()
        await peer.send(ASK)
        response = await peer.receive_response()
    assert (response.status, response.body) == (200, b"just a page")


@pytest.mark.parametrize("named", [b"Upgrade: h2c\r\n", b"", b"Upgrade: websocket, h2c\r\n"])
async def test_px_21_an_upstream_may_not_choose_another(
    named: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trillium_trio")
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(ASK)
        visit = await upstream.accept()
        await visit.head()
        await visit.send(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n" + named + b"\r\n")
        assert (await peer.receive_response()).status == 502
        assert await visit.ends()
    assert "http://up has switched to a protocol that nobody has asked for" in caplog.text


async def test_px_21_one_that_the_client_does_not_get_leaves_nothing_behind() -> None:
    class Fail(tt.Handler):
        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            raise ValueError("no")

    async with played(front=(Fail(),)) as (app, upstream):
        peer = app.connect()
        await peer.send(ASK)
        visit = await upstream.accept()
        await visit.head()
        await visit.send(SWITCH)
        assert (await peer.receive_response()).status == 500
        assert await visit.ends()


async def test_px_22_a_websocket_ends_with_the_goodbye_of_its_upstream(
    autojump_clock: MockClock,
) -> None:
    """The upstream stops, and says so to its peers: through the proxy as without it."""
    async with TestServer(WebSocket(echo)) as back:
        hosts = Hosts(up=lambda: back.connect().stream)
        async with (
            TestServer(Proxy("http://up", connect=hosts.connect)) as app,
            app.websocket("/") as ws,
        ):
            back.shut_down()
            with pytest.raises(WebSocketClosed):
                await ws.receive()
            assert ws.close_code == 1001


async def test_px_22_a_tunnel_is_named_and_cut_at_the_deadline(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with played(config=tt.Config(drain_timeout=3)) as (app, upstream):
        peer, visit = await switched(app, upstream)
        drained = app.shut_down()
        await trio.sleep(1)
        await peer.send(b"still")
        await visit.until(b"still")
        report = await drained
        assert not report.is_clean
        assert "GET /x" in str(report.cancelled)
        assert await visit.ends()
        assert (await _rest(peer)) == b""
    assert app.swansong.guard_count == 0


async def _rest(peer: RawPeer) -> bytes:
    try:
        return await peer.receive_until_closed()
    except trio.BrokenResourceError:
        return b""


async def test_px_21_a_stream_of_events_passes_as_it_comes() -> None:
    async def upstream(conn: tt.Conn) -> tt.Conn:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await conn.swansong.shutting_down()
            yield b"data: 2\n\n"

        return conn.with_response_header("content-type", "text/event-stream").ok(pieces())

    async with behind(upstream) as app:
        events = app.events("/")
        assert (await anext(events)).data == "1"
