"""The clauses of docs/spec/server.md from SV-9 on, in order.

SV-1 and SV-2 are in `test_sv_start.py`, the drain (SV-6 to SV-8) in tests/scenarios, and whatever
needs sockets, threads, processes or signals (SV-3 to SV-5, SV-15) in tests/e2e.
"""

from __future__ import annotations

import errno
import gc
import logging
import math
import socket
import ssl
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trillium_trio as tt
from tests.unit.server._serving import (
    Recorder,
    Running,
    get,
    hello,
    is_closing,
    receive_all,
    receive_response,
    running,
)
from trillium_trio.testing import MemoryListener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from trio.testing import MockClock

    from trillium_trio.conn import HandlerLike


async def hang(conn: tt.Conn) -> tt.Conn:
    await trio.sleep_forever()
    raise AssertionError


# SV-9


async def test_sv_9_every_wait_gives_the_same_report() -> None:
    async with running(hang) as app:
        client = await app.started()
        completion = app.handle.shut_down(timeout=0)
        await receive_all(client)
        await client.aclose()
        report = await completion
        assert await app.handle == report
        assert await app.server.shut_down() == report
        assert await app.handle.cancel() == report
    assert (report.is_clean, report.cancelled.guard_count) == (False, 1)


def test_sv_9_run_returns_the_report() -> None:
    listener = MemoryListener()

    async def stop(info: tt.Info) -> None:
        info.start_soon(stop_soon, info)

    async def stop_soon(info: tt.Info) -> None:
        info.swansong.shut_down()

    report = tt.config().bind_listener(listener).without_signals().run(tt.Init(stop))
    assert report.is_clean
    assert report.finished == 1


# SV-10


async def test_sv_10_cancelling_the_nursery_is_abrupt() -> None:
    events: list[str] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        try:
            await trio.sleep_forever()
        finally:
            events.append("handler is cancelled")

    listener = MemoryListener()
    server = tt.config().bind_listener(listener).server((Recorder("app", events), handler))
    left: list[BaseException] = []

    async def serve(task_status: trio.TaskStatus[tt.ServerHandle]) -> None:
        try:
            await server.serve(task_status=task_status)
        except BaseException as error:
            left.append(error)
            raise

    async with trio.open_nursery() as nursery:
        handle = await nursery.start(serve)
        client = listener.connect()
        await client.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [type(error) for error in left] == [trio.Cancelled]
    assert events[-2:] == ["handler is cancelled", "Cancelled in app"]
    with pytest.raises(ConnectionRefusedError):
        listener.connect()
    report = await handle
    assert (report.is_clean, report.reason) == (False, "serve() was cancelled")


# SV-11


@asynccontextmanager
async def two(
    first: tt.Config, second: tt.Config, handler: HandlerLike = hello
) -> AsyncIterator[tuple[Running, Running]]:
    async with running(handler, first) as one, running(handler, second) as other:
        yield one, other


