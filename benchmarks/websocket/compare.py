"""Measure the echo of short text messages over 64 WebSockets, and the memory of idle ones.

All servers run at once, idle but for the one under load; rounds are interleaved.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

from benchmarks.environment import RESULTS, describe, note, write_results
from benchmarks.process import ROOT, ServerProcess, free_port, on_core, unwind_on_sigterm
from benchmarks.servers import Server
from benchmarks.websocket.generator import open_socket

SERVER_CORE, CLIENT_CORE = 0, 1
CONNECTIONS = 64
OURS = "trillium-trio"


def _uvicorn(ws: str, loop: str) -> tuple[str, ...]:
    app = "benchmarks.websocket.asgi_app:app"
    quiet = ("--no-access-log", "--log-level", "warning")
    return ("-m", "uvicorn", app, "--port", "{port}", "--ws", ws, "--loop", loop, *quiet)


SERVERS = (
    Server(
        name=OURS,
        arguments=("-m", "benchmarks.websocket.trillium_server", "{port}"),
        packages=("trillium-trio", "websockets"),
    ),
    Server(
        name="uvicorn websockets+uvloop",
        arguments=_uvicorn("websockets-sansio", "uvloop"),
        packages=("uvicorn", "websockets", "uvloop"),
    ),
    Server(
        name="uvicorn websockets+asyncio",
        arguments=_uvicorn("websockets-sansio", "asyncio"),
        packages=("uvicorn", "websockets"),
    ),
    Server(
        name="uvicorn wsproto+uvloop",
        arguments=_uvicorn("wsproto", "uvloop"),
        packages=("uvicorn", "wsproto", "uvloop"),
    ),
    Server(
        name="uvicorn wsproto+asyncio",
        arguments=_uvicorn("wsproto", "asyncio"),
        packages=("uvicorn", "wsproto"),
    ),
    Server(
        name="hypercorn trio",
        arguments=(
            *("-m", "hypercorn", "benchmarks.websocket.asgi_app:app"),
            *("-k", "trio", "-w", "1", "-b", "127.0.0.1:{port}"),
        ),
        packages=("hypercorn", "trio", "wsproto"),
    ),
)
IDLE = 1_000


def main() -> None:
    """Measure, print the table, write it and the raw figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one run")
    parser.add_argument("--quick", action="store_true", help="two short rounds, nothing written")
    options = parser.parse_args()
    unwind_on_sigterm()
    rounds, seconds = (2, 1.0) if options.quick else (options.rounds, options.seconds)
    servers = [each for each in SERVERS if not each.missing()]
    environment = describe(servers)
    samples: dict[str, list[dict[str, float]]] = {each.name: [] for each in servers}
    with ExitStack() as stack:
        processes = {each.name: _start(each, stack) for each in servers}
        for _ in range(rounds):
            for name, process in processes.items():
                samples[name].append(_drive(process, seconds))
        memory = {name: _idle_kib(process) for name, process in processes.items()}
    table = "\n".join(["# WebSockets", "", note(environment), "", *_lines(samples, memory), ""])
    print(table)
    if not options.quick:
        raw = {"environment": environment, "samples": samples, "idle_kib": memory}
        write_results(RESULTS, "websocket", raw, table)


def _start(server: Server, stack: ExitStack) -> ServerProcess:
    port = free_port()
    process = ServerProcess(server.command(port), port, core=SERVER_CORE)
    stack.enter_context(process)
    process.wait_ready()
    return process


def _drive(process: ServerProcess, seconds: float) -> dict[str, float]:
    arguments = (str(process.port), str(CONNECTIONS), str(seconds))
    before = process.cpu_seconds()
    with on_core(CLIENT_CORE):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.websocket.generator", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    figures = json.loads(done.stdout)
    cpu = process.cpu_seconds() - before
    return {
        "messages": figures["messages"],
        "rate": figures["messages"] / figures["seconds"],
        "cpu_us": cpu / figures["messages"] * 1e6,
    }


def _idle_kib(process: ServerProcess) -> float:
    """Return what a WebSocket takes that is open and silent."""
    before = process.resident_bytes()
    with ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(open_socket(process.port))
        return (process.resident_bytes() - before) / IDLE / 1_024


def _lines(samples: dict[str, list[dict[str, float]]], memory: dict[str, float]) -> list[str]:
    medians = {
        name: [statistics.median(run[key] for run in runs) for key in ("rate", "cpu_us")]
        for name, runs in samples.items()
    }
    anchor = medians[OURS][1]
    return [
        f"Echo of text messages of 100 bytes over {CONNECTIONS} connections; medians. Memory of",
        f"{IDLE:,} more that are silent, each.",
        "",
        "| server | messages/s | CPU us per message | to ours | KiB of an idle one |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {rate:,.0f} | {cpu:.1f} | {cpu / anchor:.2f} | {memory[name]:.1f} |"
            for name, (rate, cpu) in medians.items()
        ),
    ]


if __name__ == "__main__":
    main()
