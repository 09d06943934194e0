"""The drain of a server, step by step, under a virtual clock: SV-6 to SV-8."""

from __future__ import annotations

import logging
import math
import re
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trillium_trio as tt
from tests.unit.server._serving import (
    Recorder,
    get,
    hello,
    is_closing,
    receive_all,
    receive_response,
    request,
    running,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


async def app(conn: tt.Conn) -> tt.Conn:
    """Take as many seconds as the path says; ``/hang`` takes for ever."""
    seconds = conn.path.strip("/")
    if seconds == "hang":
        await trio.sleep_forever()
    await trio.sleep(float(seconds or 0))
    return conn.ok("done")


def since(start: float) -> float:
    return trio.current_time() - start


# (0) and (1)


async def test_sv_6_responses_after_the_stop_say_close(autojump_clock: MockClock) -> None:
    async with running(app) as server:
        client = await server.started("/3")
        server.handle.shut_down()
        assert is_closing(await receive_response(client))
        assert await receive_all(client) == b""
        await client.aclose()
        report = await server.handle
    assert (report.is_clean, report.finished) == (True, 1)


async def test_sv_6_interrupts_fire_at_the_stop_not_after_the_delay(
    autojump_clock: MockClock,
) -> None:
    async def watch(conn: tt.Conn) -> tt.Conn:
        await conn.swansong.shutting_down()
        return conn.ok("told")

    async with running(watch, tt.config().with_drain_delay(10)) as server:
        client = await server.started()
        server.handle.shut_down()
        start = trio.current_time()
        assert (await receive_response(client)).endswith(b"told")
        assert since(start) == 0


async def test_sv_6_listeners_accept_for_the_delay(autojump_clock: MockClock) -> None:
    async with running(app, tt.config().with_drain_delay(10)) as server:
        kept = await server.idle()
        start = trio.current_time()
        server.handle.shut_down()
        await trio.sleep(9.9)
        # Nobody was told yet: a kept connection and a new one are served, and closed.
        for client in (kept, server.listener.connect()):
            assert is_closing(await get(client))
            assert await receive_all(client) == b""
            await client.aclose()
        await server.handle
        assert since(start) == 10
        with pytest.raises(ConnectionRefusedError):
            server.listener.connect()


async def test_sv_6_without_a_delay_listeners_close_at_once(autojump_clock: MockClock) -> None:
    async with running(app) as server:
        await server.started("/3")
        server.handle.shut_down()
        await wait_all_tasks_blocked()
        assert server.handle.is_running
        with pytest.raises(ConnectionRefusedError):
            server.listener.connect()


# (3)


@pytest.mark.parametrize("is_fresh", [True, False])
async def test_sv_6_the_grace_for_one_more_request(
    is_fresh: bool, autojump_clock: MockClock
) -> None:
    async with running(app) as server:
        client = server.listener.connect() if is_fresh else await server.idle()
        await wait_all_tasks_blocked()
        await trio.sleep(0.4)
        server.handle.shut_down()
        # The grace runs from the notice on, for a connection active shortly before it.
        await trio.sleep(0.4)
        assert is_closing(await get(client))
        await client.aclose()
        assert (await server.handle).is_clean


@pytest.mark.parametrize("is_fresh", [True, False])
async def test_sv_6_the_grace_is_over_when_nobody_asks(
    is_fresh: bool, autojump_clock: MockClock
) -> None:
    async with running(app, tt.config().with_keepalive_grace(2)) as server:
        client = server.listener.connect() if is_fresh else await server.idle()
        await wait_all_tasks_blocked()
        start = trio.current_time()
        server.handle.shut_down()
        assert await receive_all(client) == b""
        assert since(start) == 2
        assert (await server.handle).is_clean


async def test_sv_6_connections_idle_for_longer_close_at_once(autojump_clock: MockClock) -> None:
    async with running(app) as server:
        client = await server.idle()
        await trio.sleep(0.6)
        start = trio.current_time()
        server.handle.shut_down()
        assert await receive_all(client) == b""
        assert since(start) == 0


async def test_sv_6_a_request_that_is_there_already_is_answered(autojump_clock: MockClock) -> None:
    async with running(app) as server:
        client = await server.idle()
        await trio.sleep(30)
        # In one step, before the server's task has a turn to read it.
        server.handle.shut_down()
        await client.send_all(request())
        assert is_closing(await receive_response(client))


# (4)


async def test_sv_6_without_a_deadline_the_drain_waits(autojump_clock: MockClock) -> None:
    async with running(app, tt.config().with_report_interval(50_000)) as server:
        client = await server.started("/100000")
        start = trio.current_time()
        server.handle.shut_down()
        assert b"200 OK" in await receive_response(client)
        await client.aclose()
        assert (await server.handle).is_clean
        assert since(start) == 100_000


@pytest.mark.parametrize(
    ("delay", "timeout", "asked", "expected"),
    [
        (0, 30, None, 30),
        (5, 30, None, 35),
        (0, 30, 10, 10),
        (0, 10, 30, 10),
        (5, None, 10, 10),
        (20, 30, 10, 10),
        (0, 0, None, 0),
    ],
)
async def test_sv_6_the_deadline_is_the_earlier_of_two(
    delay: float,
    timeout: float | None,
    asked: float | None,
    expected: float,
    autojump_clock: MockClock,
) -> None:
    config = tt.config().with_drain_delay(delay).with_drain_timeout(timeout)
    async with running(app, config) as server:
        client = await server.started("/hang")
        start = trio.current_time()
        server.handle.shut_down(timeout=asked)
        response = await receive_response(client)
        assert since(start) == expected
        await client.aclose()
        report = await server.handle
    assert response.startswith(b"HTTP/1.1 503 ")
    assert not report.is_clean
    assert report.cancelled.guard_count == 1
    (entry,) = report.cancelled
    assert entry.labels == ("GET /hang",)
    # Taken before anything was cancelled: the handler was still where it waited.
    assert "in app" in str(report.cancelled)


async def test_sv_6_a_later_call_shortens_the_time(autojump_clock: MockClock) -> None:
    async with running(app) as server:
        client = await server.started("/hang")
        start = trio.current_time()
        server.handle.shut_down(timeout=30)
        await trio.sleep(5)
        server.handle.shut_down(timeout=100)
        server.handle.shut_down(timeout=5)
        assert b"503" in await receive_response(client)
        assert since(start) == 10


async def test_sv_6_no_guards_is_not_the_end(autojump_clock: MockClock) -> None:
    """A connection that has answered and lingers is waited for, and is no straggler."""
    async with running(app) as server:
        client = await server.started("/3")
        start = trio.current_time()
        server.handle.shut_down()
        await receive_response(client)
        assert server.handle.swansong.guard_count == 0
        assert server.handle.is_running
        report = await server.handle
        assert since(start) == 5  # 3 for the handler, 2 for the linger timeout
    assert report.is_clean


async def test_sv_6_lingering_beyond_the_deadline_is_bounded(autojump_clock: MockClock) -> None:
    config = tt.config().with_drain_timeout(4).with_cleanup_timeout(1.5)
    config = config.with_http(tt.HttpConfig(linger_timeout=math.inf))
    async with running(app, config) as server:
        client = await server.started("/3")
        server.handle.shut_down()
        start = trio.current_time()
        assert is_closing(await receive_response(client))
        report = await server.handle  # the client never closes
        assert since(start) == 5.5
    assert report.is_clean
    await client.aclose()


async def test_sv_6_lingering_at_the_deadline_is_clean(autojump_clock: MockClock) -> None:
    async with running(app, tt.config().with_drain_timeout(4)) as server:
        client = await server.started("/3")
        server.handle.shut_down()
        await receive_response(client)
        assert (await server.handle).is_clean


async def test_sv_6_guards_of_the_application_delay_the_end(autojump_clock: MockClock) -> None:
    guards: list[tt.Guard] = []

    async def leave_guard(conn: tt.Conn) -> tt.Conn:
        guards.append(conn.swansong.guard("half a job"))
        return conn.ok("")

    async with running(leave_guard) as server:
        client = server.listener.connect()
        await get(client)
        await client.aclose()
        start = trio.current_time()
        server.handle.shut_down()
        await trio.sleep(7)
        assert server.handle.is_running
        guards[0].release()
        await server.handle
        assert since(start) == 7


async def test_sv_6_background_work_is_drained(autojump_clock: MockClock) -> None:
    done: list[str] = []

    async def work(seconds: float) -> None:
        await trio.sleep(seconds)
        done.append("work")

    async def start_work(conn: tt.Conn) -> tt.Conn:
        conn.start_soon(work, 20)
        return conn.ok("")

    async def early(info: tt.Info) -> None:
        info.start_soon(work, 30)
        assert info.swansong.guard_count == 1

    async with running((tt.Init(early), start_work)) as server:
        client = server.listener.connect()
        await get(client)
        await client.aclose()
        assert server.handle.swansong.guard_count == 2
        report = await server.handle.shut_down()
    assert done == ["work", "work"]
    assert report.is_clean


async def test_sv_7_background_work_is_cut_and_what_begins_later_too(
    autojump_clock: MockClock,
) -> None:
    events: list[str] = []

    async def late() -> None:
        try:
            await trio.sleep_forever()
        finally:
            events.append("late is cancelled")

    async def work(info: tt.Info) -> None:
        try:
            await trio.sleep_forever()
        finally:
            events.append("work is cancelled")
            info.start_soon(late)

    async def start_work(info: tt.Info) -> None:
        info.start_soon(work, info)

    config = tt.config().with_drain_timeout(3)
    async with running(tt.Init(start_work), config) as server:
        start = trio.current_time()
        report = await server.handle.shut_down()
        assert since(start) == 3
    assert events == ["work is cancelled", "late is cancelled"]
    assert report.cancelled.guard_count == 1


async def test_sv_6_cancel_in_mid_drain_cuts_at_once(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    events: list[str] = []
    handlers = (Recorder("clean", events), app)
    async with running(handlers, tt.config().with_drain_timeout(30)) as server:
        client = await server.started("/hang")
        start = trio.current_time()
        server.handle.shut_down()
        await trio.sleep(2)
        server.handle.cancel("enough")
        assert b"503" in await receive_response(client)
        await client.aclose()
        report = await server.handle
        assert since(start) == 2
    assert events[-1] == "left clean"
    assert (report.is_clean, report.reason) == (False, "enough")
    assert report.cancelled.guard_count == 1
    assert "cutting 1 outstanding guard" in caplog.text


async def test_sv_6_cancel_without_a_drain_runs_the_clean_up(autojump_clock: MockClock) -> None:
    events: list[str] = []
    config = tt.config().with_drain_delay(60)
    async with running((Recorder("clean", events), app), config) as server:
        client = await server.started("/hang")
        start = trio.current_time()
        server.handle.cancel()
        assert b"503" in await receive_response(client)
        await client.aclose()
        await server.handle
        assert since(start) == 0
    assert events[-2:] == ["leave clean", "left clean"]


# (5)


async def test_sv_6_services_end_between_requests_and_lifespans(autojump_clock: MockClock) -> None:
    events: list[str] = []

    async def service() -> None:
        try:
            await trio.sleep_forever()
        finally:
            events.append("service")

    async def slow(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(3)
        events.append("request")
        return conn.ok("")

    async def start(info: tt.Info) -> None:
        info.start_service(service)

    handlers = (Recorder("a", events), Recorder("b", events), tt.Init(start), slow)
    async with running(handlers) as server:
        client = await server.started()
        events.clear()
        server.handle.shut_down()
        await receive_response(client)
        await server.handle
    assert events == ["request", "service", "leave b", "left b", "leave a", "left a"]


async def test_sv_6_clean_up_has_one_deadline(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    events: list[str] = []
    quick, slow, hung = (Recorder(name, events) for name in ("quick", "slow", "hung"))

    async def hang(info: tt.Info) -> None:
        await trio.sleep_forever()

    async def take_a_while(info: tt.Info) -> None:
        await trio.sleep(4)

    hung.on_exit = hang
    slow.on_exit = take_a_while
    config = tt.config().with_cleanup_timeout(5)
    async with running((quick, hung, slow, app), config) as server:
        client = await server.started("/3")
        start = trio.current_time()
        server.handle.shut_down()
        await receive_response(client)
        await client.aclose()
        report = await server.handle
        assert since(start) == 8
    assert "left slow" in events
    assert "left hung" not in events
    # Its time is over, too; but a scope that is cancelled lets through what does not wait.
    assert "left quick" in events
    assert (report.is_clean, report.cancelled.guard_count) == (False, 0)
    assert report.reason == "the clean-up of hung took over 5 s"
    assert "the clean-up of hung took over 5 s: cut" in caplog.text


async def test_sv_6_completion_waits_for_the_clean_up(autojump_clock: MockClock) -> None:
    events: list[str] = []
    slow = Recorder("slow", events)

    async def take_a_while(info: tt.Info) -> None:
        await trio.sleep(4)
        assert server.handle.swansong.state is tt.ShutdownState.SHUTTING_DOWN

    slow.on_exit = take_a_while
    async with running((slow, app)) as server:
        start = trio.current_time()
        assert (await server.handle.shut_down()).is_clean
        assert since(start) == 4
        assert server.server.is_over


# SV-7


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 10
        await trio.sleep(1)


async def test_sv_7_a_body_that_is_cut_is_not_whole(autojump_clock: MockClock) -> None:
    async def stream(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.streaming(endless()))

    async with running(stream, tt.config().with_drain_timeout(3)) as server:
        client = await server.started()
        server.handle.shut_down()
        received = await receive_all(client)
        report = await server.handle
    assert received.count(b"a\r\nxxxxxxxxxx\r\n") >= 3
    assert not received.endswith(b"0\r\n\r\n")
    assert report.cancelled.guard_count == 1


async def test_sv_7_a_handler_that_swallows_its_cancellation_is_heard(
    autojump_clock: MockClock,
) -> None:
    async def stubborn(conn: tt.Conn) -> tt.Conn:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            return conn.ok("after all")
        raise AssertionError

    async with running(stubborn, tt.config().with_drain_timeout(3)) as server:
        client = await server.started()
        server.handle.shut_down()
        response = await receive_response(client)
    assert response.endswith(b"after all")
    assert is_closing(response)


async def test_sv_7_a_503_says_when_to_come_back(autojump_clock: MockClock) -> None:
    async with running(app, tt.config().with_drain_timeout(3)) as server:
        client = await server.started("/hang")
        server.handle.shut_down()
        response = await receive_response(client)
    assert is_closing(response)
    assert re.search(rb"(?i)\r\nretry-after: \d+\r\n", response)


@pytest.mark.parametrize("who", ["handler", "service", "lifespan"])
async def test_sv_7_what_shields_itself_is_waited_for_and_named(
    who: str, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def shield() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(17)

    async def until_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            await shield()

    async def handle(conn: tt.Conn) -> tt.Conn:
        if who == "handler":
            await until_cancelled()
        return conn.ok("")

    async def init(info: tt.Info) -> None:
        if who == "service":
            info.start_service(until_cancelled)

    async def leave(info: tt.Info) -> None:
        if who == "lifespan":
            await shield()

    lifespan = Recorder("lifespan", [])
    lifespan.on_exit = leave
    config = tt.config().with_drain_timeout(0).with_report_interval(5)
    async with running((tt.Init(init), lifespan, handle), config) as server:
        client = await server.started()
        start = trio.current_time()
        server.handle.shut_down()
        await client.aclose()
        await server.handle
        assert 17 <= since(start) < 18
    named = [each.getMessage() for each in caplog.records if "is draining" in each.getMessage()]
    assert len(named) == 3
    expected = {
        "handler": r"1 left, the oldest is GET /, .* in shield$",
        "service": r"waiting for service test_sv_7",
        "lifespan": r"waiting for the lifespan of lifespan$",
    }
    assert all(re.search(expected[who], line) for line in named)


# SV-8


async def test_sv_8_a_drain_says_what_it_waits_for(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    caplog.set_level(logging.INFO, logger="trillium_trio.server")
    async with running(app, tt.config().with_report_interval(10)) as server:
        clients = [await server.started(target) for target in ("/38", "/15")]
        await trio.sleep(5)
        assert "draining" not in caplog.text
        server.handle.shut_down()
        for client in clients:
            await receive_response(client)
            await client.aclose()
        await server.handle
    lines = [each.getMessage() for each in caplog.records]
    progress = [line for line in lines if "is draining" in line]
    # 10, 20 and 30 seconds after the stop, which came after 5. Ages are real time.
    assert len(progress) == 3
    for line, count in zip(progress, (2, 1, 1), strict=True):
        assert re.fullmatch(
            rf"memory is draining: {count} left, the oldest is GET /38, "
            r"\d\.\d s old at \S+:\d+ in app",
            line,
        )
    assert re.fullmatch(r"memory: drained in \d+\.\d\ds: 2 finished", lines[-1])


async def test_sv_8_closing_connections_are_counted(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    caplog.set_level(logging.INFO, logger="trillium_trio.server")
    config = tt.config().with_report_interval(0.5).with_keepalive_grace(2)
    async with running(hello, config) as server:
        client = server.listener.connect()
        await wait_all_tasks_blocked()
        server.handle.shut_down()
        await receive_all(client)
    assert "memory is draining: 1 connections are closing" in caplog.text


async def test_sv_8_a_delay_is_nothing_to_report(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    caplog.set_level(logging.INFO, logger="trillium_trio.server")
    async with running(hello, tt.config().with_drain_delay(60)) as server:
        await server.handle.shut_down()
    assert "is draining" not in caplog.text


async def test_sv_8_the_last_line_says_what_was_cut(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    caplog.set_level(logging.INFO, logger="trillium_trio.server")
    async with running(app) as server:
        client = await server.started("/hang")
        server.handle.shut_down(timeout=2)
        await receive_all(client)
        await client.aclose()
        await server.handle
    line = caplog.records[-1].getMessage()
    assert line.endswith("1 cut off (the drain's deadline has passed)")
