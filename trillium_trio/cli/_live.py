"""The live line: what a drain waits for, rewritten in place below the log of a terminal."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Final, final

import trio

from ._environment import can_move_cursor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from ..server import Server, Settings
    from ..swansong import GuardReport

__all__ = ["LiveLine", "drain_line", "show_drain"]

# Clears the line that the cursor is on, and goes to its start.
_CLEAR: Final = "\r\033[2K"
# Often enough for tenths of a second to look alive, and invisible in a profile.
_SECONDS_BETWEEN: Final = 0.2
_LABELS_SHOWN: Final = 3


@final
class LiveLine:
    """One line at the bottom of a terminal, below the log. Thread-safe, as log handlers are.

    Args:
      stream: A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._lock = threading.RLock()

    @classmethod
    def of(cls, stream: TextIO) -> LiveLine | None:
        """Return a line, or None if the stream is not a terminal that can rewrite one."""
        return cls(stream) if stream.isatty() and can_move_cursor() else None

    def show(self, text: str) -> None:
        """Show a text in place of the last one; the empty string removes the line."""
        with self._lock:
            if self._text or text:
                # A line that wraps could not be cleared.
                width = self._width()
                self._write(_CLEAR + (text if len(text) <= width else text[: width - 3] + "..."))
            self._text = text

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Remove the line while a block writes to the terminal."""
        with self._lock:
            text = self._text
            self.show("")
            try:
                yield
            finally:
                self.show(text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # The terminal is gone, and the drain goes on.

    def _width(self) -> int:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        return (columns or 80) - 1


async def show_drain(server: Server, live: LiveLine) -> None:
    """After the stop, show what the drain waits for, for how long, and until when.

    Cancellation:
      The line is removed.
    """
    await server.swansong.shutting_down()
    start = trio.current_time()
    until = deadline_of(server.config)
    try:
        while True:
            elapsed = trio.current_time() - start
            report = server.swansong.guard_report()
            live.show(drain_line(report, elapsed=elapsed, left=until - elapsed, now=time.time()))
            await trio.sleep(_SECONDS_BETWEEN)
    finally:
        live.show("")


def deadline_of(config: Settings) -> float:
    """Return the seconds from the stop to the cut; ``inf`` without a drain timeout."""
    return config.drain_delay + (inf if config.drain_timeout is None else config.drain_timeout)


def drain_line(report: GuardReport, *, elapsed: float, left: float, now: float) -> str:
    """Return one line about a drain.

    Args:
      report: What is in flight.
      elapsed: Seconds since the stop.
      left: Seconds until what is left is cut; ``inf``: never.
      now: The time of the clock, as a timestamp.
    """
    if left == inf:
        until = "until they end"
    elif left > 0:
        until = f"until {time.strftime('%H:%M:%S', time.localtime(now + left))} ({left:.0f} s)"
    else:
        until = "cut, cleaning up"
    start = f"draining {elapsed:.1f} s, {until}"
    if report.is_empty:
        return f"{start}: nothing in flight"
    labels = [label for entry in report.entries for label in entry.labels]
    labels = labels or [entry.site for entry in report.entries]
    oldest = report.entries[0].oldest_age
    # The names last: a narrow terminal cuts them off.
    names = ", ".join(labels[:_LABELS_SHOWN]) + (", ..." if len(labels) > _LABELS_SHOWN else "")
    return f"{start}: {report.guard_count} in flight, oldest {oldest:.1f} s: {names}"