async def test_sv_11_one_stop_drains_all_that_share(autojump_clock: MockClock) -> None:
    async def slow(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(3 if conn.path == "/3" else 10)
        return conn.ok("")

    swansong = tt.Swansong()
    config = tt.config().with_swansong(swansong)
    async with two(config, config, slow) as (one, other):
        assert one.handle.swansong is other.handle.swansong is swansong
        clients = await one.started("/3"), await other.started("/10")
        other.handle.shut_down()
        for client in clients:
            assert is_closing(await receive_response(client))
            await client.aclose()
            if client is clients[0]:
                # Nobody waits for the other server but who awaits what they share.
                await one.handle
                assert trio.current_time() == 3
                assert other.handle.is_running
        report = await swansong
        assert not other.handle.is_running
    assert (report.is_clean, report.finished) == (True, 2)


async def test_sv_11_conns_see_a_child(autojump_clock: MockClock) -> None:
    seen: list[tt.Swansong] = []

    async def look(conn: tt.Conn) -> tt.Conn:
        seen.append(conn.swansong)
        return conn.ok("")

    async def init(info: tt.Info) -> None:
        seen.append(info.swansong)

    swansong = tt.Swansong()
    async with running((tt.Init(init), look), tt.config().with_swansong(swansong)) as app:
        await get(app.listener.connect())
        assert seen[0] is seen[1] is not swansong
        assert seen[0].is_running
        swansong.shut_down()
        assert not seen[0].is_running


async def test_sv_11_a_server_on_a_child_is_drained_alone(autojump_clock: MockClock) -> None:
    swansong = tt.Swansong()
    child = swansong.child()
    async with two(tt.config().with_swansong(child), tt.config().with_swansong(swansong)) as both:
        one, other = both
        await one.handle.shut_down()
        assert swansong.is_running
        assert await get(other.listener.connect())
        await other.handle.shut_down()


async def test_sv_11_a_failing_server_leaves_the_others_alone(autojump_clock: MockClock) -> None:
    async def fail() -> None:
        raise ValueError("service")

    async def init(info: tt.Info) -> None:
        info.start_service(fail)

    swansong = tt.Swansong()
    config = tt.config().with_swansong(swansong)
    async with running(hello, config) as other:
        with pytest.raises(ValueError, match="service"):
            await config.bind_listener(MemoryListener()).server(tt.Init(init)).serve()
        assert swansong.is_running
        assert await get(other.listener.connect())


@pytest.mark.parametrize("wait", ["completion", "handle", "server"])
async def test_sv_11_waiting_for_oneself_is_refused(wait: str, autojump_clock: MockClock) -> None:
    errors: list[tt.MisuseError] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        try:
            match wait:
                case "completion":
                    await app.handle.shut_down()
                case "handle":
                    await app.handle
                case _:
                    await app.server.wait()
        except tt.MisuseError as error:
            errors.append(error)
        return conn.ok("refused")

    async with running(handler) as app:
        assert (await get(app.listener.connect())).endswith(b"refused")
        # The refusal did not stop it, except by the shut_down() that was asked for.
        assert app.handle.swansong.is_running == (wait != "completion")
    assert len(errors) == 1


# SV-12


async def test_sv_12_a_handler_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(conn: tt.Conn) -> tt.Conn:
        match conn.path:
            case "/bug":
                raise ValueError("oops")
            case "/teapot":
                raise tt.HttpError(418, "short and stout")
            case "/group":
                raise ExceptionGroup("", [tt.HttpError(409), tt.HttpError(410)])
        return conn.ok("")

    caplog.set_level(logging.INFO)
    async with running(fail) as app:
        client = app.listener.connect()
        assert b" 418 " in await get(client, "/teapot")
        assert b" 409 " in await get(client, "/group")
        assert [each for each in caplog.records if each.exc_info] == []
        assert b" 500 " in await get(client, "/bug")
        (record,) = [each for each in caplog.records if each.exc_info]
        assert record.levelno == logging.ERROR
        assert "GET /bug: ValueError: oops" in record.getMessage()
        assert b" 200 " in await get(client, "/")


async def raise_bare(error: BaseException) -> None:
    await trio.lowlevel.checkpoint()
    raise error


async def raise_grouped(error: BaseException) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(raise_bare, error)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=repr)
@pytest.mark.parametrize("fail", [raise_bare, raise_grouped])
@pytest.mark.parametrize("where", ["handler", "background", "service"])
async def test_sv_12_exits_leave_bare(
    where: str,
    fail: Callable[[BaseException], Awaitable[None]],
    error: BaseException,
    autojump_clock: MockClock,
) -> None:
    events: list[str] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        if conn.path == "/hang":
            try:
                await trio.sleep_forever()
            finally:
                events.append("handler is cancelled")
        if where == "handler":
            await fail(error)
        conn.start_soon(fail, error)
        return conn.ok("")

    async def init(info: tt.Info) -> None:
        if where == "service":
            info.start_service(fail_later)

    async def fail_later() -> None:
        await trio.sleep(1)
        await fail(error)

    listener = MemoryListener()
    config = tt.config().bind_listener(listener)
    server = config.server((Recorder("app", events), tt.Init(init), handler))
    with pytest.raises(type(error)) as raised:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attack, listener)
            try:
                await server.serve()
            except BaseException as caught:
                nursery.cancel_scope.cancel()
                left = caught
        raise left
    assert raised.value is error
    assert events[-3:] == ["handler is cancelled", "leave app", "left app"]
    report = await server.handle
    assert (report.is_clean, report.cancelled.guard_count >= 1) == (False, True)


async def attack(listener: MemoryListener) -> None:
    while not listener._send.statistics().tasks_waiting_receive:
        await wait_all_tasks_blocked()
    for target in ("/hang", "/"):
        client = listener.connect()
        await client.send_all(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await wait_all_tasks_blocked()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError()], ids=repr)
