"""What workers cost: CPU, memory, time; and whether each has its share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, final

from benchmarks.load.cases import Case
from benchmarks.load.driver import drive, has_wrk
from benchmarks.process import CannotMeasureError, connect
from benchmarks.supervisor.clients import exchange
from benchmarks.supervisor.service import launched, running, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.supervisor.peers import Peer
    from benchmarks.supervisor.service import Service

__all__ = [
    "BARE",
    "CONNECTIONS",
    "DICTS",
    "Idle",
    "Memory",
    "Roll",
    "Throughput",
    "bare_ratio",
    "idle",
    "loops_for",
    "measure_balance",
    "measure_memory",
    "measure_roll",
    "measure_start",
    "measure_throughput",
]

CONNECTIONS = 64
DICTS = 60_000
BARE = "no server, the loop alone"

_TICKS = os.sysconf("SC_CLK_TCK")
_BURN_SECONDS = 0.002
_ANSWER_SECONDS = 10.0
_WARM_UP_SECONDS = 1.0
# Longer than a worker counts connections that have ended.
_SETTLE_SECONDS = 0.3
_GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

_LOOP = """
import time
def burn(loops):
    total = 0
    for number in range(loops):
        total += number
end, done = time.monotonic() + {seconds}, 0
while time.monotonic() < end:
    burn({loops})
    done += 1
