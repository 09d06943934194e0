"""The assertion that a handler ends soon after the stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from trillium_trio import Conn, HttpError, Swansong
from trillium_trio import config as default_config
from trillium_trio.testing import assert_ends_after_stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def ticks() -> AsyncIterator[bytes]:
    while True:
        yield b"tick\n"
        await trio.sleep(0.4)


async def events(conn: Conn) -> Conn:
    """Stream until the stop."""
    return conn.ok(conn.swansong.interrupt(ticks()))


async def deaf(conn: Conn) -> Conn:
    """Stream without an end."""
    return conn.ok(ticks())


async def test_a_handler_that_hears_the_stop_passes(autojump_clock: trio.testing.MockClock) -> None:
    response = await assert_ends_after_stop(events, "GET /events")
    response.assert_ok().assert_body_contains("tick")


async def test_a_handler_that_needs_a_moment_passes(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(conn: Conn) -> Conn:
        await trio.sleep(3)
        return conn.ok(await conn.request_body.text())

    response = await assert_ends_after_stop(handler, "PUT /x", within=3.1, body="hello")
    response.assert_body("hello").assert_header("connection", "close")
    with pytest.raises(AssertionError, match=r"PUT /x did not end within 2\.9 s"):
        await assert_ends_after_stop(handler, "PUT /x", within=2.9)


async def test_a_handler_that_does_not_end_is_shown(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(AssertionError, match=r"GET /deaf did not end within 1 s") as caught:
        await assert_ends_after_stop(deaf, "GET /deaf")
    assert "1 outstanding guard" in str(caught.value)
    assert "test_stop.py" in str(caught.value)
    assert "in ticks" in str(caught.value)


async def test_background_work_counts(autojump_clock: trio.testing.MockClock) -> None:
    async def handler(conn: Conn) -> Conn:
        conn.start_soon(trio.sleep, 2)
        return conn.ok("soon")

    (await assert_ends_after_stop(handler, within=2.1)).assert_body("soon")
    with pytest.raises(AssertionError, match=r"(?s)did not end .*sleep"):
        await assert_ends_after_stop(handler, within=1.9)


async def test_a_handler_that_is_over_at_once_tests_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def handler(conn: Conn) -> Conn:
        raise HttpError(403)

    with pytest.raises(AssertionError, match=r"(?s)was over before the stop.*403 Forbidden"):
        await assert_ends_after_stop(handler)


async def test_a_response_that_breaks_off_at_the_stop_fails(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def pieces(swansong: Swansong) -> AsyncIterator[bytes]:
        yield b"x"
        await swansong.shutting_down()
        raise ZeroDivisionError

    async def handler(conn: Conn) -> Conn:
        return conn.ok(pieces(conn.swansong))

    with pytest.raises(AssertionError, match="its response was incomplete"):
        await assert_ends_after_stop(handler)


async def test_a_drain_timeout_does_not_help(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(AssertionError, match="did not end"):
        await assert_ends_after_stop(deaf, config=default_config().with_drain_timeout(0.1))


async def test_an_error_of_the_request_is_raised_bare(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with pytest.raises(ValueError, match="not a token"):
        await assert_ends_after_stop(deaf, headers={"no token": ""})
