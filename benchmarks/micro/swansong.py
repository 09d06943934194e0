"""What a guard costs: nanoseconds per operation, beside a pair of empty method calls.

Run it with ``python benchmarks/micro/swansong.py``. The machine's mood is in both columns, so the
ratio is what can be compared between runs.
"""

from __future__ import annotations

import timeit
from typing import TYPE_CHECKING

import trio

from trillium_trio.swansong import Swansong

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBER = 50_000
REPEAT = 9


class Empty:
    """Two methods that do nothing, called as a guard's pair would be."""

    def take(self) -> Empty:
        return self

    def give(self) -> None:
        pass


def nanoseconds(work: Callable[[], object]) -> float:
    """Return the best of several runs, without the cost of the call around the work."""
    runs = timeit.repeat(work, number=NUMBER, repeat=REPEAT)
    calls = timeit.repeat(lambda: None, number=NUMBER, repeat=REPEAT)
    return (min(runs) - min(calls)) / NUMBER * 1e9


def at_depth(depth: int) -> Swansong:
    swansong = Swansong()
    for _ in range(depth):
        swansong = swansong.child()
    return swansong


async def cases() -> dict[str, Callable[[], object]]:
    """Return the work by name; in a trio run, where ``with`` finds a task to name."""
    flat, deep, deeper = at_depth(0), at_depth(2), at_depth(8)
    stopping = at_depth(2)
    stopping.shut_down()

    def entered() -> None:
        with deep.guard("GET /"):
            pass

    return {
        "guard + release, depth 0": lambda: flat.guard().release(),
        "guard + release, depth 2": lambda: deep.guard().release(),
        "guard + release, depth 8": lambda: deeper.guard().release(),
        "the same, after the stop": lambda: stopping.guard().release(),
        "with guard(label), depth 2": entered,
        "guard_count": lambda: deep.guard_count,
        "is_running, depth 2": lambda: deep.is_running,
        "child, made and dropped": deep.child,
    }


async def main() -> None:
    empty = Empty()
    base = nanoseconds(lambda: empty.take().give())
    print(f"{'operation':32}{'ns':>8}{'ratio':>8}")
    print(f"{'two empty method calls':32}{base:8.0f}{1:8.1f}")
    for name, work in (await cases()).items():
        cost = nanoseconds(work)
        print(f"{name:32}{cost:8.0f}{cost / base:8.1f}")


if __name__ == "__main__":
    trio.run(main)
