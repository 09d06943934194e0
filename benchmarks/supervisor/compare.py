"""Compare servers with workers: what is lost when they are replaced, and what they cost."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple, final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

from benchmarks.environment import RESULTS, describe, note, write_results
from benchmarks.process import CannotMeasureError, unwind_on_sigterm
from benchmarks.supervisor.figures import (
    DICTS,
    bare_ratio,
    idle,
    loops_for,
    measure_balance,
    measure_memory,
    measure_roll,
    measure_start,
    measure_throughput,
)
from benchmarks.supervisor.losses import PHASES, WAYS, run_phase
from benchmarks.supervisor.peers import PEERS, Peer, present
from benchmarks.supervisor.report import Found, lines, ours_is_clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PARTS = ("losses", "throughput", "balance", "memory", "start", "idle")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def main() -> int:
    """Measure, print the tables, write them and the raw figures.

    Returns:
      1 if something is missing, or a server of ours has lost what it must not.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rolls", type=int, default=20, help="under load (default: 20)")
    parser.add_argument("--upgrades", type=int, default=10, help="of the parent (default: 10)")
    parser.add_argument("--rollbacks", type=int, default=10, help="broken versions (default: 10)")
    parser.add_argument("--kills", type=int, default=20, help="of a worker (default: 20)")
    parser.add_argument("--rounds", type=int, default=7, help="of all else (default: 7)")
    parser.add_argument("--seconds", type=float, default=5.0, help="a load by wrk (default: 5)")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be repeated")
    parser.add_argument("--way", choices=WAYS, action="append", help="of the losses; as --only")
    parser.add_argument("--phase", choices=PHASES, action="append", help="of the losses; as --only")
    parser.add_argument(
        "--server",
        choices=[each.name for each in PEERS],
        action="append",
        help="only these; may be repeated",
    )
    parser.add_argument("--quick", action="store_true", help="a little of all, nothing written")
    parser.add_argument("--output", type=Path, help="folder for the results")
    parser.add_argument("--name", default="supervisor", help="of the results' files")
    options = parser.parse_args()
    unwind_on_sigterm()
    if options.quick:
        options.rolls = options.kills = options.rounds = 2
        options.upgrades = options.rollbacks = 1
        options.seconds = 1.0

    peers = present(options.server)
    environment = describe(each.server for each in peers)
    run = Run(peers, rounds=options.rounds)
    parts = options.only or PARTS
    if "losses" in parts:
        steps = {
            "roll": options.rolls,
            "upgrade": options.upgrades,
            "rollback": options.rollbacks,
            "kill": options.kills,
        }
        run.losses(options.way or WAYS, options.phase or PHASES, steps)
    if "throughput" in parts:
        run.throughput(options.seconds)
    if "balance" in parts:
        run.balance(5 if options.quick else 20)
    if "memory" in parts:
        run.memory()
    if "start" in parts:
        run.starts()
    if "idle" in parts:
        run.idle(20 if options.quick else 60)

    table = "\n".join(["# Supervisor", "", note(environment), "", *lines(run.found)])
    print(table)
    is_part = options.only or options.server or options.way or options.phase
    output = options.output or (None if options.quick or is_part else RESULTS)
    if output is not None:
        write_results(output, options.name, {"environment": environment, **run.raw()}, table)
    return 1 if run.has_failed or not ours_is_clean(run.found.phases) else 0


@final
class Run:
    """What has been measured so far.

    Attributes:
      found: All figures.
      has_failed: Whether something could not be measured.
    """

    def __init__(self, peers: list[Peer], *, rounds: int) -> None:
        self._peers = peers
        self._rounds = rounds
        self.found = Found()
        self.has_failed = False

    def losses(self, ways: Sequence[str], names: Sequence[str], steps: dict[str, int]) -> None:
        """Replace and break workers under load, of each server in turn."""
        for name in names:
            for way in ways:
                for peer in self._peers:
                    phase = self._measured(run_phase, peer, way, name, steps[name])
                    if phase is not None:
                        self.found.phases.append(phase)

    def throughput(self, seconds: float) -> None:
        """Load one worker and two, of each server in turn, round after round."""
        loops = loops_for()
        for _ in range(min(self._rounds, 3)):
            self.found.bare.append(bare_ratio(loops, seconds))
            for path in ("/", "/burn"):
                for peer in self._peers:
                    for workers in (1, 2):
                        sample = self._measured(
                            measure_throughput, peer, workers, path, seconds, loops
                        )
                        if sample is not None:
                            key = (peer.name, path, workers)
                            self.found.throughput.setdefault(key, []).append(sample)

    def balance(self, rounds: int) -> None:
        """Open many connections at once, to each server in turn."""
        for peer in self._peers:
            if shares := self._measured(measure_balance, peer, rounds):
                self.found.balance[peer.name] = shares

    def memory(self) -> None:
        """Measure once: it hardly varies."""
        for dicts in (0, DICTS):
            for peer in self._peers:
                for workers in (1, 2, 4):
                    memory = self._measured(measure_memory, peer, workers, dicts)
                    if memory is not None:
                        self.found.memory[peer.name, dicts, workers] = memory

    def starts(self) -> None:
        """Start and roll each server some times."""
        for _ in range(self._rounds):
            for peer in self._peers:
                for workers in (0, 1, 2) if peer.is_ours else (1, 2):
                    seconds = self._measured(measure_start, peer, workers)
                    if seconds is not None:
                        self.found.starts.setdefault((peer.name, workers), []).append(seconds)
        for peer in self._peers:
            if rolls := self._measured(measure_roll, peer, self._rounds):
                self.found.rolls[peer.name] = rolls

    def idle(self, seconds: float) -> None:
        """Let all servers be idle beside each other."""
        try:
            self.found.idle = idle(self._peers, seconds)
        except CannotMeasureError as error:
            self._fail("idle", error)

    def raw(self) -> dict[str, object]:
        """Return every figure, for JSON."""
        found = self.found
        return {
            "losses": [asdict(each) for each in found.phases],
            "throughput": [
                {"server": name, "path": path, "workers": workers, **asdict(each)}
                for (name, path, workers), samples in found.throughput.items()
                for each in samples
            ],
            "bare_ratio": found.bare,
            "balance": found.balance,
            "memory": [
                {"server": name, "dicts": dicts, "workers": workers, **asdict(each)}
                for (name, dicts, workers), each in found.memory.items()
            ],
            "starts": [
                {"server": name, "workers": workers, "seconds": seconds}
                for (name, workers), seconds in found.starts.items()
            ],
            "rolls": {
                name: [asdict(each) for each in rolls] for name, rolls in found.rolls.items()
            },
            "idle": {name: asdict(each) for name, each in found.idle.items()},
        }

    def _measured(self, measure: Callable[[Peer, *Ts], T], peer: Peer, *args: *Ts) -> T | None:
        try:
            return measure(peer, *args)
        except CannotMeasureError as error:
            self._fail(peer.name, error)
            return None

    def _fail(self, what: str, error: CannotMeasureError) -> None:
        self.has_failed = True
        print(f"not measured: {what}: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
