"""Replace workers and their parent under load, break them, and count what the clients lose."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, final

from benchmarks.process import ROOT, CannotMeasureError, connect, free_port
from benchmarks.supervisor.clients import Load
from benchmarks.supervisor.service import ServiceEndedError, is_gone, running, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.supervisor.clients import Loss
    from benchmarks.supervisor.peers import Peer
    from benchmarks.supervisor.service import Service

__all__ = ["PHASES", "WAYS", "Kill", "Phase", "is_its_own", "run_phase"]

PHASES = ("roll", "upgrade", "rollback", "kill")
WAYS = ("direct", "HAProxy")

WORKERS = 2
# What is watched after a version that cannot start; longer than any of them takes to end by it.
_WATCH_SECONDS = 6.0
# A worker that has served for 5 seconds is started again at once when it is killed.
_SERVED_SECONDS = 5.2
_CALM_SECONDS = 0.3
_SLOW_POLL = 0.01
# HAProxy may learn of the end of a connection a moment later than it passes a request to it.
_PROXY_SECONDS = 0.05

HAPROXY = """
global
    nbthread 1
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive 10s
frontend http
    bind 127.0.0.1:{port}
    default_backend app
backend app
    server one 127.0.0.1:{upstream}
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One ``kill -9``.

    Attributes:
      worker: Its process id.
      sent_at, gone_at: On the monotonic clock; the kernel has closed its connections by then.
      held: Connections or requests that it may have held, see `Load.held_by`.
    """

    worker: int
    sent_at: float
    gone_at: float
    held: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What came of one phase.

    Attributes:
      server, way, name: What was done, and how the clients got there.
      steps: How often it was done.
      seconds: How long each step took.
      answered, refused, doubled: Requests; ``doubled`` were begun twice.
      lost_kept, lost_fresh: Lost requests, by how.
      foreign: Lost in ``kill``, though the worker that was killed did not hold them.
      held: What those workers held, at most.
      slowest: The longest that a client has waited, in seconds.
      note: What else there is to say.
    """

    server: str
    way: str
    name: str
    steps: int = 0
    seconds: list[float] = field(default_factory=list)
    answered: int = 0
    refused: int = 0
    doubled: int = 0
    lost_kept: Mapping[str, int] = field(default_factory=dict)
    lost_fresh: Mapping[str, int] = field(default_factory=dict)
    foreign: int = 0
    held: int = 0
    slowest: float = 0.0
    note: str = ""
    losses: Sequence[Mapping[str, object]] = ()

    @property
    def lost(self) -> int:
        """All lost requests."""
        return sum(self.lost_kept.values()) + sum(self.lost_fresh.values())

    @property
    def is_clean(self) -> bool:
        """Whether it is as we promise."""
        if self.refused or self.doubled or self.note or not self.answered:
            return False
        if self.name == "kill":
            return not self.foreign and self.lost <= self.held
        return not self.lost


def is_its_own(
    loss: Loss, kills: Sequence[Kill], begun: Sequence[int], *, is_proxied: bool
) -> bool:
    """Tell whether a lost request was on a worker that was killed.

    Args:
      loss: The request.
      kills: All of them.
      begun: Who has begun it.
      is_proxied: Whether its connection is one to a proxy.
    """
    victims = {each.worker for each in kills}
    if begun:
        return set(begun) <= victims
    if loss.worker and not is_proxied:
        return loss.worker in victims
    margin = _PROXY_SECONDS if is_proxied else 0.0
    # Nothing is known of its connection but when it was there.
    return any(
        loss.sent_at <= each.gone_at + margin and loss.noticed_at >= each.sent_at for each in kills
    )


def run_phase(peer: Peer, way: str, name: str, steps: int) -> Phase:
    """Run one phase with a new server.

    Raises:
      CannotMeasureError: The server or HAProxy did not start.
    """
    if name == "upgrade" and peer.upgrade is None:
        return Phase(server=peer.name, way=way, name=name, note="not possible")
    with running(peer, WORKERS) as service, _way(way, service.port) as port:
        return _run(service, way, port, name, steps)


