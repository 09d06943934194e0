"""Soak a process in mixed traffic while servers come and go in it: what does it keep?

Fails if anything is not flat, or if a request on a healthy connection was lost.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script as well as with -m

from benchmarks.endurance.chart import chart
from benchmarks.endurance.traffic import KINDS, Life, Tally, client
from benchmarks.endurance.trend import Point, Sample, Verdict, judge
from benchmarks.environment import RESULTS, describe, note, write_results
from benchmarks.process import CannotMeasureError, ServerProcess, unwind_on_sigterm
from benchmarks.servers import OURS, installed

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long the servers of one cycle are under load. At random, so that the stop meets anything.
CYCLE_SECONDS = (1.5, 3.0)
# Of each this many cycles, one has requests that never end; its drain lasts to the deadline.
STRAGGLERS_EVERY = 4
# Before the first figure: caches, pools and the interpreter's arenas find their size.
WARM_UP_CYCLES = 4
SHOWN_LOSSES = 20


def main() -> int:
    """Run, print the tables, write them, the raw figures and the chart; 1 if it has failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="how long (default: 2)")
    parser.add_argument(
        "--trace",
        action="store_true",
        help="say what was allocated and kept; slow, takes memory itself, not written",
    )
    parser.add_argument("--log", type=Path, help="file for the log of the servers, which is large")
    parser.add_argument("--output", type=Path, help="folder for the results")
    options = parser.parse_args()
    unwind_on_sigterm()
    environment = describe(installed((OURS,)))
    soak = Soak(minutes=options.minutes, is_traced=options.trace, log=options.log)
    trio.run(soak.run)
    table = "\n".join(["# Soak", "", note(environment), "", *soak.lines(), ""])
    print(table)
    for each in soak.growth:
        print(each, file=sys.stderr)
    if options.output or not options.trace:
        folder = options.output or RESULTS
        write_results(folder, "soak", {"environment": environment, **soak.raw()}, table)
        (folder / "soak.svg").write_text(soak.chart(), encoding="utf-8")
    return 1 if soak.has_failed else 0


