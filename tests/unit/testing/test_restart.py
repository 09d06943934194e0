"""The assertion that requests go on across restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from trillium_trio import Config, Conn, Info, Init, Swansong
from trillium_trio.testing import assert_restart_loses_nothing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def count(conn: Conn) -> Conn:
    """Take a while, so that the stop finds requests in every state."""
    text = await conn.request_body.text()
    await trio.sleep(0.01)
    return conn.ok(text)


async def test_nothing_is_lost(autojump_clock: trio.testing.MockClock) -> None:
    handled: list[str] = []

    async def handler(conn: Conn) -> Conn:
        await count(conn)
        handled.append(conn.method)
        return conn

    report = await assert_restart_loses_nothing(handler, body="x")
    assert len(report.answered) == 4
    # Every client is served by every server, the last one included.
    assert all(answered >= 8 for answered in report.answered)
    assert handled == ["POST"] * sum(report.answered)
    assert report.lost == ()
    assert [drain.is_clean for drain in report.drains] == [True] * 4
    # Every stop but the last finds a request in progress.
    assert all(drain.finished >= 1 for drain in report.drains[:-1])


async def test_idle_connections_may_be_closed(autojump_clock: trio.testing.MockClock) -> None:
    report = await assert_restart_loses_nothing(count, config=Config(keepalive_grace=0.0))
    assert report.refused > 0
    assert report.lost == ()


async def test_a_configured_swansong_is_left_running(
    autojump_clock: trio.testing.MockClock,
) -> None:
    swansong = Swansong()
    config = Config(swansong=swansong)
    report = await assert_restart_loses_nothing("hello", restarts=1, clients=2, config=config)
    assert len(report.answered) == 2
    assert swansong.is_running


async def test_a_response_that_breaks_off_is_lost(autojump_clock: trio.testing.MockClock) -> None:
    async def pieces(swansong: Swansong) -> AsyncIterator[bytes]:
        yield b"piece"
        if not swansong.is_running:
            raise ZeroDivisionError

    async def handler(conn: Conn) -> Conn:
        await trio.sleep(0.01)
        return conn.ok(pieces(conn.swansong))

    with pytest.raises(
        AssertionError, match=r"requests were lost:\n.*by server 1: POST /"
    ) as caught:
        await assert_restart_loses_nothing(handler)
    assert "piece" in str(caught.value)


async def test_work_that_is_cut_off_fails(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(conn: Conn) -> Conn:
        await trio.sleep(1)
        return conn.ok("late")

    with pytest.raises(AssertionError, match=r"(?s)work was cut off: .*POST /"):
        await assert_restart_loses_nothing(handler, config=Config(drain_timeout=0.5))


async def test_a_drain_that_does_not_end_is_shown(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(conn: Conn) -> Conn:
        if not conn.swansong.is_running:
            await trio.sleep_forever()
        return conn.ok("x")

    with pytest.raises(
        AssertionError, match=r"(?s)server 1 did not drain within 30 s: .*in handler"
    ):
        await assert_restart_loses_nothing(handler)


async def test_a_server_that_never_answers_is_shown(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def handler(conn: Conn) -> Conn:
        await trio.sleep_forever()
        return conn

    complaint = r"(?s)server 1 did not serve every client within 9 s: 8 outstanding .*in handler"
    with pytest.raises(AssertionError, match=complaint):
        await assert_restart_loses_nothing(handler, within=9)


async def test_the_failure_of_a_server_is_raised_bare(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def fail(info: Info) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await assert_restart_loses_nothing(Init(fail))


async def test_the_body_cannot_be_a_stream(autojump_clock: trio.testing.MockClock) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    with pytest.raises(TypeError, match="cannot be a stream"):
        await assert_restart_loses_nothing("hello", body=pieces())
