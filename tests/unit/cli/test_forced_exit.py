"""The forced exit: what cannot be cut does not keep the process (SV-7)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trillium_trio as tt
from trillium_trio.cli._forced_exit import exit_when_stuck
from trillium_trio.testing import MemoryListener

REQUEST = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
SETTINGS = tt.Config(drain_delay=1, drain_timeout=10, cleanup_timeout=5, report_interval=1000)

Handle = Callable[[tt.Conn], Awaitable[tt.Conn]]


def shielded(seconds: float) -> Handle:
    async def held(conn: tt.Conn) -> tt.Conn:
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)
        return conn.ok("done")

    return held


async def seconds_until_exit(
    handler: tt.Handler | Handle | tuple[tt.Handler, Handle],
    stop: Callable[[tt.Swansong], object],
    config: tt.Config = SETTINGS,
) -> float | None:
    """Serve one request, stop, and return the seconds until the process would exit, if any."""
    listener = MemoryListener()
    server = config.bind_listener(listener).server(handler)
    exits: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exit_when_stuck, server, lambda: exits.append(trio.current_time()))
        async with trio.open_nursery() as serving:
            await serving.start(server.serve)
            client = listener.connect()
            await client.send_all(REQUEST)
            await wait_all_tasks_blocked()
            start = trio.current_time()
            stop(server.swansong)
        nursery.cancel_scope.cancel()
    await client.aclose()
    return exits[0] - start if exits else None


def shut_down(swansong: tt.Swansong) -> None:
    swansong.shut_down()


async def test_sv_7_a_shielded_straggler_is_left_behind(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    assert await seconds_until_exit(shielded(100), shut_down) == pytest.approx(1 + 10 + 5)
    [line] = [each for each in caplog.records if each.name == "trillium_trio.cli"]
    assert line.levelno == logging.CRITICAL
    assert "GET /held" in line.getMessage()
    assert "in held" in line.getMessage()


async def test_sv_7_the_second_signal_leaves_after_the_clean_up(autojump_clock: MockClock) -> None:
    assert await seconds_until_exit(shielded(100), tt.Swansong.cancel) == pytest.approx(5)


async def test_sv_7_a_timeout_of_the_stop_counts(autojump_clock: MockClock) -> None:
    def stop(swansong: tt.Swansong) -> None:
        swansong.shut_down(timeout=2)

    assert await seconds_until_exit(shielded(100), stop) == pytest.approx(2 + 5)


async def test_sv_7_what_ends_in_time_forces_no_exit(autojump_clock: MockClock) -> None:
    assert await seconds_until_exit(shielded(15), shut_down) is None


async def test_sv_7_without_a_drain_timeout_patience_has_no_end(autojump_clock: MockClock) -> None:
    config = SETTINGS.with_drain_timeout(None)
    assert await seconds_until_exit(shielded(10_000), shut_down, config) is None


def lifespan(seconds: float, *, shield: bool) -> tt.Lifespan:
    @asynccontextmanager
    async def closing_slowly(info: tt.Info) -> AsyncIterator[None]:
        yield
        with trio.CancelScope(shield=shield):
            await trio.sleep(seconds)

    return tt.Lifespan(closing_slowly)


async def test_sv_7_a_lifespan_has_its_time_after_a_straggler(autojump_clock: MockClock) -> None:
    # The straggler ends 4 s after it was cut; the clean-up may take 5 s from then on.
    handlers = (lifespan(100, shield=False), shielded(15))
    assert await seconds_until_exit(handlers, shut_down) is None


async def test_sv_7_a_shielded_lifespan_is_left_behind(autojump_clock: MockClock) -> None:
    handlers = (lifespan(100, shield=True), shielded(1))
    assert await seconds_until_exit(handlers, shut_down) == pytest.approx(1 + 10 + 5 + 5 + 1)
