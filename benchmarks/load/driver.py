"""Drive one server with one case for some seconds, on a core of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from benchmarks.process import ROOT, CannotMeasureError, on_core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.load.cases import Case
    from benchmarks.process import ServerProcess

__all__ = ["Sample", "drive", "has_wrk"]

# Reads the bytes that it is to post from the length in its argument.
_WRK_POST = """
wrk.method = "POST"
wrk.body = string.rep("x", {body_bytes})
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one run of the load came to.

    Attributes:
      requests: Answered whole.
      seconds: How long it took.
      errors: Connections that failed, and answers other than 2xx.
      cpu_seconds: User and system time of the server in it.
    """

    requests: int
    seconds: float
    errors: int
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU per request, in the server."""
        return self.cpu_seconds / max(1, self.requests) * 1e6


def has_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def drive(
    process: ServerProcess, case: Case, connections: int, seconds: float, core: int | None
) -> Sample:
    """Load a running server.

    Raises:
      CannotMeasureError: The load generator failed, or nothing was answered.
    """
    # wrk resumes no session of TLS.
    is_kept = "Connection: close" not in case.headers
    is_small = not case.transfer_bytes and is_kept
    run = _wrk if is_small and has_wrk() else _generator
    before = process.cpu_seconds()
    requests, elapsed, errors = run(process.port, case, connections, seconds, core)
    sample = Sample(
        requests=requests,
        seconds=elapsed,
        errors=errors,
        cpu_seconds=process.cpu_seconds() - before,
    )
    if not requests:
        raise CannotMeasureError(f"nothing was answered: {process.output()}")
    return sample


def _wrk(
    port: int, case: Case, connections: int, seconds: float, core: int | None
) -> tuple[int, float, int]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    for header in case.headers:
        command += ["-H", header]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if case.body_bytes:
            script.write(_WRK_POST.format(body_bytes=case.body_bytes))
            script.flush()
            command += ["-s", script.name]
        scheme = "https" if case.is_tls else "http"
        text = _run([*command, f"{scheme}://127.0.0.1:{port}{case.path}"], core)
    total = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", text)
    if total is None:
        raise CannotMeasureError(f"wrk said: {text}")
    unit = {"ms": 1e-3, "s": 1.0, "m": 60.0}[total[3]]
    failed = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = sum(map(int, failed.groups())) if failed else 0
    errors += int(refused[1]) if refused else 0
    return int(total[1]), float(total[2]) * unit, errors


def _generator(
    port: int, case: Case, connections: int, seconds: float, core: int | None
) -> tuple[int, float, int]:
    arguments = (str(port), case.name, str(connections), str(seconds))
    text = _run([sys.executable, "-m", "benchmarks.load.generator", *arguments], core)
    figures = json.loads(text)
    return figures["requests"], figures["seconds"], figures["errors"]


def _run(command: Sequence[str], core: int | None) -> str:
    with on_core(core):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMeasureError(f"{command[0]} failed: {done.stderr}")
    return done.stdout
