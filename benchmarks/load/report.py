"""From samples to tables: medians, ratios to the reference, goals met or missed."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.load.cases import CASES, GOALS
from benchmarks.servers import OURS, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.load.cases import Case, Goal
    from benchmarks.load.driver import Sample
    from benchmarks.load.footprint import Start

__all__ = ["IMPORT_OF_TRIO", "Samples", "footprint_lines", "goal_lines", "load_lines"]

# By case, connections and server.
Samples = dict[tuple[str, int, str], list["Sample"]]

IMPORT_OF_TRIO = "import trio"
_MAX_IDLE_BYTES = 6 * 1024
_MAX_START_SECONDS = 0.060
_MAX_START_BYTES = 12 * 1024 * 1024


def load_lines(samples: Samples) -> Iterator[str]:
    """Render one table per case that was measured."""
    for case in CASES:
        rows = [
            _load_row(case, connections, name, samples)
            for connections in case.connections
            for name in case.servers
            if (case.name, connections, name) in samples
        ]
        if rows:
            unit = "MB/s" if case.transfer_bytes else "requests/s"
            yield from (f"## {case.name}", "")
            yield f"| server | connections | {unit} | ratio | CPU us | ratio | errors |"
            yield "|---|---|---|---|---|---|---|"
            yield from (*rows, "")


def _load_row(case: Case, connections: int, name: str, samples: Samples) -> str:
    found = samples[case.name, connections, name]
    rate, cpu = _rate(found), _cpu_us(found)
    anchor = REFERENCE if REFERENCE in case.servers else case.servers[-1]
    base = samples.get((case.name, connections, anchor))
    rate_ratio, cpu_ratio = "", ""
    if base:
        rate_ratio, cpu_ratio = f"{rate / _rate(base):.2f}", f"{cpu / _cpu_us(base):.2f}"
    shown = rate * case.transfer_bytes / 1e6 if case.transfer_bytes else rate
    errors = sum(each.errors for each in found)
    return (
        f"| {name} | {connections} | {shown:,.0f} | {rate_ratio} | {cpu:,.1f} | {cpu_ratio} |"
        f" {errors} |"
    )


def footprint_lines(
    idle: Mapping[str, Sequence[float]], starts: Mapping[str, Sequence[Start]], connections: int
) -> Iterator[str]:
    """Render memory and start."""
    if idle:
        yield from (f"## Memory of {connections:,} idle keep-alive connections", "")
        yield from ("| server | KiB per connection |", "|---|---|")
        for name, values in idle.items():
            yield f"| {name} | {median(values) / 1024:.1f} |"
        yield ""
    if starts:
        yield from ("## From exec to the first 200", "")
        yield from ("| server | ms | MiB resident |", "|---|---|---|")
        for name, found in starts.items():
            seconds, size = _start(found)
            yield f"| {name} | {seconds * 1e3:.0f} | {size / 2**20:.1f} |"
        yield ""


def goal_lines(
    samples: Samples, idle: Mapping[str, Sequence[float]], starts: Mapping[str, Sequence[Start]]
) -> Iterator[str]:
    """Render the goals that were measured, and whether each is met."""
    yield from ("## Goals", "", "| goal | measured | met |", "|---|---|---|")
    for goal in GOALS:
        ratio = _goal_ratio(goal, samples)
        if ratio is None:
            continue
        if goal.at_least is not None:
            what, bound, is_met = "requests/s", f">= {goal.at_least:g}", ratio >= goal.at_least
        else:
            assert goal.at_most is not None
            what, bound, is_met = "CPU", f"<= {goal.at_most:g}", ratio <= goal.at_most
        yield (
            f"| {goal.name}: {goal.case}, {goal.connections} connections, {what} {bound} x"
            f" {goal.anchor} | {ratio:.2f} x | {_met(is_met)} |"
        )
    if OURS in idle:
        size = median(idle[OURS])
        yield (
            f"| P6: idle connection <= {_MAX_IDLE_BYTES / 1024:g} KiB | {size / 1024:.1f} KiB |"
            f" {_met(size <= _MAX_IDLE_BYTES)} |"
        )
    if OURS in starts and IMPORT_OF_TRIO in starts:
        seconds, size = _start(starts[OURS])
        least_seconds, least_size = _start(starts[IMPORT_OF_TRIO])
        more, more_size = seconds - least_seconds, size - least_size
        is_met = more <= _MAX_START_SECONDS and more_size <= _MAX_START_BYTES
        yield (
            f"| P10: start <= {_MAX_START_SECONDS * 1e3:g} ms and {_MAX_START_BYTES / 2**20:g} MiB"
            f" over {IMPORT_OF_TRIO} | {more * 1e3:.0f} ms, {more_size / 2**20:.1f} MiB |"
            f" {_met(is_met)} |"
        )
    yield ""


def _goal_ratio(goal: Goal, samples: Samples) -> float | None:
    ours = samples.get((goal.case, goal.connections, goal.ours))
    anchor = samples.get((goal.case, goal.connections, goal.anchor))
    if not ours or not anchor:
        return None
    if goal.at_least is not None:
        return _rate(ours) / _rate(anchor)
    return _cpu_us(ours) / _cpu_us(anchor)


def _rate(found: Sequence[Sample]) -> float:
    return median(each.rate for each in found)


def _cpu_us(found: Sequence[Sample]) -> float:
    return median(each.cpu_us for each in found)


def _start(found: Sequence[Start]) -> tuple[float, float]:
    return median(each.seconds for each in found), median(each.resident_bytes for each in found)


def _met(is_met: bool) -> str:
    return "yes" if is_met else "**no**"
