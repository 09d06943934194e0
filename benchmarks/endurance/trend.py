"""From samples to a verdict: what must be where it was, and what may not climb."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import linear_regression, mean
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Fit", "Point", "Sample", "Verdict", "fit", "judge"]

# Two bytes a request; no object is smaller than sixteen.
_MAX_KIB_PER_1000_REQUESTS = 2.0
# The resident size of a process that keeps nothing wanders, by arenas of the interpreter (1 MiB):
# within two minutes of the recorded hour by up to 1.3 MiB beyond the error of its line. In two
# minutes this bound is the wider one, in an hour the one above.
_WANDER_KIB = 4_096
# One for each two servers is what a server leaves that leaves one in every other drain.
_MAX_OBJECTS_PER_CYCLE = 0.25
# Below this many, a line through them says nothing.
_LEAST_POINTS = 3


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the measured process holds while no server runs in it.

    Attributes:
      cut: Requests that the drain before it has cut.
      descriptors, threads, tasks, guards: How many.
      resident_kib: Resident size, in KiB.
      objects: Those that the garbage collector knows, after it has collected.
    """

    cut: int
    descriptors: int
    threads: int
    tasks: int
    guards: int
    resident_kib: int
    objects: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A sample and when it was taken.

    Attributes:
      cycle, requests, seconds: Since the start; requests are those that were answered.
    """

    cycle: int
    requests: int
    seconds: float
    sample: Sample


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A straight line through points, by least squares.

    Attributes:
      slope: Its rise per unit.
      error: Twice the standard error of the slope.
    """

    slope: float
    error: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One figure, as it was and as it should be."""

    what: str
    measured: str
    bound: str
    is_met: bool


def fit(xs: Sequence[float], ys: Sequence[float]) -> Fit:
    """Fit a line through at least three points."""
    slope, intercept = linear_regression(xs, ys)
    residue = sum((y - intercept - slope * x) ** 2 for x, y in zip(xs, ys, strict=True))
    middle = mean(xs)
    spread = sum((x - middle) ** 2 for x in xs)
    return Fit(slope=slope, error=2 * sqrt(residue / (len(xs) - 2) / spread))


def judge(points: Sequence[Point], first: Sample, last: Sample) -> Iterator[Verdict]:
    """Judge a run.

    Args:
      points: One for each cycle, warm-up left out. The first half is for caches to fill.
      first: At rest before them.
      last: At rest behind them.
    """
    for name in ("descriptors", "threads", "tasks", "guards"):
        before, after = getattr(first, name), getattr(last, name)
        yield Verdict(
            what=f"{name}, at rest",
            measured=f"{before} before, {after} after",
            bound="the same",
            is_met=before == after,
        )
    for name in ("descriptors", "tasks", "guards"):
        seen = {getattr(each.sample, name) for each in points}
        yield Verdict(
            what=f"{name}, after each drain",
            measured=", ".join(map(str, sorted(seen))),
            bound="one value",
            is_met=len(seen) == 1,
        )
    objects = (last.objects - first.objects) / len(points)
    yield Verdict(
        what="objects, at rest, more for each cycle of two servers",
        measured=f"{objects:+.3f} ({first.objects:,} before, {last.objects:,} after)",
        bound=f"{_MAX_OBJECTS_PER_CYCLE:g}",
        is_met=objects <= _MAX_OBJECTS_PER_CYCLE,
    )
    half = points[len(points) // 2 :]
    if len(half) < _LEAST_POINTS:
        return
    thousands = [each.requests / 1_000 for each in half]
    line = fit(thousands, [each.sample.resident_kib for each in half])
    span = thousands[-1] - thousands[0]
    bound = max(_MAX_KIB_PER_1000_REQUESTS, _WANDER_KIB / span)
    yield Verdict(
        what="resident size, second half, KiB more for each 1,000 requests",
        measured=f"{line.slope:+.2f} ± {line.error:.2f}, over {span:,.0f} thousand",
        bound=f"{bound:.2f}",
        is_met=line.slope - line.error <= bound,
    )