async def test_sv_12_the_first_failure_leaves_the_others_are_logged(
    error: BaseException, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def fail() -> None:
        raise error

    async def init(info: tt.Info) -> None:
        info.start_service(fail)

    async def fail_as_well(info: tt.Info) -> None:
        raise OSError("not flushed")

    lifespan = Recorder("lifespan", [])
    lifespan.on_exit = fail_as_well
    config = tt.config().bind_listener(MemoryListener(), name="memory")
    with pytest.raises(type(error)) as raised:
        await config.server((lifespan, tt.Init(init))).serve()
    assert raised.value is error
    assert "memory also failed" in caplog.text
    assert "not flushed" in caplog.text


async def test_sv_12_a_service_that_raises_ends_the_server_after_a_drain(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    error = ValueError("lost the queue")

    async def consume() -> None:
        await trio.sleep(5)
        raise error

    async def init(info: tt.Info) -> None:
        info.start_service(consume)

    async def slow(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(20)
        return conn.ok("whole")

    listener = MemoryListener()
    server = tt.config().bind_listener(listener).server((tt.Init(init), slow))
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            with pytest.raises(ValueError, match="lost") as raised:
                await server.serve()
            assert raised.value is error

        response = await get(listener.connect())
        assert is_closing(response)
        assert response.endswith(b"whole")
    assert "consume" in error.__notes__[0]
    assert "service" in caplog.text


async def test_sv_12_background_work_that_raises_is_logged(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def fail() -> None:
        raise ValueError("oops")

    async def handler(conn: tt.Conn) -> tt.Conn:
        conn.start_soon(fail)
        return conn.ok("")

    async with running(handler) as app:
        await get(app.listener.connect())
        await wait_all_tasks_blocked()
        assert app.handle.is_running
        assert (await app.handle.shut_down()).is_clean
    assert "fail failed" in caplog.text
    assert "oops" in caplog.text


# SV-13


async def test_sv_13_beyond_the_limit_503(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        calls.append(conn.path)
        return conn.ok("")

    async with running(handler, tt.config().with_max_connections(2)) as app:
        first, second = await app.begun(), await app.begun()
        for _ in range(2):
            refused = await get(app.listener.connect(), "/refused")
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert is_closing(refused)
        assert calls == []
        assert caplog.text.count("2 connections are open: refusing") == 1
        await first.aclose()
        await second.aclose()
        await wait_all_tasks_blocked()
        third, fourth = await app.begun(), await app.begun()
        assert b" 503 " in await get(app.listener.connect())
        assert caplog.text.count("2 connections are open: refusing") == 2
        counts = app.handle.connections
        assert (counts.open, counts.idle, counts.refused, counts.evicted) == (2, 0, 3, 0)
        await third.aclose()
        await fourth.aclose()


async def test_sv_13_refusals_are_bounded(autojump_clock: MockClock) -> None:
    async with running(hello, tt.config().with_max_connections(1)) as app:
        kept = await app.begun()
        clients = [app.listener.connect() for _ in range(100)]
        start = trio.current_time()
        # None of them closes or reads before it is told to.
        answers = [await receive_all(client) for client in clients]
        assert sum(b" 503 " in each for each in answers) == 64
        assert answers.count(b"") == 36
        assert trio.current_time() == start
        assert await receive_all(app.listener.connect()) == b""
        # Whoever does not close its end either is given up after a second.
        await trio.sleep(1.1)
        assert b" 503 " in await get(app.listener.connect())
        await kept.send_all(b"\r\n")
        assert await receive_response(kept)


async def test_sv_13_one_with_tls_is_closed(autojump_clock: MockClock) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    class TlsListener(trio.abc.Listener[trio.SSLStream[trio.abc.Stream]]):
        async def accept(self) -> trio.SSLStream[trio.abc.Stream]:
            return trio.SSLStream(await plain.accept(), context, server_side=True)

        async def aclose(self) -> None:
            await plain.aclose()

    plain = MemoryListener()
    config = tt.config().bind_listener(TlsListener()).with_max_connections(1)
    async with config.serving(hello):
        first = plain.connect()
        await wait_all_tasks_blocked()
        second = plain.connect()
        assert await receive_all(second) == b""
        await first.aclose()


# CN-28, seen from the server


async def test_cn_28_the_longest_unused_are_closed(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(hello, tt.config().with_max_connections(3)) as app:
        clients = []
        for _ in range(3):
            clients.append(await app.idle())
            await trio.sleep(1)
        # The first is used again: now the second is the longest unused.
        await get(clients[0])
        await trio.sleep(1)
        newcomer = await app.idle()
        assert await receive_all(clients[1]) == b""
        for each in (clients[0], clients[2], newcomer):
            assert await get(each)
        counts = app.handle.connections
        assert (counts.open, counts.idle, counts.refused, counts.evicted) == (3, 3, 0, 1)
        assert str(counts) == (
            "3 connections are open, 3 of them idle; 1 were evicted and 0 refused so far"
        )
        for each in (*clients, newcomer):
            await each.aclose()
    assert caplog.text.count("closing idle ones to make room for unix") == 1


async def test_cn_28_those_that_never_sent_a_request_are_closed_first(
    autojump_clock: MockClock,
) -> None:
    async with running(hello, tt.config().with_max_connections(3)) as app:
        served = await app.idle()
        await get(served)
        await trio.sleep(1)
        silent = [app.listener.connect() for _ in range(2)]
        await trio.sleep(1)
        newcomer = app.listener.connect()
        await trio.sleep(1)
        assert await receive_all(silent[0]) == b""
        assert await get(served)
        assert app.handle.connections.evicted == 1
        for each in (served, *silent, newcomer):
            await each.aclose()


@pytest.mark.parametrize("target", ["", "/hang"])
async def test_cn_28_what_is_in_progress_makes_no_room(
    target: str, autojump_clock: MockClock
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(5)
        return conn.ok("at last")

    async with running(handler, tt.config().with_max_connections(2)) as app:
        busy = [await app.started(target) if target else await app.begun() for _ in range(2)]
        assert b" 503 " in await get(app.listener.connect())
        if not target:
            for each in busy:
                await each.send_all(b"\r\n")
        for each in busy:
            assert (await receive_response(each)).endswith(b"at last")
        # Idle now, but a next request may be on its way.
        assert b" 503 " in await get(app.listener.connect())
        await trio.sleep(0.5)
        assert (await get(app.listener.connect())).endswith(b"at last")
        assert app.handle.connections.evicted == 1
        for each in busy:
            await each.aclose()


async def test_cn_28_a_server_full_of_busy_connections_looks_now_and_then(
    autojump_clock: MockClock,
) -> None:
    limit = 256
    async with running(hello, tt.config().with_max_connections(limit)) as app:
        busy = [await app.begun() for _ in range(limit)]
        for _ in range(2):
            # The first looks and finds none; the next, at the same moment, does not look.
            assert b" 503 " in await get(app.listener.connect())
        for each in busy:
            await each.send_all(b"\r\n")
            await receive_response(each)
        await trio.sleep(0.5)
        assert b" 200 " in await get(app.listener.connect())
        assert app.handle.connections.evicted == limit // 16
        for each in busy:
            await each.aclose()


async def test_cn_28_those_that_are_closing_end_first(autojump_clock: MockClock) -> None:
    async with running(hello, tt.config().with_max_connections(3)) as app:
        silent = app.listener.connect()
        refused = [app.listener.connect() for _ in range(2)]
        for each in refused:
            await each.send_all(b"GET /" + b" " * 9 + b"\r\n\r\n")
            assert b" 400 " in await receive_response(each)
        start = trio.current_time()
        # Neither has closed its end: the server waits for that, but not while others wait for room.
        newcomers = [await app.idle() for _ in range(2)]
        for each in (silent, *newcomers):
            assert await get(each)
        assert trio.current_time() == start
        assert app.handle.connections.evicted == 0
        for each in (silent, *refused, *newcomers):
            await each.aclose()


async def test_cn_28_one_that_was_just_served_is_kept(autojump_clock: MockClock) -> None:
    config = tt.config().with_max_connections(1).with_keepalive_grace(2)
    async with running(hello, config) as app:
        served = await app.idle()
        await get(served)
        await trio.sleep(1.9)
        assert b" 503 " in await get(app.listener.connect())
        assert await get(served)
        await trio.sleep(2)
        assert b" 200 " in await get(app.listener.connect())
        assert await receive_all(served) == b""


async def test_cn_28_counts_before_and_after_serving(autojump_clock: MockClock) -> None:
    config = tt.config().with_max_connections(1).with_keepalive_grace(0)
    async with running(hello, config) as app:
        first, second = await app.idle(), await app.idle()
        await second.aclose()
        await first.aclose()
    counts = app.handle.connections
    assert (counts.open, counts.idle, counts.evicted) == (0, 0, 1)
    assert tt.config().server(hello).connections.open == 0


# SV-14


class BrokenListener(trio.abc.Listener[trio.abc.HalfCloseableStream]):
    """Raises these errors from its next accepts."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self.memory = MemoryListener()

    async def accept(self) -> trio.abc.HalfCloseableStream:
        await trio.lowlevel.checkpoint()
        if self.errors:
            raise OSError(self.errors.pop(0), "broken")
        return await self.memory.accept()

    async def aclose(self) -> None:
        await self.memory.aclose()


async def test_sv_14_errors_that_pass(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = BrokenListener(errno.ECONNABORTED, errno.EMFILE, errno.ENOBUFS, errno.EMFILE)
    async with tt.config().bind_listener(listener, name="broken").serving(hello):
        assert await get(listener.memory.connect())
        assert trio.current_time() == pytest.approx(0.3)
    assert caplog.text.count("broken: cannot accept") == 1


async def test_sv_14_any_other_error_ends_the_server_after_a_drain(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(20)
        return conn.ok("whole")

    broken, other = BrokenListener(errno.EMFILE, errno.EINVAL), MemoryListener()
    config = tt.config().bind_listener(broken, name="broken").bind_listener(other)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            with pytest.raises(OSError, match="broken") as raised:
                await config.server(slow).serve()
            assert raised.value.errno == errno.EINVAL
            assert any("broken" in note for note in raised.value.__notes__)

        assert (await get(other.connect())).endswith(b"whole")
    assert "failed: the server ends" in caplog.text


# SV-17


def next_wake_up() -> float:
    return trio.lowlevel.current_statistics().seconds_to_next_deadline


async def test_sv_17_an_idle_server_waits_for_no_time(mock_clock: MockClock) -> None:
    config = tt.config().with_report_interval(5).with_keepalive_grace(0)
    async with running(hang, config) as app:
        await wait_all_tasks_blocked()
        assert next_wake_up() == math.inf
        # An idle connection arms its timeout, and nothing else.
        idle = app.listener.connect()
        await wait_all_tasks_blocked()
        assert next_wake_up() == config.http.head_timeout
        await idle.aclose()
        await wait_all_tasks_blocked()
        # A handler that does not wait for its peer arms nothing.
        busy = await app.started()
        mock_clock.jump(config.http.idle_timeout)
        await wait_all_tasks_blocked()
        assert next_wake_up() == math.inf
        app.handle.shut_down()
        await wait_all_tasks_blocked()
        assert next_wake_up() == config.report_interval
        app.handle.cancel()
        await receive_all(busy)
        await busy.aclose()
        await app.handle
        assert next_wake_up() == math.inf


# SV-16


async def test_sv_16_a_service_manager_hears_of_start_stop_and_drain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    address = tmp_path / "notify"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(address))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))

        def heard() -> dict[str, str]:
            return dict(line.split("=", 1) for line in manager.recv(4096).decode().split("\n"))

        async def sleeper(conn: tt.Conn) -> tt.Conn:
            await trio.sleep(float(conn.path.strip("/")))
            return conn.ok("done")

        async with running(sleeper) as server:
            assert heard() == {"READY": "1", "STATUS": "listening on memory"}
            quick, slow = await server.started("/3"), await server.started("/13")
            server.handle.shut_down()
            await wait_all_tasks_blocked()
            assert heard()["STOPPING"] == "1"
            assert is_closing(await receive_response(quick))
            await quick.aclose()
            assert is_closing(await receive_response(slow))
            await slow.aclose()
            await server.handle
        # One has finished within the first five seconds, none within the next.
        first, second = heard(), heard()
        assert first["STATUS"].startswith("draining: 1 left, the oldest is GET /13, ")
        assert first["EXTEND_TIMEOUT_USEC"] == "10000000"
        assert second["STATUS"].startswith("draining: 1 left, the oldest is GET /13, ")
        assert "EXTEND_TIMEOUT_USEC" not in second
        with pytest.raises(BlockingIOError):
            heard()


# SV-21


def thresholds_while(serve: Callable[[HandlerLike], object]) -> list[tuple[int, int, int]]:
    """Return the collector's thresholds while a server serves, and afterwards."""
    seen = []

    async def look(info: tt.Info) -> None:
        seen.append(gc.get_threshold())
        info.swansong.shut_down()

    serve((tt.Init(look), hello))
    return [*seen, gc.get_threshold()]


@pytest.fixture
def thresholds() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield gc.get_threshold()
    gc.set_threshold(*before)


def test_sv_21_run_collects_less_often(thresholds: tuple[int, int, int]) -> None:
    run = tt.config().bind_listener(MemoryListener()).run
    assert thresholds_while(run) == [(10_000, 10, 10), thresholds]


def test_sv_21_what_the_application_set_stays(thresholds: tuple[int, int, int]) -> None:
    run = tt.config().bind_listener(MemoryListener()).run
    for own in ((0, 10, 10), (800, 9, 8)):
        gc.set_threshold(*own)
        assert thresholds_while(run) == [own, own]


def test_sv_21_what_the_application_sets_while_serving_stays(
    thresholds: tuple[int, int, int],
) -> None:
    async def choose(info: tt.Info) -> None:
        gc.set_threshold(5_000)
        info.swansong.shut_down()

    tt.config().bind_listener(MemoryListener()).run((tt.Init(choose), hello))
    assert gc.get_threshold()[0] == 5_000


def test_sv_21_in_a_run_of_the_application_nothing_changes(
    thresholds: tuple[int, int, int],
) -> None:
    def serve(handler: HandlerLike) -> None:
        trio.run(tt.config().bind_listener(MemoryListener()).server(handler).serve)

    assert thresholds_while(serve) == [thresholds, thresholds]


async def test_sv_22_connections_are_counted(autojump_clock: MockClock) -> None:
    seen: list[tt.ConnectionCounts] = []
    infos: list[tt.Info] = []

    async def init(info: tt.Info) -> None:
        infos.append(info)

    async def handler(conn: tt.Conn) -> tt.Conn:
        seen.append(infos[0].connections)
        return conn.ok("hello")

    async with running((tt.Init(init), handler)) as app:
        assert infos[0].connections == tt.ConnectionCounts()
        await app.idle()
        closing = app.listener.connect()
        await closing.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        counts = app.handle.connections
        assert (counts.open, counts.idle, counts.closing, counts.busy) == (2, 1, 1, 0)
        assert (counts.accepted, counts.queued) == (2, None)
        await closing.aclose()
        await app.handle.shut_down()
    assert [(each.open, each.idle, each.busy) for each in seen] == [(1, 0, 1), (2, 1, 1)]
    over = app.handle.connections
    assert (over.open, over.accepted) == (0, 2)


async def test_sv_23_a_drain_can_be_watched(autojump_clock: MockClock) -> None:
    infos: list[tt.Info] = []

    @asynccontextmanager
    async def lifespan(info: tt.Info) -> AsyncIterator[None]:
        infos.append(info)
        yield
        await trio.sleep(2)

    config = tt.config().with_drain_delay(1).with_drain_timeout(10)
    async with running((tt.Lifespan(lifespan), hello), config) as app:
        assert app.handle.config.drain_timeout == 10
        guard = infos[0].swansong.guard("work")
        assert app.handle.drain is None
        app.handle.shut_down()
        seen: list[tuple[str, float | None, int, str | None]] = []
        for n in range(7):
            await trio.sleep(0.75)
            drain = app.handle.drain
            assert drain is not None
            seen.append((drain.phase, drain.remaining, drain.report.finished, drain.waits_for))
            if n == 3:
                guard.release()
        assert app.handle.config is app.server.config
    waits_for = seen[4][3]
    assert waits_for is not None
    assert waits_for.startswith("the lifespan of Lifespan(")
    assert seen == [
        ("still accepting", 10.25, 0, None),
        *(("waiting", left, 0, None) for left in (9.5, 8.75, 8.0)),
        ("cleaning up", None, 1, waits_for),
        ("cleaning up", None, 1, waits_for),
        ("over", None, 1, None),
    ]


async def test_sv_23_a_stop_with_a_deadline_of_its_own(autojump_clock: MockClock) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(5)
        return conn.ok("hello")

    async with running(handler) as app:
        client = await app.started()
        app.handle.shut_down(timeout=3)
        await trio.sleep(1)
        drain = app.handle.drain
        assert drain is not None
        assert drain.remaining == pytest.approx(2)
        report = await app.handle
        assert not report.is_clean
        over = app.handle.drain
        assert over is not None
        assert (over.phase, over.report) == ("over", report)
        await client.aclose()
