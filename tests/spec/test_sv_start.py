"""The clauses of docs/spec/server.md about the start, SV-1 and SV-2."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trillium_trio as tt
from tests.unit.server._serving import Recorder, get, hello, running
from trillium_trio.testing import MemoryListener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


# SV-1


def test_sv_1_making_one_touches_nothing() -> None:
    def world() -> tuple[object, ...]:
        signals = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        return sorted(os.listdir("/dev/fd")), threading.active_count(), signals

    before = world()
    config = tt.config().with_port(0).bind_tcp("127.0.0.1:0").bind_unix("/tmp/never").with_signals()
    server = tt.Server(hello, config)
    assert world() == before
    assert not server.is_running
    assert not server.is_over
    assert server.listeners == ()
    assert server.swansong.is_running


async def test_sv_1_serves_once() -> None:
    async with running() as app:
        with pytest.raises(tt.MisuseError, match="once"):
            await app.server.serve()
        assert await get(app.listener.connect())
        assert app.handle.is_running
        await app.handle.shut_down()
        with pytest.raises(tt.MisuseError, match="once"):
            await app.server.serve()


# SV-2


class Started(trio.TaskStatus[tt.ServerHandle]):
    def __init__(self, events: list[str]) -> None:
        self.events = events
        self.handle: tt.ServerHandle | None = None

    def started(self, value: tt.ServerHandle | None = None) -> None:
        assert value is not None
        self.handle = value
        self.events.append("ready" if value.is_running else "ready, over")


class Start:
    """Serving in memory, with notes of what happened in which order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.listener = MemoryListener()
        self.swansong = tt.Swansong()
        self.first = Recorder("first", self.events)
        self.second = Recorder("second", self.events)
        self.third = Recorder("third", self.events)
        self.server = (
            tt.config()
            .with_swansong(self.swansong)
            .bind_listener(self.listener)
            .server((self.first, self.second, self.third))
        )

    async def serve(self) -> None:
        await self.server.serve(task_status=Started(self.events))

    def assert_nothing_left(self) -> None:
        assert self.server.is_over
        assert not self.server.is_running
        with pytest.raises(ConnectionRefusedError):
            self.listener.connect()


async def test_sv_2_the_order_of_a_start() -> None:
    start = Start()

    async def check(info: tt.Info) -> None:
        assert [each.name for each in info.listeners] == ["MemoryListener"]
        assert not start.server.is_running

    start.first.on_init = start.third.on_enter = check
    async with trio.open_nursery() as nursery:
        nursery.start_soon(start.serve)
        await wait_all_tasks_blocked()
        assert await get(start.listener.connect())
        await start.swansong.shut_down()
    assert start.events == [
        *("init first", "init second", "init third"),
        *("enter first", "enter second", "enter third"),
        "ready",
        *("leave third", "left third", "leave second", "left second", "leave first", "left first"),
    ]
    start.assert_nothing_left()


@pytest.mark.parametrize(
    ("hook", "before"),
    [
        ("init", ["init first", "init second"]),
        (
            "lifespan",
            [
                *("init first", "init second", "init third", "enter first", "enter second"),
                *("leave first", "left first"),
            ],
        ),
    ],
)
async def test_sv_2_a_failed_start_leaves_bare(hook: str, before: list[str]) -> None:
    start, error = Start(), ValueError("no database")

    async def fail(info: tt.Info) -> None:
        raise error

    setattr(start.second, "on_init" if hook == "init" else "on_enter", fail)
    with pytest.raises(ValueError, match="no database") as raised:
        await start.serve()
    assert raised.value is error
    assert error.__notes__ == [f"in second.{hook}"]
    assert start.events == before
    assert start.swansong.is_running
    start.assert_nothing_left()


async def test_sv_2_a_lifespan_with_a_nursery_wraps_no_failure_of_others() -> None:
    @asynccontextmanager
    async def pool(info: tt.Info) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            yield
            nursery.cancel_scope.cancel()

    async def fail(info: tt.Info) -> None:
        raise ValueError("no database")

    events: list[str] = []
    broken = Recorder("broken", events)
    broken.on_enter = fail
    server = tt.config().bind_listener(MemoryListener()).server((tt.Lifespan(pool), broken))
    with pytest.raises(ValueError, match="no database"):
        await server.serve()