@final
class Soak:
    """One run.

    Args:
      minutes: How long servers come and go, warm-up included.
      is_traced: Whether the measured process keeps account of its allocations.
      log: Where its servers log, if at all.
    """

    def __init__(self, *, minutes: float, is_traced: bool, log: Path | None) -> None:
        self._minutes = minutes
        self._is_traced = is_traced
        self._log = log
        self._tally = Tally()
        self._points: list[Point] = []
        self._rests: list[Sample] = []
        self._unexpected_cuts = 0
        self._control: tuple[trio.SocketStream, ServerProcess]
        self.growth: list[str] = []

    async def run(self) -> None:
        """Start the measured process, load it, cycle after cycle."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "benchmarks.endurance.cycles"]
        command += ["--control", str(theirs.fileno())]
        if self._is_traced:
            command.append("--trace")
        if self._log is not None:
            command += ["--log", str(self._log.absolute())]
        with theirs, ServerProcess(command, 0, pass_fds=(theirs.fileno(),)) as process:
            # Now that process alone has it, so that its end is the end of what can be received.
            theirs.close()
            async with trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as stream:
                self._control = stream, process
                await self._cycles()

    async def _cycles(self) -> None:
        for _ in range(WARM_UP_CYCLES):
            await self._cycle(has_stragglers=True)
        self._rests.append(Sample(**await self._tell("rest")))
        begin = trio.current_time()
        half, end = begin + self._minutes * 30, begin + self._minutes * 60
        is_trace_due = self._is_traced
        while trio.current_time() < end:
            if is_trace_due and trio.current_time() > half:
                is_trace_due = False
                await self._tell("trace")  # what comes next is compared with this moment
            cycle = len(self._points)
            sample = await self._cycle(has_stragglers=cycle % STRAGGLERS_EVERY == 0)
            self._points.append(
                Point(
                    cycle=cycle,
                    requests=self._tally.answered.total(),
                    seconds=round(trio.current_time() - begin, 1),
                    sample=sample,
                )
            )
        self._rests.append(Sample(**await self._tell("rest")))
        if self._is_traced:
            self.growth = (await self._tell("trace"))["growth"]

    async def _cycle(self, *, has_stragglers: bool) -> Sample:
        ports = await self._tell("start")
        life = Life(ports=tuple(ports.values()), tls_port=ports["tls"])
        async with trio.open_nursery() as nursery:
            for kind in KINDS:
                if has_stragglers or not kind.is_straggler:
                    for _ in range(kind.clients):
                        nursery.start_soon(client, life, self._tally, kind)
            await trio.sleep(random.uniform(*CYCLE_SECONDS))
            life.is_stopped = True
            sample = Sample(**await self._tell("stop"))
        if sample.cut and not has_stragglers:
            self._unexpected_cuts += sample.cut
        return sample

    # Any: what is sent back depends on the command.
    async def _tell(self, command: str) -> dict[str, Any]:
        stream, process = self._control
        await stream.send_all(command.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            data = await stream.receive_some()
            if not data:
                raise CannotMeasureError(f"the measured process has ended: {process.output()}")
            answer += data
        found = json.loads(answer)
        assert isinstance(found, dict)
        return found

    # -- the results ---------------------------------------------------------------------------

    def verdicts(self) -> Iterator[Verdict]:
        """Judge the run."""
        yield from judge(self._points, *self._rests)
        for what, count in (
            ("requests lost", len(self._tally.lost)),
            ("requests cut that would have ended", self._unexpected_cuts),
        ):
            yield Verdict(what=what, measured=str(count), bound="0", is_met=count == 0)

    @property
    def has_failed(self) -> bool:
        """Whether anything is not as it should be."""
        return not all(each.is_met for each in self.verdicts())

    def lines(self) -> Iterator[str]:
        """Render the tables."""
        tally, last = self._tally, self._points[-1]
        yield (
            f"{last.seconds / 60:.1f} minutes, {2 * len(self._points):,} servers in one process,"
            f" {tally.answered.total():,} requests answered,"
            f" {tally.vanished.total():,} connections abandoned,"
            f" {sum(each.sample.cut for each in self._points):,} requests that never end cut."
        )
        yield from ("", "![over time](soak.svg)", "")
        yield from ("| what | measured | allowed | met |", "|---|---|---|---|")
        for each in self.verdicts():
            met = "yes" if each.is_met else "**no**"
            yield f"| {each.what} | {each.measured} | {each.bound} | {met} |"
        yield from ("", "| requests of clients that | answered | abandoned |", "|---|---|---|")
        for kind in KINDS:
            answered, vanished = tally.answered[kind.name], tally.vanished[kind.name]
            yield f"| {kind.name.replace('_', ' ')} | {answered:,} | {vanished:,} |"
        yield ""
        yield (
            f"Besides, {tally.refused:,} connections were refused at a stop, and {tally.crossed:,}"
            " requests crossed the close of an idle connection (RFC 9112, 9.5)."
        )
        for line in tally.lost[:SHOWN_LOSSES]:
            yield from ("", f"Lost: {line}")

    def raw(self) -> dict[str, object]:
        """Return every figure, for JSON."""
        return {
            "verdicts": [asdict(each) for each in self.verdicts()],
            "answered": dict(self._tally.answered),
            "vanished": dict(self._tally.vanished),
            "refused": self._tally.refused,
            "crossed": self._tally.crossed,
            "lost": self._tally.lost,
            "rests": [asdict(each) for each in self._rests],
            "points": [asdict(each) for each in self._points],
        }

    def chart(self) -> str:
        """Draw what was held after each drain, over the requests answered."""
        fields = {
            "resident KiB": "resident_kib",
            "objects": "objects",
            "descriptors": "descriptors",
            "threads": "threads",
            "tasks": "tasks",
            "guards": "guards",
        }
        return chart(
            "What the process holds after each drain",
            [round(each.seconds / 60, 1) for each in self._points],
            {
                name: [getattr(each.sample, field) for each in self._points]
                for name, field in fields.items()
            },
            "minutes",
        )


if __name__ == "__main__":
    sys.exit(main())
