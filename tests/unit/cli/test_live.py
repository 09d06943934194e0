"""The live line of a drain."""

from __future__ import annotations

import io
import re
from contextlib import ExitStack
from math import inf
from typing import TYPE_CHECKING

import trio

import trillium_trio as tt
from trillium_trio.cli._live import LiveLine, drain_line, show_drain

if TYPE_CHECKING:
    from trio.testing import MockClock

CLEAR = "\r\033[2K"


def report(*labels: str) -> tt.GuardReport:
    swansong = tt.Swansong()
    with ExitStack() as guards:
        for label in labels:
            guards.enter_context(swansong.guard(label))
        return swansong.guard_report()


def test_cl_8_the_line_says_what_how_long_and_until_when() -> None:
    line = drain_line(report("GET /slow"), elapsed=2.0, left=8.0, now=1_000_000.0)
    assert re.fullmatch(
        r"draining 2\.0 s, until \d\d:\d\d:\d\d \(8 s\): "
        r"1 in flight, oldest 0\.\d s: GET /slow",
        line,
    )


def test_cl_8_the_line_names_the_first_three() -> None:
    line = drain_line(report("a", "b", "c", "d"), elapsed=0.0, left=inf, now=0.0)
    assert line.startswith("draining 0.0 s, until they end: 4 in flight, oldest ")
    assert line.endswith(" s: a, b, c, ...")


def test_cl_8_the_line_says_that_nothing_is_left_and_that_it_was_cut() -> None:
    assert drain_line(report(), elapsed=9.0, left=0.0, now=0.0) == (
        "draining 9.0 s, cut, cleaning up: nothing in flight"
    )


def test_cl_8_a_record_is_written_above_the_line() -> None:
    stream = io.StringIO()
    live = LiveLine(stream)
    live.show("draining")
    with live.hidden():
        stream.write("record\n")
    live.show("")
    assert stream.getvalue() == f"{CLEAR}draining{CLEAR}record\n{CLEAR}draining{CLEAR}"


def test_cl_8_the_line_never_wraps() -> None:
    stream = io.StringIO()
    live = LiveLine(stream)
    live.show("x" * 80)
    live.show("y" * 79)
    assert stream.getvalue() == CLEAR + "x" * 76 + "..." + CLEAR + "y" * 79


def test_cl_8_without_a_line_nothing_is_cleared() -> None:
    stream = io.StringIO()
    live = LiveLine(stream)
    with live.hidden():
        pass
    live.show("")
    assert stream.getvalue() == ""


def test_cl_8_a_terminal_that_is_gone_is_no_error() -> None:
    stream = io.StringIO()
    stream.close()
    LiveLine(stream).show("draining")


async def test_cl_8_the_line_is_there_from_the_stop_to_the_end(autojump_clock: MockClock) -> None:
    stream = io.StringIO()
    server = tt.config().with_drain_delay(1).with_drain_timeout(10).server("hello")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(show_drain, server, LiveLine(stream))
        await trio.sleep(5)
        assert stream.getvalue() == ""
        with server.swansong.guard("the upload"):
            server.shut_down()
            await trio.sleep(1)
            shown = stream.getvalue().split(CLEAR)
            assert re.match(r"draining 0\.8 s, until \S+ \(10 s\): 1 in flight", shown[-1])
            assert shown[-1].endswith(" s: the upload")
        nursery.cancel_scope.cancel()
    assert stream.getvalue().endswith(CLEAR)
