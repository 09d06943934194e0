"""Let a few greedy clients loose on a server: how are honest clients served meanwhile?

Run it with ``python -m benchmarks.floods``. Three floods, one after the other, each on a server of
its own: ten clients that send bodies in chunks of one byte, ten that send JSON made to be slow to
parse, and 400 connections that say nothing where 256 are allowed. Fails if an honest client was not
answered, or waited too long where there is a bound.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, final

import trio

from benchmarks.endurance.honest import Diary, Figures, connect, keep_asking, knock
from benchmarks.environment import RESULTS, describe, note, write_results
from benchmarks.process import ROOT, ServerProcess, free_port, on_core, unwind_on_sigterm
from benchmarks.servers import OURS, installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import trillium_trio as tt

__all__ = ["FLOODS", "Case", "Flood", "lines", "measure", "promises"]

# The server on one core, those who ask it on the other.
SERVER_CORE = 0
CLIENT_CORE = 1

# Each asks ten times a second: so many that 1 % of the answers of a phase are some.
HONEST = 20
KNOCK_SECONDS = 0.1
CALM_SECONDS = 4.0
ATTACK_SECONDS = 15.0

CHUNK = b"1\r\nx\r\n"
_BODY_CHUNKS = 1_000_000
_PIECE_CHUNKS = 50_000
_JSON = b"[" + b"[]," * ((1 << 20) // 3 - 2) + b"[]]"
_CHUNKED = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
_POST = b"POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(_JSON)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """One kind of attack.

    Attributes:
      name: What tables call it.
      clients: How many attack at once.
      attack: What one of them does on its connection until told to stop; returns the bytes sent.
      max_connections: What the server allows, or None for its default.
      max_p99_ms: How long 1 % of the honest clients may wait at least; ``inf``: reported only.
    """

    name: str
    clients: int
    attack: Callable[[socket.socket, threading.Event], int]
    max_connections: int | None = None
    max_p99_ms: float = inf


def send_chunks(sock: socket.socket, stop: threading.Event) -> int:
    """Send bodies in chunks of one byte."""
    piece = CHUNK * _PIECE_CHUNKS
    sent = 0
    while not stop.is_set():
        sock.sendall(_CHUNKED)
        for _ in range(_BODY_CHUNKS // _PIECE_CHUNKS):
            sock.sendall(piece)
            sent += len(piece)
        sock.sendall(b"0\r\n\r\n")
        _expect(sock, b"200")
    return sent


def send_json(sock: socket.socket, stop: threading.Event) -> int:
    """Send documents of a mebibyte that hold as many lists as possible."""
    sent = 0
    while not stop.is_set():
        sock.sendall(_POST + _JSON)
        _expect(sock, b"200")
        sent += len(_JSON)
    return sent


def say_nothing(sock: socket.socket, stop: threading.Event) -> int:
    """Hold a place, and take another when it is gone."""
    address = sock.getpeername()
    while not stop.is_set():
        with suppress(TimeoutError):
            sock.settimeout(1.0)
            if not sock.recv(65_536):
                sock.close()
                sock = socket.create_connection(address)
    sock.close()
    return 0


FLOODS = (
    Flood(name="chunks of one byte", clients=10, attack=send_chunks, max_p99_ms=10.0),
    Flood(name="JSON of 350,000 lists", clients=10, attack=send_json),
    Flood(name="silence", clients=400, attack=say_nothing, max_connections=256),
)


def _expect(sock: socket.socket, status: bytes) -> None:
    answer = sock.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 " + status), answer


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a flood did.

    Attributes:
      name, max_p99_ms: Of the `Flood`.
      calm, attacked: What honest clients got before and in it, on connections of their own.
      knocks: What new connections got in it.
      sent_bytes: By the attackers, per second.
      cpu_share: Of the server's core, in it.
    """

    name: str
    max_p99_ms: float
    calm: Figures
    attacked: Figures
    knocks: Figures
    sent_bytes: float
    cpu_share: float


