"""Let ten clients send bodies in chunks of one byte: how is an honest client served meanwhile?

Run it with ``python -m benchmarks.tiny_chunks``. The clients send as fast as the server reads, each
on a connection that it keeps; the handler reads every body whole. Fails if an honest client on a
connection it had was not answered, or waited too long.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import trio

from benchmarks.endurance.honest import Diary, Figures, connect, keep_asking
from benchmarks.environment import RESULTS, describe, note, write_results
from benchmarks.process import ROOT, ServerProcess, free_port, on_core, unwind_on_sigterm
from benchmarks.servers import OURS, installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trillium_trio as tt

__all__ = ["Case", "lines", "measure", "promises"]

# The server on one core, those who ask it on the other.
SERVER_CORE = 0
CLIENT_CORE = 1

ATTACKERS = 10
# Each asks ten times a second: so many that 1 % of the answers of a phase are some.
HONEST = 20
BODY_BYTES = 1_000_000
CALM_SECONDS = 4.0
ATTACK_SECONDS = 15.0
MAX_P99_MS = 10.0

HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"1\r\nx\r\n"
_PIECE_CHUNKS = 50_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One attack.

    Attributes:
      calm, attacked: What honest clients got before and in it.
      body_bytes: What the server read of bodies per second; with the framing, six times as much.
      cpu_share: Of the server's core, during the attack.
    """

    calm: Figures
    attacked: Figures
    body_bytes: float
    cpu_share: float


async def measure() -> Case:
    """Start a server, let honest clients at it, then the attackers as well."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "trillium_trio", "benchmarks.tiny_chunks:handler"),
        *("--bind", f"127.0.0.1:{port}"),
    ]
    diary = Diary()
    with ServerProcess(command, port, core=SERVER_CORE) as server, on_core(CLIENT_CORE):
        server.wait_ready()
        async with trio.open_nursery() as nursery:
            for _ in range(HONEST):
                nursery.start_soon(keep_asking, connect(port), diary)
            await trio.sleep(CALM_SECONDS)
            calm = diary.turn()
            cpu = server.cpu_seconds()
            arguments = [sys.executable, "-m", "benchmarks.tiny_chunks", "--attack", str(port)]
            done = await trio.run_process(arguments, cwd=ROOT, capture_stdout=True)
            attacked = diary.turn()
            cpu = server.cpu_seconds() - cpu
            nursery.cancel_scope.cancel()
    return Case(
        calm=calm,
        attacked=attacked,
        body_bytes=int(done.stdout) / len(CHUNK) / ATTACK_SECONDS,
        cpu_share=cpu / ATTACK_SECONDS,
    )


def attack(port: int) -> int:
    """Send such bodies on ten connections; return how many bytes were sent in all."""
    stop = threading.Event()
    sent = [0] * ATTACKERS

    def send(index: int) -> None:
        piece = CHUNK * _PIECE_CHUNKS
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.settimeout(10.0)
            while not stop.is_set():
                sock.sendall(HEAD)
                for _ in range(BODY_BYTES // _PIECE_CHUNKS):
                    sock.sendall(piece)
                    sent[index] += len(piece)
                sock.sendall(b"0\r\n\r\n")
                answer = sock.recv(65_536)
                assert answer.startswith(b"HTTP/1.1 200 "), answer

    # Threads: they wait in the kernel nearly all the time, and this process does nothing else.
    for index in range(ATTACKERS):
        threading.Thread(target=send, args=(index,), daemon=True).start()
    stop.wait(ATTACK_SECONDS)
    return sum(sent)


def promises(case: Case) -> Iterator[tuple[str, str, bool]]:
    """Hold a case to what is promised: what, measured, met."""
    lost = sum(sum(each.failures.values()) for each in (case.calm, case.attacked))
    yield (f"tiny chunks: {HONEST} honest clients all answered", f"{lost} failures", lost == 0)
    p99 = case.attacked.p99_ms
    yield (f"tiny chunks: 99 % within {MAX_P99_MS:g} ms", f"{p99:.1f} ms", p99 <= MAX_P99_MS)


def lines(case: Case) -> Iterator[str]:
    """Render the tables."""
    yield from ("| promise | measured | met |", "|---|---|---|")
    for what, measured, is_met in promises(case):
        yield f"| {what} | {measured} | {'yes' if is_met else '**no**'} |"
    yield ""
    yield "| phase | answered | failures | median ms | 99 % ms | longest ms | MB of body/s | CPU |"
    yield "|---|---|---|---|---|---|---|---|"
    for phase, figures in (("before", case.calm), ("under attack", case.attacked)):
        under = figures is case.attacked
        rate = f"{case.body_bytes / 1e6:.2f} | {case.cpu_share:.0%}" if under else " | "
        failures = ", ".join(f"{why}: {count:,}" for why, count in figures.failures.items())
        yield (
            f"| {phase} | {figures.answered:,} | {failures or 0} | {figures.median_ms:.2f} |"
            f" {figures.p99_ms:.2f} | {figures.longest_ms:.2f} | {rate} |"
        )
    yield ""


async def handler(conn: tt.Conn) -> tt.Conn:
    """Read the body, whole."""
    body = await conn.request_body.read()
    return conn.ok(str(len(body)))


def main() -> int:
    """Measure, print the tables, write them and the raw figures; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attack", type=int, metavar="PORT", help="only attack; used by itself")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the results")
    options = parser.parse_args()
    if options.attack:
        print(attack(options.attack))
        return 0
    unwind_on_sigterm()
    environment = note(describe(installed((OURS,))))
    case = trio.run(measure)
    table = "\n".join(["# Tiny chunks", "", environment, "", *lines(case)])
    print(table)
    write_results(
        options.output, "tiny_chunks", {"environment": environment, "case": asdict(case)}, table
    )
    return 0 if all(met for _, _, met in promises(case)) else 1


if __name__ == "__main__":
    sys.exit(main())
