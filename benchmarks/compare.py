"""Compare servers under load, side by side: requests per second, CPU per request, memory, start."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script as well as with -m

from benchmarks.environment import RESULTS, describe, note, write_results
from benchmarks.load.cases import CASES, FLOORS, PEERS, TLS_PEERS
from benchmarks.load.driver import drive, has_wrk
from benchmarks.load.footprint import idle_bytes, import_of_trio, start
from benchmarks.load.report import IMPORT_OF_TRIO, footprint_lines, goal_lines, load_lines
from benchmarks.process import (
    CannotMeasureError,
    ServerProcess,
    free_port,
    unwind_on_sigterm,
)
from benchmarks.servers import SERVERS, Server, installed

if TYPE_CHECKING:
    from benchmarks.load.footprint import Start
    from benchmarks.load.report import Samples

PARTS = (*(case.name for case in CASES), "memory", "start")

# Servers on one core, what drives them on the other.
SERVER_CORE = 0
CLIENT_CORE = 1

# More than this many starts, and the table would wait for them longer than for the load.
MAX_STARTS = 7


def main() -> int:
    """Measure, print the tables, write them and the raw figures; 1 if something is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of all cases (default: 3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="per sample (default: 3)")
    parser.add_argument("--idle-connections", type=int, default=10_000)
    parser.add_argument("--only", choices=PARTS, action="append", help="may be repeated")
    parser.add_argument(
        "--connections", type=int, action="append", help="only these; may be repeated"
    )
    parser.add_argument(
        "--server",
        choices=[each.name for each in SERVERS],
        action="append",
        help="only these; may be repeated",
    )
    parser.add_argument("--quick", action="store_true", help="1 round of 1 s, nothing written")
    parser.add_argument("--output", type=Path, help="folder for the results")
    parser.add_argument("--name", default="load", help="of the results' files (default: load)")
    options = parser.parse_args()
    unwind_on_sigterm()
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
        options.idle_connections = min(options.idle_connections, 1_000)
    if not has_wrk():
        print("wrk is not installed: using our own load generator", file=sys.stderr)
    if not {SERVER_CORE, CLIENT_CORE} <= os.sched_getaffinity(0):
        print("fewer than two cores: nothing is pinned, ratios mean little", file=sys.stderr)

    servers = installed(tuple(options.server or (each.name for each in SERVERS)))
    environment = describe(servers)
    run = Run(servers, rounds=options.rounds)
    run.load(options.only or PARTS, options.connections, options.seconds)
    if "start" in (options.only or PARTS):
        run.starts()
    if "memory" in (options.only or PARTS):
        run.memory(options.idle_connections)

    table = "\n".join(
        [
            f"# {options.name.capitalize()}",
            "",
            note(environment),
            "",
            *goal_lines(run.samples, run.idle_bytes, run.start_ups),
            *load_lines(run.samples),
            *footprint_lines(run.idle_bytes, run.start_ups, options.idle_connections),
        ]
    )
    print(table)
    output = options.output or (None if options.quick else RESULTS)
    if output is not None:
        write_results(output, options.name, {"environment": environment, **run.raw()}, table)
    return 1 if run.has_failed else 0


@final
class Run:
    """What has been measured so far.

    Attributes:
      samples: By case, connections and server, one for each round.
      idle_bytes: Resident bytes per idle connection, by server.
      start_ups: By server.
      has_failed: Whether something could not be measured.
    """

    def __init__(self, servers: list[Server], *, rounds: int) -> None:
        self._servers = servers
        self._rounds = rounds
        self.samples: Samples = {}
        self.idle_bytes: dict[str, list[float]] = {}
        self.start_ups: dict[str, list[Start]] = {}
        self.has_failed = False

    def load(
        self, parts: tuple[str, ...] | list[str], only: list[int] | None, seconds: float
    ) -> None:
        """Run all cases in turn, and each with all servers in turn, round after round.

        What disturbs the machine for a while then falls on all servers alike.
        """
        cases = [case for case in CASES if case.name in parts]
        wanted = {name for case in cases for name in case.servers}
        with ExitStack() as stack:
            running = {}
            for server in self._servers:
                if server.name in wanted:
                    process = self._start(server, stack)
                    if process is not None:
                        running[server.name] = process
            for _ in range(self._rounds):
                for case in cases:
                    for connections in case.connections:
                        if only is not None and connections not in only:
                            continue
                        for name in case.servers:
                            if name not in running:
                                continue
                            core = SERVER_CORE if case.shares_core else CLIENT_CORE
                            try:
                                sample = drive(running[name], case, connections, seconds, core)
                            except CannotMeasureError as error:
                                self._fail(f"{name}, {case.name}", error)
                                continue
                            key = (case.name, connections, name)
                            self.samples.setdefault(key, []).append(sample)

    def starts(self) -> None:
        """Start each server some times, in turn."""
        for _ in range(min(MAX_STARTS, 2 * self._rounds + 1)):
            self.start_ups.setdefault(IMPORT_OF_TRIO, []).append(import_of_trio(SERVER_CORE))
            for server in self._only(PEERS):
                try:
                    self.start_ups.setdefault(server.name, []).append(start(server, SERVER_CORE))
                except CannotMeasureError as error:
                    self._fail(f"{server.name}, start", error)

    def memory(self, connections: int) -> None:
        """Measure idle connections, once: it hardly varies."""
        for server in self._only((*PEERS, *TLS_PEERS, *FLOORS)):
            try:
                size = idle_bytes(server, connections, SERVER_CORE)
            except CannotMeasureError as error:
                self._fail(f"{server.name}, memory", error)
            else:
                self.idle_bytes[server.name] = [size]

    def raw(self) -> dict[str, object]:
        """Return every figure, for JSON."""
        return {
            "load": [
                {"case": case, "connections": connections, "server": name, **asdict(sample)}
                for (case, connections, name), found in self.samples.items()
                for sample in found
            ],
            "idle_bytes_per_connection": self.idle_bytes,
            "starts": {
                name: [asdict(each) for each in found] for name, found in self.start_ups.items()
            },
        }

    def _only(self, names: tuple[str, ...]) -> list[Server]:
        return [server for server in self._servers if server.name in names]

    def _start(self, server: Server, stack: ExitStack) -> ServerProcess | None:
        port = free_port()
        process = ServerProcess(server.command(port), port, core=SERVER_CORE, is_tls=server.is_tls)
        stack.enter_context(process)
        try:
            process.wait_ready()
        except CannotMeasureError as error:
            self._fail(server.name, error)
            return None
        return process

    def _fail(self, what: str, error: CannotMeasureError) -> None:
        self.has_failed = True
        print(f"not measured: {what}: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
