"""Let ten thousand slow peers loose on a server: how are honest clients served meanwhile?

Each slow peer sends one byte of a request head per second. Fails if an honest client on a
connection it had was not answered, or a slow peer takes more memory than it may.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script as well as with -m

from benchmarks.endurance.honest import Diary, Figures, connect, keep_asking, knock
from benchmarks.endurance.swarm import Result
from benchmarks.environment import RESULTS, describe, note, write_results
from benchmarks.process import ROOT, ServerProcess, free_port, on_core, unwind_on_sigterm
from benchmarks.servers import OURS, installed

if TYPE_CHECKING:
    from collections.abc import Iterator

# The server on one core, those who ask it on the other.
SERVER_CORE = 0
CLIENT_CORE = 1

HONEST = 100
# New connections beside them, ten a second, each for one request.
KNOCK_SECONDS = 0.1
CALM_SECONDS = 4.0
# Twice the default timeout of a head and more, so that most peers are ended and come back.
ATTACK_SECONDS = 25.0
# Behind the attack: until all that the server had of it has ended.
SETTLE_SECONDS = 4.0
MAX_KIB_PER_PEER = 10.0


def main() -> int:
    """Measure, print the tables, write them and the raw figures; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=10_000, help="slow ones (default: 10,000)")
    parser.add_argument("--quick", action="store_true", help="1,000 peers, nothing written")
    parser.add_argument("--output", type=Path, help="folder for the results")
    options = parser.parse_args()
    unwind_on_sigterm()
    peers = 1_000 if options.quick else options.peers
    environment = describe(installed((OURS,)))
    raise_open_files(peers + 1_000)
    cases = [
        trio.run(measure, "all fit", peers, peers + 1_000),
        trio.run(measure, "half of them fit", peers, peers // 2),
    ]
    table = "\n".join(["# Slow peers", "", note(environment), "", *lines(cases)])
    print(table)
    output = options.output or (None if options.quick else RESULTS)
    if output is not None:
        raw = {"environment": environment, "cases": [asdict(each) for each in cases]}
        write_results(output, "slow_peers", raw, table)
    return 0 if all(met for case in cases for _, _, met in promises(case)) else 1


def raise_open_files(least: int) -> None:
    """Let this process and its children open as many files as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < least:
        print(f"only {hard} files may be open, {least} are wanted", file=sys.stderr)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One attack.

    Attributes:
      name: What tables call it.
      peers, max_connections: How many slow ones, and how many connections the server takes.
      calm, attacked, after: What honest clients got before, in and after it, on connections that
        were there before it.
      knocks: What new connections got during the attack.
      swarm: What became of the slow peers.
      bytes_per_peer: What the server's resident size grew by at most, over the slow peers that it
        had admitted by then.
      cpu_share: Of the server's core, during the attack.
      descriptors_left: How many more the server has after the attack than before.
    """

    name: str
    peers: int
    max_connections: int
    calm: Figures
    attacked: Figures
    after: Figures
    knocks: Figures
    swarm: Result
    bytes_per_peer: float
    cpu_share: float
    descriptors_left: int


async def measure(name: str, peers: int, max_connections: int) -> Case:
    """Start a server, let honest clients at it, then the swarm as well."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "trillium_trio", "benchmarks.load.trillium_server:by_path"),
        *("--bind", f"127.0.0.1:{port}", "--max-connections", str(max_connections)),
    ]
    kept, new = Diary(), Diary()
    sizes: list[int] = []

    async def watch() -> None:
        while True:
            sizes.append(server.resident_bytes())
            await trio.sleep(0.25)

    with ServerProcess(command, port, core=SERVER_CORE) as server, on_core(CLIENT_CORE):
        server.wait_ready()
        async with trio.open_nursery() as nursery:
            for _ in range(HONEST):
                nursery.start_soon(keep_asking, connect(port), kept)
            await trio.sleep(CALM_SECONDS)
            calm = kept.turn()
            descriptors, cpu = _descriptors(server), server.cpu_seconds()
            async with trio.open_nursery() as attacked:
                attacked.start_soon(watch)
                attacked.start_soon(knock, port, new, KNOCK_SECONDS)
                swarm = await _swarm(port, peers)
                attacked.cancel_scope.cancel()
            under_attack = kept.turn()
            cpu = server.cpu_seconds() - cpu
            await trio.sleep(SETTLE_SECONDS)
            kept.turn()
            await trio.sleep(CALM_SECONDS)
            after = kept.turn()
            left = _descriptors(server) - descriptors
            nursery.cancel_scope.cancel()
    return Case(
        name=name,
        peers=peers,
        max_connections=max_connections,
        calm=calm,
        attacked=under_attack,
        after=after,
        knocks=new.turn(),
        swarm=swarm,
        bytes_per_peer=(max(sizes) - sizes[0]) / min(peers, max_connections - HONEST),
        cpu_share=cpu / ATTACK_SECONDS,
        descriptors_left=left,
    )


async def _swarm(port: int, peers: int) -> Result:
    command = [sys.executable, "-m", "benchmarks.endurance.swarm"]
    arguments = [str(port), str(peers), str(ATTACK_SECONDS)]
    done = await trio.run_process([*command, *arguments], cwd=ROOT, capture_stdout=True)
    return Result(**json.loads(done.stdout))


def _descriptors(server: ServerProcess) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def promises(case: Case) -> Iterator[tuple[str, str, bool]]:
    """Hold a case to what is promised: what, measured, met."""
    lost = sum(sum(each.failures.values()) for each in (case.calm, case.attacked, case.after))
    yield (f"{case.name}: {HONEST} honest clients all answered", f"{lost} failures", lost == 0)
    if case.max_connections > case.peers:
        failed = sum(case.knocks.failures.values())
        yield (f"{case.name}: new clients all answered", f"{failed} failures", failed == 0)
    size = case.bytes_per_peer / 1_024
    yield (
        f"{case.name}: at most {MAX_KIB_PER_PEER:g} KiB per slow peer",
        f"{size:.1f} KiB",
        size <= MAX_KIB_PER_PEER,
    )
    left = case.descriptors_left
    yield (f"{case.name}: nothing of the attack is left", f"{left} descriptors", left == 0)


def lines(cases: list[Case]) -> Iterator[str]:
    """Render the tables."""
    yield from ("| promise | measured | met |", "|---|---|---|")
    for case in cases:
        for what, measured, is_met in promises(case):
            yield f"| {what} | {measured} | {'yes' if is_met else '**no**'} |"
    yield ""
    yield "| case | phase | answered | failures | median ms | 99 % ms | longest ms |"
    yield "|---|---|---|---|---|---|---|"
    for case in cases:
        yield from _phase_lines(case)
    yield ""
    yield "| case | slow peers | limit | open at a time | ended with | after s | bytes sent | CPU |"
    yield "|---|---|---|---|---|---|---|---|"
    for case in cases:
        swarm = case.swarm
        ended = ", ".join(f"{what}: {count:,}" for what, count in sorted(swarm.ended.items()))
        after = f"{swarm.shortest_seconds:.1f} to {swarm.longest_seconds:.1f}"
        yield (
            f"| {case.name} | {case.peers:,} | {case.max_connections:,} | {swarm.open_at_most:,} |"
            f" {ended} | {after} | {swarm.sent_bytes:,} | {case.cpu_share:.0%} |"
        )
    yield ""


def _phase_lines(case: Case) -> Iterator[str]:
    phases = (
        ("before", case.calm),
        ("under attack", case.attacked),
        ("under attack, new connections", case.knocks),
        ("after", case.after),
    )
    for phase, figures in phases:
        failures = ", ".join(f"{why}: {count:,}" for why, count in figures.failures.items())
        yield (
            f"| {case.name} | {phase} | {figures.answered:,} | {failures or 0} |"
            f" {figures.median_ms:.2f} | {figures.p99_ms:.2f} | {figures.longest_ms:.2f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
