"""Compare proxies: small requests, and 1 GiB down and up.

The proxy has one core; the load and the upstream share the other. For small requests the upstream
is nginx, which costs least; for large bodies it is a server of ours, which reads what it is sent.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

from benchmarks.environment import RESULTS, describe, note, write_results
from benchmarks.process import (
    CannotMeasureError,
    ServerProcess,
    free_port,
    on_core,
    unwind_on_sigterm,
)
from benchmarks.proxy.upstream_app import LARGE_BYTES
from benchmarks.servers import OURS, REFERENCE, installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    RunProxy = Callable[[int], AbstractContextManager[ServerProcess]]

PROXY_CORE = 0
LOAD_CORE = 1
CONNECTIONS = 64
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

NGINX_CONFIG = """
daemon off; master_process off; worker_processes 1;
pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000; client_max_body_size 0;
    {paths}
    upstream back {{ server 127.0.0.1:{upstream}; keepalive 100; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""
SMALL = 'location / { default_type text/plain; return 200 "hello\\n"; }'
PASS = """location / {
    proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_request_buffering off; proxy_buffering off;
}"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured of one proxy.

    Attributes:
      rate: Small requests per second.
      cpu_us: Microseconds of CPU that the proxy took for each.
      down, up: MiB per second of one large body.
      peak_mib: The most memory that it ever had.
      grown_mib: How much of it the large bodies have added.
    """

    rate: float
    cpu_us: float
    down: float
    up: float
    peak_mib: float
    grown_mib: float


@contextmanager
def nginx(location: str, upstream: int) -> Iterator[tuple[list[str], int]]:
    """Yield the command that starts nginx, and its port."""
    assert NGINX is not None
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = " ".join(f"{name}_temp_path {folder}/{name};" for name in names)
        path = Path(folder) / "nginx.conf"
        path.write_text(
            NGINX_CONFIG.format(
                folder=folder, paths=paths, upstream=upstream, port=port, location=location
            ),
            encoding="ascii",
        )
        yield [NGINX, "-p", folder, "-e", "stderr", "-c", str(path)], port


@contextmanager
def started(
    command: list[str], port: int, core: int, environment: dict[str, str] | None = None
) -> Iterator[ServerProcess]:
    """Start a server and wait for it."""
    with ServerProcess(command, port, core=core, environment=environment) as process:
        process.wait_ready()
        yield process


@contextmanager
def nginx_proxy(upstream: int) -> Iterator[ServerProcess]:
    """Run nginx as the proxy."""
    with nginx(PASS, upstream) as (command, port), started(command, port, PROXY_CORE) as process:
        yield process


@contextmanager
def our_proxy(upstream: int) -> Iterator[ServerProcess]:
    """Run ours."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.proxy.trillium_app", str(port), str(upstream)]
    with started(command, port, PROXY_CORE) as process:
        yield process


@contextmanager
def starlette_proxy(upstream: int) -> Iterator[ServerProcess]:
    """Run the one with Starlette and httpx2, on uvicorn with uvloop and httptools."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--no-access-log"]
    command += ["--log-level", "error", "--http", "httptools", "--loop", "uvloop"]
    command += ["benchmarks.proxy.starlette_app:app"]
    with started(command, port, PROXY_CORE, {"UPSTREAM": str(upstream)}) as process:
        yield process


def peak_bytes(process: ServerProcess) -> int:
    """Read the most memory that a process ever had."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def small(process: ServerProcess, seconds: float) -> tuple[float, float]:
    """Send small requests; return how many a second, and the CPU for each in microseconds."""
    before = process.cpu_seconds()
    command = ["wrk", "-t1", "--timeout", "30s", f"-c{CONNECTIONS}"]
    command += [f"-d{max(1, round(seconds))}s", f"http://127.0.0.1:{process.port}/x"]
    with on_core(LOAD_CORE):
        done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    total = re.search(r"(\d+) requests in ([\d.]+)s", done)
    if total is None or "Non-2xx" in done or "Socket errors" in done:
        raise CannotMeasureError(f"wrk said: {done}")
    cpu = process.cpu_seconds() - before
    return int(total[1]) / float(total[2]), cpu / int(total[1]) * 1e6


def down(port: int) -> float:
    """Receive a large body; return MiB per second."""
    buffer = bytearray(1 << 18)
    start, received = time.monotonic(), 0
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while count := sock.recv_into(buffer):
            received += count
    if received < LARGE_BYTES:
        raise CannotMeasureError(f"{received} bytes of {LARGE_BYTES}")
    return LARGE_BYTES / (time.monotonic() - start) / (1 << 20)


def up(port: int) -> float:
    """Send a large body; return MiB per second."""
    piece, start, answer = bytes(1 << 18), time.monotonic(), b""
    head = f"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {LARGE_BYTES}\r\n"
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(f"{head}\r\n".encode())
        for _ in range(LARGE_BYTES // len(piece)):
            sock.sendall(piece)
        while data := sock.recv(65_536):
            answer += data
    if str(LARGE_BYTES).encode() not in answer:
        raise CannotMeasureError(f"answered {answer!r}")
    return LARGE_BYTES / (time.monotonic() - start) / (1 << 20)


def measure(
    run: RunProxy, small_port: int, large_port: int, seconds: float, rounds: int
) -> Figures:
    """Measure one proxy."""
    with run(small_port) as process:
        small(process, 1)
        rates = [small(process, seconds) for _ in range(rounds)]
    with run(large_port) as process:
        before = peak_bytes(process)
        with on_core(LOAD_CORE):
            streams = [(down(process.port), up(process.port)) for _ in range(rounds)]
        peak = peak_bytes(process)
    return Figures(
        rate=median(rate for rate, _ in rates),
        cpu_us=median(cpu for _, cpu in rates),
        down=median(rate for rate, _ in streams),
        up=median(rate for _, rate in streams),
        peak_mib=peak / (1 << 20),
        grown_mib=(peak - before) / (1 << 20),
    )


PROXIES: dict[str, RunProxy] = {
    OURS: our_proxy,
    "starlette + httpx2 on uvicorn": starlette_proxy,
    "nginx": nginx_proxy,
}


def main() -> int:
    """Measure, print the table, and write it with the raw figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of small requests, a round")
    parser.add_argument("--rounds", type=int, default=3, help="the median counts")
    parser.add_argument("--only", help="one of them, by the beginning of its name")
    parser.add_argument("--output", type=Path, help="folder for the results")
    options = parser.parse_args()
    unwind_on_sigterm()
    if NGINX is None or shutil.which("wrk") is None:
        print("nginx and wrk have to be installed", file=sys.stderr)
        return 1
    names = [each for each in PROXIES if each.startswith(options.only or "")]
    if find_spec("uvloop") is None or find_spec("starlette") is None:
        names = [each for each in names if not each.startswith("starlette")]
    environment = describe(installed((OURS, REFERENCE)))
    found: dict[str, Figures] = {}
    with nginx(SMALL, 9) as (command, small_port):
        large_port = free_port()
        sink = [sys.executable, "-m", "benchmarks.proxy.upstream_app", str(large_port)]
        with started(command, small_port, LOAD_CORE), started(sink, large_port, LOAD_CORE):
            for name in names:
                found[name] = measure(
                    PROXIES[name], small_port, large_port, options.seconds, options.rounds
                )
                print(f"{name}: {found[name]}", file=sys.stderr)
    table = "\n".join(["# Proxies", "", note(environment), "", *lines(found)])
    print(table)
    if options.only is None or options.output:
        raw = {"environment": environment, "proxies": {k: asdict(v) for k, v in found.items()}}
        write_results(options.output or RESULTS, "proxy", raw, table)
    return 0


def lines(found: dict[str, Figures]) -> list[str]:
    """Render the table."""
    return [
        f"Small requests on {CONNECTIONS} connections, and one body of 1 GiB at a time. The proxy",
        "has a core; the load and the upstream share another.",
        "",
        "| proxy | requests/s | CPU µs/request | down MiB/s | up MiB/s | peak MiB | grown by |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {each.rate:,.0f} | {each.cpu_us:.0f} | {each.down:,.0f} | {each.up:,.0f} "
            f"| {each.peak_mib:.0f} | {each.grown_mib:.1f} MiB |"
            for name, each in found.items()
        ),
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