def _run(service: Service, way: str, port: int, name: str, steps: int) -> Phase:
    is_proxied = way != "direct"
    seconds: list[float] = []
    kills: list[Kill] = []
    note = ""
    with Load(port, is_proxied=is_proxied) as load:
        try:
            _wait_all_answer(load, service)
            for _ in range(steps):
                time.sleep(_CALM_SECONDS)
                begin = time.monotonic()
                if name == "kill":
                    kills.append(_kill(service, load))
                    _wait_all_answer(load, service, since=kills[-1].gone_at)
                else:
                    STEPS[name](service, load)
                seconds.append(time.monotonic() - begin)
                if name == "kill":
                    time.sleep(_SERVED_SECONDS)
            time.sleep(_CALM_SECONDS)
        except ServiceEndedError:
            note = "**the service ends**"
        except CannotMeasureError as error:
            note = str(error)
    begun = service.begun
    foreign = [
        each
        for each in load.losses
        if name == "kill"
        and not is_its_own(each, kills, begun.get(each.name, []), is_proxied=is_proxied)
    ]
    phase = Phase(
        server=service.peer.name,
        way=way,
        name=name,
        steps=len(seconds),
        seconds=seconds,
        answered=load.answered,
        refused=load.refused,
        doubled=sum(len(each) > 1 for each in begun.values()),
        lost_kept=load.lost(is_kept=True),
        lost_fresh=load.lost(is_kept=False),
        foreign=len(foreign),
        held=sum(each.held for each in kills),
        slowest=load.slowest,
        note=note,
        losses=[
            {**asdict(each), "begun_by": begun.get(each.name, []), "is_foreign": each in foreign}
            for each in load.losses
        ],
    )
    # Its log is no part of the results, which name no path of a machine.
    if service.peer.is_ours and not phase.is_clean:
        print(f"{way}, {name}: {service.process.output()}", file=sys.stderr)
    return phase


# -- the steps ---------------------------------------------------------------------------------


def _roll(service: Service, load: Load) -> None:
    old = service.workers
    service.save()
    service.signal(signal.SIGHUP)
    _wait_replaced(service, load, old)


def _upgrade(service: Service, load: Load) -> None:
    old, parent = service.workers, service.parent
    service.save()
    service.signal(signal.SIGUSR2)
    if service.peer.upgrade == "by hand":
        wait_until(
            lambda: len(_answering(service, load) - old) >= WORKERS,
            "the new one serves",
            poll=_SLOW_POLL,
        )
        os.kill(parent, signal.SIGTERM)
    wait_until(lambda: is_gone(parent), "the old parent is gone", poll=_SLOW_POLL)
    wait_until(lambda: service.named_parent() not in {0, parent}, "the new one has its pidfile")
    service.parent = service.named_parent()
    _wait_replaced(service, load, old)


def _roll_back(service: Service, load: Load) -> None:
    service.save(is_broken=True)
    begin = time.monotonic()
    if service.peer.is_ours:
        # Also for the answer, which says that it has failed.
        command = [sys.executable, "-m", "trillium_trio", "ctl", "roll"]
        command[4:4] = ["--control", str(service.folder / "control")]
        if subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode != 1:
            raise CannotMeasureError("a roll to a version that cannot start has not failed")
        service.check()
    else:
        service.signal(signal.SIGHUP)
        while time.monotonic() < begin + _WATCH_SECONDS:
            service.check()
            time.sleep(_SLOW_POLL)
    service.save()
    _wait_all_answer(load, service)


def _kill(service: Service, load: Load) -> Kill:
    worker = random.choice(sorted(_answering(service, load)))
    process = os.pidfd_open(worker)
    try:
        held, sent_at = load.held_by(worker), time.monotonic()
        os.kill(worker, signal.SIGKILL)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.poll()
        gone_at = time.monotonic()
    finally:
        os.close(process)
    return Kill(worker=worker, sent_at=sent_at, gone_at=gone_at, held=held)


STEPS: Mapping[str, Callable[[Service, Load], None]] = {
    "roll": _roll,
    "upgrade": _upgrade,
    "rollback": _roll_back,
}


def _answering(service: Service, load: Load, since: float = 0.0) -> set[int]:
    seen = dict(load.seen)
    return {each for each in service.workers if seen.get(each, -1.0) >= since}


def _wait_all_answer(load: Load, service: Service, since: float | None = None) -> None:
    begin = time.monotonic() if since is None else since

    def all_answer() -> bool:
        service.check()
        return len(_answering(service, load, begin)) >= WORKERS

    wait_until(all_answer, f"{WORKERS} workers answer", poll=_SLOW_POLL)


def _wait_replaced(service: Service, load: Load, old: set[int]) -> None:
    def is_replaced() -> bool:
        service.check()
        return not old & service.workers

    wait_until(is_replaced, "the old workers are gone", poll=_SLOW_POLL)
    _wait_all_answer(load, service)


# -- the ways ----------------------------------------------------------------------------------


@contextmanager
def _way(way: str, port: int) -> Iterator[int]:
    """Yield the port to which the clients go."""
    if way == "direct":
        yield port
        return
    own = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
        config.write(HAPROXY.format(port=own, upstream=port))
        config.flush()
        path = f"{os.environ.get('PATH', '')}:/usr/sbin"
        try:
            process = subprocess.Popen(
                ["haproxy", "-db", "-q", "-f", config.name], env={**os.environ, "PATH": path}
            )
        except FileNotFoundError as error:
            raise CannotMeasureError("haproxy is not installed") from error
        try:
            wait_until(lambda: _accepts(own), "HAProxy accepts", poll=_SLOW_POLL)
            yield own
        finally:
            process.kill()
            process.wait()


def _accepts(port: int) -> bool:
    try:
        connect(port, timeout=1).close()
    except OSError:
        return False
    return True