async def measure(flood: Flood) -> Case:
    """Start a server, let honest clients at it, then the attackers as well."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "trillium_trio", "benchmarks.floods:handler"),
        *("--bind", f"127.0.0.1:{port}", "--log-level", "error"),
    ]
    if flood.max_connections is not None:
        command += ["--max-connections", str(flood.max_connections)]
    kept, new = Diary(), Diary()
    with ServerProcess(command, port, core=SERVER_CORE) as server, on_core(CLIENT_CORE):
        server.wait_ready()
        async with trio.open_nursery() as nursery:
            for _ in range(HONEST):
                nursery.start_soon(keep_asking, connect(port), kept)
            await trio.sleep(CALM_SECONDS)
            calm = kept.turn()
            cpu = server.cpu_seconds()
            nursery.start_soon(knock, port, new, KNOCK_SECONDS)
            arguments = ["--attack", flood.name, str(port)]
            command = [sys.executable, "-m", "benchmarks.floods", *arguments]
            done = await trio.run_process(command, cwd=ROOT, capture_stdout=True)
            attacked, knocks = kept.turn(), new.turn()
            cpu = server.cpu_seconds() - cpu
            nursery.cancel_scope.cancel()
    return Case(
        name=flood.name,
        max_p99_ms=flood.max_p99_ms,
        calm=calm,
        attacked=attacked,
        knocks=knocks,
        sent_bytes=int(done.stdout) / ATTACK_SECONDS,
        cpu_share=cpu / ATTACK_SECONDS,
    )


def attack(flood: Flood, port: int) -> int:
    """Attack on as many connections as the flood has; return how many bytes were sent in all."""
    stop = threading.Event()
    sent: list[int] = []

    def run() -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.settimeout(30.0)
            sent.append(flood.attack(sock, stop))

    # Threads: they wait in the kernel nearly all the time, and this process does nothing else.
    threads = [threading.Thread(target=run, daemon=True) for _ in range(flood.clients)]
    for thread in threads:
        thread.start()
    stop.wait(ATTACK_SECONDS)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(sent)


def promises(case: Case) -> Iterator[tuple[str, str, bool]]:
    """Hold a case to what is promised: what, measured, met."""
    phases = (case.calm, case.attacked, case.knocks)
    lost = sum(sum(each.failures.values()) for each in phases)
    yield (f"{case.name}: all honest clients answered", f"{lost} failures", lost == 0)
    if case.max_p99_ms < inf:
        p99 = case.attacked.p99_ms
        what = f"{case.name}: 99 % within {case.max_p99_ms:g} ms"
        yield (what, f"{p99:.1f} ms", p99 <= case.max_p99_ms)


def lines(cases: list[Case]) -> Iterator[str]:
    """Render the tables."""
    yield from ("| promise | measured | met |", "|---|---|---|")
    for case in cases:
        for what, measured, is_met in promises(case):
            yield f"| {what} | {measured} | {'yes' if is_met else '**no**'} |"
    yield ""
    yield "| flood | phase | answered | failures | median ms | 99 % ms | longest ms |"
    yield "|---|---|---|---|---|---|---|"
    for case in cases:
        for phase, figures in (
            ("before", case.calm),
            ("under attack", case.attacked),
            ("under attack, new connections", case.knocks),
        ):
            failures = ", ".join(f"{why}: {count:,}" for why, count in figures.failures.items())
            yield (
                f"| {case.name} | {phase} | {figures.answered:,} | {failures or 0} |"
                f" {figures.median_ms:.2f} | {figures.p99_ms:.2f} | {figures.longest_ms:.2f} |"
            )
    yield ""
    yield from ("| flood | MB/s sent | CPU of the server |", "|---|---|---|")
    for case in cases:
        yield f"| {case.name} | {case.sent_bytes / 1e6:.2f} | {case.cpu_share:.0%} |"
    yield ""


async def handler(conn: tt.Conn) -> tt.Conn:
    """Read the body, as JSON or as it is."""
    if conn.path == "/json":
        return conn.ok(str(len(await conn.request_body.json())))
    return conn.ok(str(len(await conn.request_body.read())))


def main() -> int:
    """Measure, print the tables, write them and the raw figures; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attack", nargs=2, metavar=("FLOOD", "PORT"), help="used by itself")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the results")
    options = parser.parse_args()
    if options.attack:
        name, port = options.attack
        [flood] = [each for each in FLOODS if each.name == name]
        print(attack(flood, int(port)))
        return 0
    unwind_on_sigterm()
    environment = describe(installed((OURS,)))
    cases = [trio.run(measure, flood) for flood in FLOODS]
    table = "\n".join(["# Floods", "", note(environment), "", *lines(cases)])
    print(table)
    raw = {"environment": environment, "cases": [asdict(each) for each in cases]}
    write_results(options.output, "floods", raw, table)
    return 0 if all(met for case in cases for _, _, met in promises(case)) else 1


if __name__ == "__main__":
    sys.exit(main())
