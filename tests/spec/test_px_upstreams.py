"""PX-15 to PX-18 and PX-22 of docs/spec/proxy.md: several upstreams, their health, their end."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trillium_trio as tt
from tests.spec._proxy import Hosts, Played, played
from tests.wire import settled
from trillium_trio.handlers import Health, Proxy
from trillium_trio.testing import MemoryListener, TestServer, assert_restart_loses_nothing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from trillium_trio.conn import HandlerLike

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "trillium_trio.proxy"]


@asynccontextmanager
async def several(
    handlers: dict[str, HandlerLike],
    *names: str,
    config: tt.Config | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[TestServer, Hosts]]:
    """Serve a proxy in front of named upstreams, of which some may be missing."""
    async with AsyncExitStack() as stack:
        hosts = Hosts()
        for name, handler in handlers.items():
            back = await stack.enter_async_context(TestServer(handler))
            hosts.open[name] = partial(_open, back)
        urls = [f"http://{name}" for name in names or handlers]
        proxy = Proxy(urls, connect=hosts.connect, **settings)
        yield await stack.enter_async_context(TestServer(proxy, config)), hosts


def _open(back: TestServer) -> trio.abc.Stream:
    return back.connect().stream


async def bodies(app: TestServer, count: int) -> str:
    return "".join([(await app.get("/")).assert_ok().text for _ in range(count)])


# -- PX-15 -------------------------------------------------------------------------------------


async def test_px_15_upstreams_take_turns() -> None:
    async with several({"a": "a", "b": "b", "c": "c"}) as (app, _):
        assert await bodies(app, 7) == "abcabca"


async def test_px_15_the_least_busy_one_is_asked() -> None:
    gate = trio.Event()

    async def slow(conn: tt.Conn) -> tt.Conn:
        if conn.path == "/slow":
            await gate.wait()
        return conn.ok("a")

    async with several({"a": slow, "b": "b", "c": "c"}, balance="least_busy") as (app, _):
        peer = app.connect()
        await peer.send(GET.replace(b"/ ", b"/slow ", 1))
        await settled()
        assert "a" not in await bodies(app, 6)
        gate.set()
        assert (await peer.receive_response()).body == b"a"
        assert sorted(await bodies(app, 3)) == ["a", "b", "c"]


# -- PX-16 -------------------------------------------------------------------------------------


async def test_px_16_one_that_cannot_be_reached_is_left_out(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with several({"b": "b"}, "a", "b", leave_out=10) as (app, hosts):
        assert await bodies(app, 6) == "bbbbbb"
        assert hosts.dialled.count("a") == 1
        hosts.open["a"] = Played().open
        await trio.sleep(9)
        assert await bodies(app, 2) == "bb"
        back = hosts.open["b"]
        hosts.open["a"] = back
        await trio.sleep(2)
        assert await bodies(app, 2) == "bb"
        assert hosts.dialled.count("a") == 2
    assert lines(caplog) == [
        "http://a cannot be reached: connection refused; it is left out for 10 s"
    ]


async def test_px_16_if_all_are_left_out_they_are_asked_all_the_same(
    autojump_clock: MockClock,
) -> None:
    async with several({"a": "a", "b": "b"}) as (app, hosts):
        found, hosts.open = hosts.open, {}
        for _ in range(3):
            (await app.get("/")).assert_status(502)
        assert sorted(hosts.dialled) == ["a", "a", "a", "b", "b", "b"]
        hosts.open = found
        assert sorted(await bodies(app, 2)) == ["a", "b"]


# -- PX-17 -------------------------------------------------------------------------------------


async def test_px_17_one_that_is_not_ready_is_left_out(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trillium_trio.proxy")
    status = 200

    async def a(conn: tt.Conn) -> tt.Conn:
        assert conn.path in {"/", "/ready"}
        return conn.with_status(status if conn.path == "/ready" else 200).with_body("a").halt()

    settings: dict[str, Any] = {"health_path": "/ready", "health_interval": 2}
    async with several({"a": a, "b": "b"}, **settings) as (app, hosts):
        await trio.sleep(1)
        assert sorted(await bodies(app, 4)) == ["a", "a", "b", "b"]
        status = 503
        await trio.sleep(2)
        assert await bodies(app, 4) == "bbbb"
        status = 302
        await trio.sleep(2)
        assert sorted(await bodies(app, 4)) == ["a", "a", "b", "b"]
        del hosts.open["b"]
        await trio.sleep(2)
        # Its kept connections still work, but it is out.
        assert await bodies(app, 4) == "aaaa"
    assert lines(caplog) == [
        "http://a fails its health check: its answer is 503",
        "http://a passes its health check again",
        "http://b fails its health check: cannot be reached: connection refused",
    ]


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_px_17_one_that_does_not_answer_its_check_is_left_out(
    answer: bytes, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = Played()
    hosts = Hosts(a=upstream.open)
    proxy = Proxy("http://a", connect=hosts.connect, health_path="/ready?x", health_interval=3)
    async with TestServer(proxy):
        visit = await upstream.accept()
        assert await visit.head() == ["GET /ready?x HTTP/1.1", "host: a", "connection: close"]
        await visit.send(answer)
        assert await visit.ends()
        assert trio.current_time() <= 3
        await trio.sleep(1)
    [line] = lines(caplog)
    assert line.startswith("http://a fails its health check: ")


async def test_px_17_a_check_that_succeeds_ends_the_wait_of_one_that_was_left_out(
    autojump_clock: MockClock,
) -> None:
    settings: dict[str, Any] = {"health_path": "/", "health_interval": 2, "leave_out": 1000}
    async with several({"b": "b"}, "a", "b", **settings) as (app, hosts):
        assert await bodies(app, 2) == "bb"
        async with TestServer("a") as back:
            hosts.open["a"] = lambda: back.connect().stream
            await trio.sleep(3)
            assert sorted(await bodies(app, 2)) == ["a", "b"]


async def test_px_17_checks_do_not_hold_a_drain_up(autojump_clock: MockClock) -> None:
    proxy = Proxy("http://a", connect=Hosts(a=Played().open).connect, health_path="/")
    async with TestServer(proxy) as app:
        await trio.sleep(1)
        start = trio.current_time()
        assert (await app.shut_down()).is_clean
        assert trio.current_time() - start < 1


# -- PX-18 -------------------------------------------------------------------------------------


async def test_px_18_connections_are_kept() -> None:
    async with several({"a": "ok"}) as (app, hosts):
        await bodies(app, 5)
        assert hosts.dialled == ["a"]


async def test_px_18_not_for_ever(autojump_clock: MockClock) -> None:
    async with several({"a": "ok"}, keep_alive=3) as (app, hosts):
        await bodies(app, 2)
        await trio.sleep(2.9)
        await bodies(app, 2)
        assert hosts.dialled == ["a"]
        await trio.sleep(3.1)
        await bodies(app, 2)
        assert hosts.dialled == ["a", "a"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_px_18_one_that_says_that_it_closes_is_not_used_again(answer: bytes) -> None:
    async with played() as (app, upstream), trio.open_nursery() as nursery:
        nursery.start_soon(upstream.answer, answer, answer)
        for _ in range(2):
            (await app.get("/")).assert_ok()


async def test_px_18_they_are_bounded_and_waited_for(autojump_clock: MockClock) -> None:
    async with played(max_connections=2, queue_timeout=3) as (app, upstream):
        peers = [app.connect() for _ in range(4)]
        for peer in peers:
            await peer.send(GET)
            await settled()
        first, second = await upstream.accept(), await upstream.accept()
        await first.head()
        await second.head()
        await trio.sleep(1)
        await first.send(OK)
        assert (await peers[0].receive_response()).status == 200
        # Whose turn it is gets the very connection.
        await first.head()
        start = trio.current_time()
        response = await peers[3].receive_response()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert trio.current_time() - start == pytest.approx(2)
        await first.send(OK)
        await second.send(OK)
        assert [(await each.receive_response()).status for each in peers[1:3]] == [200, 200]


async def test_px_18_one_that_has_left_the_line_does_not_reach_the_upstream(
    autojump_clock: MockClock,
) -> None:
    async with played(max_connections=1) as (app, upstream):
        first, second = app.connect(), app.connect()
        for peer in (first, second):
            await peer.send(GET)
            await settled()
        visit = await upstream.accept()
        await visit.head()
        second.close()
        await trio.sleep(1)
        await visit.send(OK)
        assert (await first.receive_response()).status == 200
        await settled()
        assert app.swansong.guard_count == 0
        # It is free for the next.
        third = app.connect()
        await third.send(GET)
        await visit.head()
        third.close()
        assert await visit.ends()


async def test_px_18_what_is_not_sent_gives_its_connection_back(autojump_clock: MockClock) -> None:
    """Another handler replaces the response, whose body is a stream."""

    class Replace(tt.Handler):
        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            return conn.with_body("replaced")

    front = (Replace(),)
    async with played(front=front, max_connections=1, queue_timeout=1) as (app, upstream):
        for _ in range(3):
            peer = app.connect()
            await peer.send(GET)
            visit = await upstream.accept()
            await visit.head()
            await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
            assert (await peer.receive_response()).body == b"replaced"
            assert await visit.ends()


async def test_px_18_all_are_closed_after_the_last_request() -> None:
    upstream = Played()
    proxy = Proxy("http://up", connect=Hosts(up=upstream.open).connect)
    for _ in range(2):  # the same one may be served again
        async with TestServer(proxy) as app:
            peer = app.connect()
            await peer.send(GET)
            visit = await upstream.accept()
            await visit.head()
            await visit.send(OK)
            assert (await peer.receive_response()).status == 200
        assert await visit.ends()


# -- PX-22 -------------------------------------------------------------------------------------


async def test_px_22_a_drain_waits_for_what_passes_through(autojump_clock: MockClock) -> None:
    async def slow(conn: tt.Conn) -> tt.Conn:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(5):
                await trio.sleep(1)
                yield b"x"

        await trio.sleep(3)
        return conn.ok(pieces())

    async with several({"a": slow}, config=tt.Config(drain_timeout=60)) as (app, _):
        peer = app.connect()
        await peer.send(GET)
        await settled()
        drained = app.shut_down()
        assert "GET /" in str(app.swansong.guard_report())
        assert (await peer.receive_response()).body == b"xxxxx"
        assert (await drained).is_clean


async def test_px_22_a_proxy_that_restarts_loses_nothing(autojump_clock: MockClock) -> None:
    async with TestServer("ok") as back:
        hosts = Hosts(up=lambda: back.connect().stream)
        report = await assert_restart_loses_nothing(Proxy("http://up", connect=hosts.connect))
    assert report.lost == ()


async def test_px_22_an_upstream_that_restarts_loses_nothing(autojump_clock: MockClock) -> None:
    """Requests that must not be sent twice go through while servers of ours replace each other."""
    address = MemoryListener()
    proxy = Proxy("http://up", connect=Hosts(up=address.connect).connect)
    answered = 0
    async with TestServer(proxy) as app, trio.open_nursery() as nursery:

        async def client(pause: float) -> None:
            nonlocal answered
            async with app.session() as session:
                while True:
                    await trio.sleep(pause)
                    (await session.post("/")).assert_ok()
                    answered += 1

        async def upstream(conn: tt.Conn) -> tt.Conn:
            await trio.sleep(0.01)
            return conn.ok("ok")

        for number in range(8):
            nursery.start_soon(client, 0.001 * (number + 1))
        for _ in range(4):
            config = tt.config().without_signals().with_drain_timeout(20)
            config = config.with_listeners(()).bind_listener(address.clone())
            async with config.serving((Health(), upstream)) as handle:
                before = answered
                while answered < before + 50:
                    await trio.sleep(0.01)
                handle.shut_down()
                assert (await handle).is_clean
        nursery.cancel_scope.cancel()
    await address.aclose()
