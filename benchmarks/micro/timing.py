"""Timing single operations, and printing them beside one that all of them are compared with."""

from __future__ import annotations

import timeit
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["nanoseconds", "print_rows"]

NUMBER = 20_000
REPEAT = 9


def nanoseconds(work: Callable[[], object]) -> float:
    """Return the best of several runs, without the cost of the call around the work."""
    runs = timeit.repeat(work, number=NUMBER, repeat=REPEAT)
    calls = timeit.repeat(lambda: None, number=NUMBER, repeat=REPEAT)
    return (min(runs) - min(calls)) / NUMBER * 1e9


def print_rows(rows: Mapping[str, Callable[[], object]]) -> None:
    """Measure and print each; ratios are to the first."""
    print(f"{'operation':48}{'ns':>10}{'ratio':>9}")
    base = 0.0
    for label, work in rows.items():
        cost = nanoseconds(work)
        base = base or cost
        print(f"{label:48}{cost:10.0f}{cost / base:9.2f}")
