"""Clients that want an answer, and how long they wait for it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from statistics import quantiles
from typing import final

import trio

from benchmarks.load.generator import Connection

__all__ = ["Answers", "Diary", "Figures", "connect", "keep_asking", "knock"]

_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
_FAREWELL = _REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
# Between two requests; 100 ms in the middle.
_MAX_PAUSE_SECONDS = 0.2
_PATIENCE_SECONDS = 10.0


@final
@dataclass(slots=True)
class Answers:
    """What clients got in one phase.

    Attributes:
      seconds: How long each answer took, from the moment its request was sent.
      failures: Why, for requests that got none.
    """

    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def figures(self) -> Figures:
        """Sum up."""
        cuts = quantiles(self.seconds, n=100) if len(self.seconds) > 1 else [0.0] * 99
        return Figures(
            answered=len(self.seconds),
            failures=dict(self.failures),
            median_ms=cuts[49] * 1_000,
            p99_ms=cuts[98] * 1_000,
            longest_ms=max(self.seconds, default=0.0) * 1_000,
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`Answers`, summed up; times in milliseconds."""

    answered: int
    failures: dict[str, int]
    median_ms: float
    p99_ms: float
    longest_ms: float


@final
class Diary:
    """Where clients write down what they get; the page is turned while they go on."""

    def __init__(self) -> None:
        self.page = Answers()

    def turn(self) -> Figures:
        """Begin another phase; sum up the one that is over."""
        page, self.page = self.page, Answers()
        return page.figures()


def connect(port: int, *, is_once: bool = False) -> Connection:
    """Open a connection; the first request on it is not sent yet."""
    return Connection(port, _FAREWELL if is_once else _REQUEST)


async def keep_asking(connection: Connection, diary: Diary) -> None:
    """Ask again and again on one connection, thinking in between.

    Cancellation:
      A request under way is not counted.
    """
    while True:
        await trio.sleep(random.uniform(0.0, _MAX_PAUSE_SECONDS))
        if not await _ask(connection, diary):
            return


async def knock(port: int, diary: Diary, pause: float) -> None:
    """Ask once on one new connection after another.

    Cancellation:
      A request under way is not counted.
    """
    while True:
        await trio.sleep(pause)
        connection = connect(port, is_once=True)
        try:
            await _ask(connection, diary)
        finally:
            connection.sock.close()


async def _ask(connection: Connection, diary: Diary) -> bool:
    """Ask once; return whether it was answered."""
    connection.start()
    begin = trio.current_time()
    try:
        with trio.fail_after(_PATIENCE_SECONDS):
            connection.send()
            while True:
                await trio.lowlevel.wait_readable(connection.sock)
                if connection.receive():
                    break
    except (OSError, trio.TooSlowError) as error:
        diary.page.failures[_reason(error)] += 1
        return False
    diary.page.seconds.append(trio.current_time() - begin)
    return True


def _reason(error: Exception) -> str:
    # The generator makes an exception of every answer but a 200, with its head in it.
    return "503" if " 503 " in str(error) else type(error).__name__
