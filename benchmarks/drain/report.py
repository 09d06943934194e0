"""From rounds to tables, and whether the goals are met."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.drain.busy import Round
from benchmarks.drain.quiet import QUEUED, Backlog, Idle
from benchmarks.servers import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "BusyRounds",
    "backlog_lines",
    "busy_lines",
    "goal_lines",
    "idle_lines",
]

# By scenario and server.
BusyRounds = dict[tuple[str, str], list[Round]]

_MAX_EXIT_SECONDS = 0.2


def goal_lines(
    busy: BusyRounds,
    handover: BusyRounds,
    idle: Mapping[str, Sequence[Idle]],
    backlog: Mapping[str, Sequence[Backlog]],
) -> Iterator[str]:
    """Render the goals that were measured, and whether each is met."""
    yield from ("## Goals", "", "| goal | measured | met |", "|---|---|---|")
    ours = _ours(busy)
    if ours:
        lost = sum(each.lost_kept for each in ours)
        yield (
            f"| P8: no request lost on connections accepted before SIGTERM |"
            f" {lost} in {len(ours)} rounds | {_met(lost == 0)} |"
        )
    ours = _ours(handover)
    if ours:
        lost = sum(each.lost + each.refused + each.not_200 for each in ours)
        yield (
            f"| P8 with a successor: nothing lost or refused, new connections included |"
            f" {lost} in {len(ours)} rounds | {_met(lost == 0)} |"
        )
    if idle.get(OURS):
        seconds = [each.exit_seconds for each in idle[OURS]]
        is_met = None not in seconds and median(_ended(seconds)) <= _MAX_EXIT_SECONDS
        yield (
            f"| P9: exit within {_MAX_EXIT_SECONDS:g} s with {idle[OURS][0].connections:,} idle"
            f" connections | {_seconds(seconds)} s | {_met(is_met)} |"
        )
    if backlog.get(OURS):
        least = min(each.answered for each in backlog[OURS])
        yield (
            f"| P11: all {QUEUED} connections queued at SIGTERM answered | {least} in the worst"
            f" round | {_met(least == QUEUED)} |"
        )
    yield ""


def busy_lines(title: str, rounds: BusyRounds) -> Iterator[str]:
    """Render what was lost under load; losses and exits as sum or median, and worst round."""
    if not rounds:
        return
    yield from (f"## {title}", "")
    yield "| scenario | server | rounds | answered | lost | over all | refused | not 200 | exit s |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for (scenario, server), found in rounds.items():
        kept = [each.lost_kept for each in found]
        yield (
            f"| {scenario} | {server} | {len(found)} | {sum(each.answered for each in found):,} |"
            f" {sum(kept)}, {max(kept)} | {sum(each.lost for each in found)} |"
            f" {sum(each.refused for each in found)} | {sum(each.not_200 for each in found)} |"
            f" {_seconds([each.exit_seconds for each in found])} |"
        )
    yield ""


def idle_lines(rounds: Mapping[str, Sequence[Idle]]) -> Iterator[str]:
    """Render how long an idle server takes to exit, median and worst."""
    if not rounds:
        return
    connections = next(iter(rounds.values()))[0].connections
    yield from (f"## SIGTERM with {connections:,} idle connections", "")
    yield from ("| server | rounds | exit s |", "|---|---|---|")
    for server, found in rounds.items():
        seconds = _seconds([each.exit_seconds for each in found])
        yield f"| {server} | {len(found)} | {seconds} |"
    yield ""


def backlog_lines(rounds: Mapping[str, Sequence[Backlog]]) -> Iterator[str]:
    """Render how many of the queued connections were answered, median and worst."""
    if not rounds:
        return
    yield from (f"## {QUEUED} connections queued behind a blocked event loop at SIGTERM", "")
    yield from ("| server | rounds | answered | the blocking request too |", "|---|---|---|---|")
    for server, found in rounds.items():
        answered = [each.answered for each in found]
        blockers = sum(each.is_blocker_answered for each in found)
        yield (
            f"| {server} | {len(found)} | {median(answered):g}, {min(answered)} |"
            f" {blockers} of {len(found)} |"
        )
    yield ""


def _ours(rounds: BusyRounds) -> list[Round]:
    return [each for (_, server), found in rounds.items() if server == OURS for each in found]


def _ended(values: Sequence[float | None]) -> list[float]:
    return [each for each in values if each is not None]


def _seconds(values: Sequence[float | None]) -> str:
    ended = _ended(values)
    killed = len(values) - len(ended)
    text = f"{median(ended):.2f}, {max(ended):.2f}" if ended else "never"
    return f"{text}; {killed} had to be killed" if killed else text


def _met(is_met: bool) -> str:
    return "yes" if is_met else "**no**"
