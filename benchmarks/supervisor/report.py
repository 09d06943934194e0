"""From measurements to tables, and whether the goals are met."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final, final

from benchmarks.servers import OURS
from benchmarks.supervisor.figures import BARE, CONNECTIONS, DICTS
from benchmarks.supervisor.losses import PHASES, WAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchmarks.supervisor.figures import Idle, Memory, Roll, Throughput
    from benchmarks.supervisor.losses import Phase

__all__ = ["DOING", "Found", "goal_lines", "lines", "ours_is_clean"]

DOING: Final = {
    "roll": "rolls",
    "upgrade": "upgrades of the parent",
    "rollback": "versions that cannot start",
    "kill": "kill -9 of a worker",
}

_LEAST_SPEED_UP: Final = 1.8
_LEAST_SHARE: Final = 0.45
_MOST_START: Final = 1.5
_MOST_IDLE: Final = 0.001


@final
@dataclass(slots=True, kw_only=True)
class Found:
    """All that has been measured.

    Attributes:
      phases: Of the losses.
      bare: What two processes with the loop alone do, against one.
      throughput: By server, path and workers; one for each round.
      balance: By server: the share of the smaller worker in each round.
      memory: By server, dicts and workers.
      starts: By server and workers, in seconds; 0: the same program without a supervisor.
      rolls: By server.
      idle: By server.
    """

    phases: list[Phase] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    throughput: dict[tuple[str, str, int], list[Throughput]] = field(default_factory=dict)
    balance: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[tuple[str, int, int], Memory] = field(default_factory=dict)
    starts: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    rolls: dict[str, list[Roll]] = field(default_factory=dict)
    idle: dict[str, Idle] = field(default_factory=dict)


def ours_is_clean(phases: Iterable[Phase]) -> bool:
    """Tell whether our own phases went as we promise."""
    return all(each.is_clean for each in phases if each.server == OURS)


def lines(found: Found) -> Iterator[str]:
    """Render all tables."""
    yield from goal_lines(found)
    yield from _loss_lines(found.phases)
    yield from _throughput_lines(found)
    yield from _balance_lines(found.balance)
    yield from _memory_lines(found.memory)
    yield from _start_lines(found.starts)
    yield from _roll_lines(found.rolls)
    yield from _idle_lines(found.idle)


# -- goals -------------------------------------------------------------------------------------


def goal_lines(found: Found) -> Iterator[str]:
    """Render the goals that were measured, and whether each is met."""
    yield from ("## Goals", "", "| goal | measured | met |", "|---|---|---|")
    for goal, measured, is_met in _goals(found):
        yield f"| {goal} | {measured} | {'yes' if is_met else '**no**'} |"
    yield ""


def _goals(found: Found) -> Iterator[tuple[str, str, bool]]:
    for way in WAYS:
        ours = [each for each in found.phases if (each.server, each.way) == (OURS, way)]
        yield from _loss_goals(way, ours)
    if burnt := found.throughput.get((OURS, "/burn", 2)):
        ratio = _rate(burnt) / _rate(found.throughput[OURS, "/burn", 1])
        yield (
            f"two workers do {_LEAST_SPEED_UP:g} times what one does, where handlers need CPU",
            f"{ratio:.2f}; the machine gives {median(found.bare):.2f}",
            ratio >= _LEAST_SPEED_UP,
        )
    if shares := found.balance.get(OURS):
        yield (
            f"{CONNECTIONS} connections at once are shared 45:55 or better",
            f"{_share(min(shares))} at worst, median {_share(median(shares))}",
            min(shares) >= _LEAST_SHARE,
        )
    starts = {
        workers: median(each) for (name, workers), each in found.starts.items() if name == OURS
    }
    if OURS in found.rolls and 0 in starts:
        first = median(each.first for each in found.rolls[OURS])
        yield _start_goal("a roll's first new worker is ready", first, "one start", starts[0])
    if {1, 2} <= starts.keys():
        yield _start_goal("two workers are ready", starts[2], "one worker", starts[1])
    if OURS in found.idle:
        share = found.idle[OURS].others
        yield (
            "the idle parent uses less than 0.1 % of a core",
            f"{share:.3%}",
            share < _MOST_IDLE,
        )


def _loss_goals(way: str, ours: Sequence[Phase]) -> Iterator[tuple[str, str, bool]]:
    if planned := [each for each in ours if each.name != "kill"]:
        steps = ", ".join(f"{each.steps} {DOING[each.name]}" for each in planned)
        sums = [
            sum(getattr(each, name) for each in planned) for name in ("lost", "refused", "doubled")
        ]
        yield (
            f"{way}: nothing lost, refused or begun twice",
            f"{', '.join(map(str, sums))} in {steps}",
            all(each.is_clean for each in planned),
        )
    for each in ours:
        if each.name == "kill":
            counts = f"{each.lost} of {each.held}, {each.foreign} of others, {each.refused} refused"
            yield (
                f"{way}: a killed worker costs what it held at most, and nothing is refused",
                f"{counts} in {each.steps} kills",
                each.is_clean,
            )


def _start_goal(what: str, seconds: float, unit: str, unit_seconds: float) -> tuple[str, str, bool]:
    ratio = seconds / unit_seconds
    return (
        f"{what} within {_MOST_START:g} times what {unit} takes",
        f"{ratio:.2f}: {_ms(seconds)} and {_ms(unit_seconds)}",
        ratio <= _MOST_START,
    )


# -- tables ------------------------------------------------------------------------------------


def _loss_lines(phases: Sequence[Phase]) -> Iterator[str]:
    if not phases:
        return
    yield from (
        "## Losses",
        "",
        "Eight clients on kept connections and eight on fresh ones POST without a pause; the",
        "handler takes 5 ms; two workers. HAProxy has one server and makes no retries. Each phase",
        "has a new server. *lost*: sent, and no whole answer came; on kept and on fresh",
        "connections, by how: `eof` or `reset` before the first byte, `cut` after it, `502` from",
        "HAProxy. *twice*: begun by two handlers. *held*: what the killed workers had, at most:",
        "connections, behind HAProxy requests in flight. *s*: a step, median and longest, until",
        "all workers answer and the old ones are gone. *waited*: the longest that a client did.",
        "Where the service ends, the counts end a moment later.",
        "",
    )
    for name in PHASES:
        rows = [each for each in phases if each.name == name]
        if not rows:
            continue
        yield from (f"### {DOING[name].capitalize()}", "")
        own = " held | not its own |" if name == "kill" else ""
        lost = "lost: kept | fresh | refused | twice"
        yield f"| way | server | done | answered | {lost} |{own} s | waited | |"
        yield "|---|---|---|---|---|---|---|---|---|---|---|" + ("---|---|" if own else "")
        for each in rows:
            yield _loss_row(each)
        yield ""


def _loss_row(each: Phase) -> str:
    if not each.answered:
        columns = 9 + 2 * (each.name == "kill")
        return f"| {each.way} | {each.server} |{' |' * (columns - 1)} {each.note} |"
    own = f" {each.held} | {each.foreign} |" if each.name == "kill" else ""
    seconds = f"{median(each.seconds):.2f}, {max(each.seconds):.2f}" if each.seconds else ""
    return (
        f"| {each.way} | {each.server} | {each.steps} | {each.answered:,} |"
        f" {_how(each.lost_kept)} | {_how(each.lost_fresh)} | {each.refused} | {each.doubled} |"
        f"{own} {seconds} | {each.slowest:.2f} | {each.note} |"
    )


def _how(lost: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {how}" for how, count in sorted(lost.items())) or "0"


def _throughput_lines(found: Found) -> Iterator[str]:
    if not found.throughput:
        return
    yield from (
        "## Throughput",
        "",
        f"wrk with {CONNECTIONS} connections. Nothing is pinned, and wrk uses the same cores, so",
        "with two workers it takes from them: `/` says little about their number, its CPU time",
        "per request more. `/burn` runs 2 ms of Python a request, beside which wrk needs nearly",
        "nothing; the same loop in one and in two processes, without a server, shows what the",
        "machine has to give. Medians. *x*: two workers against one.",
        "",
        "| path | server | req/s with 1 | with 2 | x | CPU us with 1 | with 2 | errors |",
        "|---|---|---|---|---|---|---|---|",
    )
    for name, path in dict.fromkeys((name, path) for name, path, _ in found.throughput):
        one, two = (found.throughput.get((name, path, workers)) for workers in (1, 2))
        if not one or not two:
            continue
        yield (
            f"| `{path}` | {name} | {_rate(one):,.0f} | {_rate(two):,.0f} |"
            f" {_rate(two) / _rate(one):.2f} | {_cpu(one):.0f} | {_cpu(two):.0f} |"
            f" {sum(each.errors for each in (*one, *two))} |"
        )
    if found.bare:
        yield f"| `/burn` | {BARE} | | | {median(found.bare):.2f} | | | |"
    yield ""


def _balance_lines(balance: Mapping[str, Sequence[float]]) -> Iterator[str]:
    if not balance:
        return
    yield from (
        "## Balance",
        "",
        f"{CONNECTIONS} connections are opened one directly after the other, and each is used",
        "once; two workers. The share of the one that got fewer.",
        "",
        "| server | rounds | median | worst |",
        "|---|---|---|---|",
    )
    for name, shares in balance.items():
        yield (f"| {name} | {len(shares)} | {_share(median(shares))} | {_share(min(shares))} |")
    yield ""


def _memory_lines(memory: Mapping[tuple[str, int, int], Memory]) -> Iterator[str]:
    if not memory:
        return
    counts = sorted({workers for _, _, workers in memory})
    heads = "".join(f" worker of {each} |" for each in counts)
    yield from (
        "## Memory",
        "",
        f"PSS in MiB after some requests. *large*: the application holds {DICTS:,} dicts.",
        "*others*: the parent, and what helps it, with the most workers.",
        "",
        f"| application | server |{heads} others |",
        "|---|---|" + "---|" * (len(counts) + 1),
    )
    for name, dicts in dict.fromkeys((name, dicts) for name, dicts, _ in memory):
        row = [memory.get((name, dicts, each)) for each in counts]
        cells = "".join(f" {each.worker:.1f} |" if each else " |" for each in row)
        others = f" {row[-1].others:.1f} |" if row[-1] else " |"
        yield f"| {'large' if dicts else 'small'} | {name} |{cells}{others}"
    yield ""


def _start_lines(starts: Mapping[tuple[str, int], Sequence[float]]) -> Iterator[str]:
    if not starts:
        return
    counts = sorted({workers for _, workers in starts if workers})
    heads = "".join(f" {each} |" for each in counts)
    yield from (
        "## Start",
        "",
        "From exec until the application of each worker has started, in ms, median and longest,",
        "by the number of workers. *alone*: the same program without `--workers`, which has no",
        "parent.",
        "",
        f"| server | alone |{heads}",
        "|---|---|" + "---|" * len(counts),
    )
    for name in dict.fromkeys(name for name, _ in starts):
        cells = "".join(_middle(starts.get((name, each), ())) for each in (0, *counts))
        yield f"| {name} |{cells}"
    yield ""


def _roll_lines(rolls: Mapping[str, Sequence[Roll]]) -> Iterator[str]:
    if not rolls:
        return
    yield from (
        "## A roll without load",
        "",
        "Two workers. From the signal until the first new application has started, and until the",
        "last old worker is gone, in ms, median and longest.",
        "",
        "| server | rolls | first | over |",
        "|---|---|---|---|",
    )
    for name, found in rolls.items():
        cells = _middle([each.first for each in found]) + _middle([each.over for each in found])
        yield f"| {name} | {len(found)} |{cells}"
    yield ""


def _idle_lines(idle: Mapping[str, Idle]) -> Iterator[str]:
    if not idle:
        return
    yield from (
        "## CPU of an idle server",
        "",
        "User and system time as a share of one core, all servers beside each other; two workers.",
        "",
        "| server | a worker | parent, and what helps it |",
        "|---|---|---|",
    )
    for name, each in idle.items():
        yield f"| {name} | {each.worker:.3%} | {each.others:.3%} |"
    yield ""


def _rate(samples: Sequence[Throughput]) -> float:
    return median(each.rate for each in samples)


def _cpu(samples: Sequence[Throughput]) -> float:
    return median(each.cpu_us for each in samples)


def _share(share: float) -> str:
    return f"{share:.0%}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"


def _middle(seconds: Sequence[float]) -> str:
    if not seconds:
        return " |"
    return f" {median(seconds) * 1e3:,.0f}, {max(seconds) * 1e3:,.0f} |"
