"""Compare what a stop costs the clients of each server."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple, final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

from benchmarks.drain.busy import run_round, scenarios
from benchmarks.drain.quiet import run_backlog, run_idle
from benchmarks.drain.report import backlog_lines, busy_lines, goal_lines, idle_lines
from benchmarks.environment import RESULTS, describe, note, write_results
from benchmarks.process import CannotMeasureError, unwind_on_sigterm
from benchmarks.servers import OURS, REFERENCE, Server, installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.drain.quiet import Backlog, Idle
    from benchmarks.drain.report import BusyRounds

NAMES = (OURS, REFERENCE, "hypercorn trio", "granian asgi", "aiohttp")
PARTS = ("busy", "handover", "idle", "backlog")

# Servers on one core; the clients, which are this process, where the scheduler puts them.
SERVER_CORE = 0

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def main() -> int:
    """Measure, print the tables, write them and the raw figures; 1 if something is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="for ours (default: 20)")
    parser.add_argument("--peer-rounds", type=int, default=5, help="for each peer (default: 5)")
    parser.add_argument("--idle-connections", type=int, default=1_000)
    parser.add_argument("--only", choices=PARTS, action="append", help="may be repeated")
    parser.add_argument("--ours", action="store_true", help="leave the peers out")
    parser.add_argument("--quick", action="store_true", help="2 rounds each, nothing written")
    parser.add_argument("--output", type=Path, help="folder for the results")
    options = parser.parse_args()
    unwind_on_sigterm()
    if options.quick:
        options.rounds = options.peer_rounds = 2

    servers = installed((OURS,) if options.ours else NAMES)
    environment = describe(servers)
    run = Run(servers, rounds=options.rounds, peer_rounds=options.peer_rounds)
    parts = options.only or PARTS
    if "busy" in parts:
        run.load(servers, run.busy, has_successor=False)
    if "handover" in parts:
        ours = [each for each in servers if each.name == OURS]
        run.load(ours, run.handover, has_successor=True)
    if "idle" in parts:
        run.stay_idle(options.idle_connections)
    if "backlog" in parts:
        run.queue_up()

    table = "\n".join(["# Drain", "", note(environment), "", *run.lines()])
    print(table)
    output = options.output or (None if options.quick else RESULTS)
    if output is not None:
        write_results(output, "drain", {"environment": environment, **run.raw()}, table)
    return 1 if run.has_failed else 0


@final
class Run:
    """What has been measured so far.

    Attributes:
      busy, handover: By scenario and server, one for each round.
      idle, backlog: By server, one for each round.
      has_failed: Whether something could not be measured.
    """

    def __init__(self, servers: list[Server], *, rounds: int, peer_rounds: int) -> None:
        self._servers = servers
        self._rounds = rounds
        self._peer_rounds = peer_rounds
        self.busy: BusyRounds = {}
        self.handover: BusyRounds = {}
        self.idle: dict[str, list[Idle]] = {}
        self.backlog: dict[str, list[Backlog]] = {}
        self.has_failed = False

    def load(self, servers: list[Server], rounds: BusyRounds, *, has_successor: bool) -> None:
        """Stop each server under load, in turn."""
        for scenario in scenarios(has_successor=has_successor):
            for server in self._turns(servers):
                for result in self._measured(run_round, server, scenario, SERVER_CORE):
                    rounds.setdefault((scenario.name, server.name), []).append(result)

    def stay_idle(self, connections: int) -> None:
        """Stop each server with idle connections, in turn."""
        for server in self._turns(self._servers):
            for result in self._measured(run_idle, server, connections, SERVER_CORE):
                self.idle.setdefault(server.name, []).append(result)

    def queue_up(self) -> None:
        """Stop each server with connections queued, in turn."""
        for server in self._turns(self._servers):
            for result in self._measured(run_backlog, server, SERVER_CORE):
                self.backlog.setdefault(server.name, []).append(result)

    def lines(self) -> Iterator[str]:
        """Render all tables."""
        yield from goal_lines(self.busy, self.handover, self.idle, self.backlog)
        yield from busy_lines("SIGTERM under load", self.busy)
        yield from busy_lines("SIGTERM with a successor on the same socket", self.handover)
        yield from idle_lines(self.idle)
        yield from backlog_lines(self.backlog)

    def raw(self) -> dict[str, object]:
        """Return every figure, for JSON."""
        raw: dict[str, object] = {}
        for part, rounds in (("busy", self.busy), ("handover", self.handover)):
            raw[part] = [
                {"scenario": scenario, "server": server, **asdict(each)}
                for (scenario, server), found in rounds.items()
                for each in found
            ]
        raw["idle"] = {
            server: [asdict(each) for each in found] for server, found in self.idle.items()
        }
        raw["backlog"] = {
            server: [asdict(each) for each in found] for server, found in self.backlog.items()
        }
        return raw

    def _turns(self, servers: list[Server]) -> Iterator[Server]:
        for index in range(max(self._rounds, self._peer_rounds)):
            for server in servers:
                if index < (self._rounds if server.name == OURS else self._peer_rounds):
                    yield server

    def _measured(self, measure: Callable[[Server, *Ts], T], server: Server, *args: *Ts) -> list[T]:
        try:
            return [measure(server, *args)]
        except CannotMeasureError as error:
            self.has_failed = True
            print(f"not measured: {server.name}: {error}", file=sys.stderr)
            return []


if __name__ == "__main__":
    sys.exit(main())