print(done)
"""


# -- throughput --------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """One run of the load.

    Attributes:
      rate: Requests per second.
      cpu_us: Microseconds of CPU of all processes of the server, per request.
      errors: Connections that failed, and answers other than 2xx.
    """

    rate: float
    cpu_us: float
    errors: int


def loops_for(seconds: float = _BURN_SECONDS) -> int:
    """Return how many turns of the loop in ``/burn`` take so long here."""
    loops, samples = 20_000, []
    for _ in range(20):
        begin = time.thread_time()
        total = 0
        for number in range(loops):
            total += number
        samples.append(time.thread_time() - begin)
    return round(loops * seconds / median(samples))


def bare_ratio(loops: int, seconds: float) -> float:
    """Return what the machine makes of two processes with the loop, against one."""
    command = [sys.executable, "-c", _LOOP.format(loops=loops, seconds=seconds)]

    def run(count: int) -> int:
        started = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)
        ]
        return sum(int(each.communicate()[0]) for each in started)

    return run(2) / run(1)


def measure_throughput(
    peer: Peer, workers: int, path: str, seconds: float, loops: int
) -> Throughput:
    """Load a server with wrk, which runs where the scheduler puts it.

    Raises:
      CannotMeasureError: The server or wrk does not run.
    """
    if not has_wrk():
        raise CannotMeasureError("wrk is not installed")
    case = Case(name=path, servers=(), connections=(), path=path)
    with running(peer, workers, {"LOOPS": str(loops)}) as service:
        drive(service.process, case, CONNECTIONS, _WARM_UP_SECONDS, None)
        sample = drive(service.process, case, CONNECTIONS, seconds, None)
    return Throughput(rate=sample.rate, cpu_us=sample.cpu_us, errors=sample.errors)


# -- balance -----------------------------------------------------------------------------------


def measure_balance(peer: Peer, rounds: int) -> list[float]:
    """Open connections at once, again and again; return the smaller worker's share of each round.

    Raises:
      CannotMeasureError: The server does not start, or a request was not answered.
    """
    with running(peer) as service:
        shares = []
        for _ in range(rounds):
            time.sleep(_SETTLE_SECONDS)
            counts = Counter(_who_answers(service.port, CONNECTIONS))
            shares.append(min(counts.values()) / CONNECTIONS if len(counts) > 1 else 0.0)
        return shares


def _who_answers(port: int, connections: int) -> Iterator[int]:
    """Open connections, all before the first is used, and yield the worker of each."""
    with ExitStack() as stack:
        socks = [
            stack.enter_context(connect(port, timeout=_ANSWER_SECONDS)) for _ in range(connections)
        ]
        for sock in socks:
            ending = exchange(sock, _GET)
            if ending.status != 200:
                raise CannotMeasureError(f"a connection was answered {ending}")
            yield int(ending.body.split(" ")[1])


# -- memory ------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """PSS in MiB: of each worker, in the middle, and of all other processes of the server."""

    worker: float
    others: float


def measure_memory(peer: Peer, workers: int, dicts: int) -> Memory:
    """Measure a server that has answered some requests.

    Raises:
      CannotMeasureError: The server does not start.
    """
    with running(peer, workers, {"DICTS": str(dicts)}) as service:
        for _ in range(4):
            list(_who_answers(service.port, CONNECTIONS))
        time.sleep(_SETTLE_SECONDS)
        pids = service.workers
        others = set(service.tree()) - pids
        return Memory(
            worker=median(map(_pss_mib, pids)),
            others=sum(map(_pss_mib, others)),
        )


def _pss_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    [kib] = [line.split()[1] for line in text.splitlines() if line.startswith("Pss:")]
    return int(kib) / 1_024


# -- start and roll ----------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """A roll of two workers that have nothing to do, in seconds since its signal.

    Attributes:
      first: Until the application of the first new worker has started.
      over: Until all new ones have, and the old ones are gone.
    """

    first: float
    over: float


def measure_start(peer: Peer, workers: int) -> float:
    """Return the seconds until all workers have started; 0 workers: ours without a supervisor.

    Raises:
      CannotMeasureError: It takes too long.
    """

    def alone(command: list[str]) -> list[str]:
        # `--workers` and what needs it are the options from there to the pidfile's.
        begin, end = command.index("--workers"), command.index("--pidfile")
        return command[:begin] + command[end:]

    if not workers:
        with launched(peer, 1, change=alone) as service:
            return service.wait_started(1)
    with launched(peer, workers) as service:
        return service.wait_started(workers)


def measure_roll(peer: Peer, rounds: int) -> list[Roll]:
    """Roll some times.

    Raises:
      CannotMeasureError: It is not over in time, or the service has ended.
    """
    with running(peer) as service:
        # Some take no signal at first.
        time.sleep(_WARM_UP_SECONDS)
        return [_roll(service) for _ in range(rounds)]


def _roll(service: Service) -> Roll:
    old, ever = service.workers, service.started
    service.save()
    begin = time.monotonic()
    service.signal(signal.SIGHUP)
    wait_until(lambda: len(service.started) > len(ever), "a new worker has started")
    first = time.monotonic() - begin

    def is_over() -> bool:
        service.check()
        now = service.workers
        return not now & old and len(now) == len(old)

    wait_until(is_over, "the roll is over")
    over = time.monotonic() - begin
    time.sleep(_SETTLE_SECONDS)
    return Roll(first=first, over=over)


# -- idle --------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Shares of one core: of a worker, in the middle, and of all other processes together."""

    worker: float
    others: float


def idle(peers: Iterable[Peer], seconds: float) -> dict[str, Idle]:
    """Let all servers be idle beside each other.

    Raises:
      CannotMeasureError: A server does not start.
    """
    with ExitStack() as stack:
        services = {each.name: stack.enter_context(running(each)) for each in peers}
        # What a start leaves to do is over.
        time.sleep(3 * _WARM_UP_SECONDS)
        before = {name: _cpu_seconds(each) for name, each in services.items()}
        time.sleep(seconds)
        found = {}
        for name, service in services.items():
            used = {
                pid: (after - before[name].get(pid, 0.0)) / seconds
                for pid, after in _cpu_seconds(service).items()
            }
            workers = service.workers
            found[name] = Idle(
                worker=median(used[pid] for pid in workers),
                others=sum(share for pid, share in used.items() if pid not in workers),
            )
        return found


def _cpu_seconds(service: Service) -> dict[int, float]:
    """Return the CPU time of each process of a server: user and system."""
    found = {}
    for pid in service.tree():
        # The name, in parentheses, may hold spaces.
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        found[pid] = (int(stat[11]) + int(stat[12])) / _TICKS
    return found