async def test_sv_2_a_lifespan_that_cannot_be_left_is_named() -> None:
    start, error = Start(), ValueError("not flushed")

    async def fail(info: tt.Info) -> None:
        raise error

    start.second.on_exit = fail
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve() -> None:
            with pytest.raises(ValueError, match="not flushed"):
                await start.serve()

        await wait_all_tasks_blocked()
        start.swansong.shut_down()
    assert error.__notes__ == ["in second.lifespan"]
    assert start.events[-2:] == ["leave first", "left first"]
    start.assert_nothing_left()


async def test_sv_2_clean_up_after_a_failed_start_is_bounded(autojump_clock: MockClock) -> None:
    start = Start()

    async def fail(info: tt.Info) -> None:
        raise ValueError("no database")

    async def hang(info: tt.Info) -> None:
        await trio.sleep_forever()

    start.second.on_enter = fail
    start.first.on_exit = hang
    with pytest.raises(ValueError, match="no database"):
        await start.serve()
    assert trio.current_time() == 5.0
    start.assert_nothing_left()


async def test_sv_2_a_stop_before_serving() -> None:
    start = Start()
    start.swansong.shut_down()
    await start.serve()
    assert start.events == ["ready, over"]
    assert (await start.server.handle).is_clean
    start.assert_nothing_left()


async def test_sv_2_nursery_start_after_a_stop() -> None:
    start = Start()
    start.swansong.shut_down()
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(start.server.serve)
        assert not handle.is_running
        assert start.swansong.state is tt.ShutdownState.COMPLETE
        await handle


async def test_sv_2_a_stop_during_init_begins_nothing_more() -> None:
    start = Start()

    async def stop(info: tt.Info) -> None:
        start.swansong.shut_down()
        await wait_all_tasks_blocked()
        start.events.append("init goes on")

    start.second.on_init = stop
    await start.serve()
    assert start.events == ["init first", "init second", "init goes on", "ready, over"]
    start.assert_nothing_left()


async def test_sv_2_a_stop_while_a_lifespan_is_entered_leaves_it() -> None:
    start = Start()

    async def stop(info: tt.Info) -> None:
        start.swansong.shut_down()
        await wait_all_tasks_blocked()

    start.second.on_enter = stop
    await start.serve()
    assert start.events[3:] == [
        *("enter first", "enter second"),
        *("leave second", "left second", "leave first", "left first"),
        "ready, over",
    ]
    start.assert_nothing_left()


@pytest.mark.parametrize("how", ["cancel", "deadline"])
@pytest.mark.parametrize("hook", ["on_init", "on_enter"])
async def test_sv_2_cancel_ends_a_start_that_hangs(
    hook: str, how: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    start = Start()

    async def hang(info: tt.Info) -> None:
        await trio.sleep_forever()

    async def take_a_while(info: tt.Info) -> None:
        await trio.sleep(1)

    setattr(start.second, hook, hang)
    start.first.on_exit = take_a_while
    async with trio.open_nursery() as nursery:
        nursery.start_soon(start.serve)
        await wait_all_tasks_blocked()
        if how == "cancel":
            start.swansong.cancel("second signal")
        else:
            start.swansong.shut_down(timeout=3)
    assert "init third" not in start.events or hook == "on_enter"
    assert "enter third" not in start.events
    assert start.events[-1] == "ready, over"
    assert ("left first" in start.events) == (hook == "on_enter")
    # The clean-up of the first was not cut, although the order to cancel still stands.
    assert trio.current_time() == (3 if how == "deadline" else 0) + (hook == "on_enter")
    assert "clean-up" not in caplog.text
    start.assert_nothing_left()


async def test_sv_2_cancel_spares_a_lifespan_that_was_just_entered(
    autojump_clock: MockClock,
) -> None:
    start = Start()

    async def cancel(info: tt.Info) -> None:
        start.swansong.cancel()

    async def take_a_while(info: tt.Info) -> None:
        await trio.sleep(1)

    start.second.on_enter = cancel
    start.second.on_exit = take_a_while
    await start.serve()
    assert "left second" in start.events
    assert "enter third" not in start.events


async def test_sv_2_a_start_that_hangs_after_a_stop_is_named(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    start = Start()

    async def hang(info: tt.Info) -> None:
        await trio.sleep(6)

    start.second.on_enter = hang
    async with trio.open_nursery() as nursery:
        nursery.start_soon(start.serve)
        await wait_all_tasks_blocked()
        start.swansong.shut_down()
    assert "waiting for the lifespan of second" in caplog.text
