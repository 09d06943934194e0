"""One server with its workers, in a folder of its own, in which versions are saved."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, final

from benchmarks.process import ROOT, CannotMeasureError, ServerProcess, free_port

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.supervisor.peers import Peer

__all__ = ["Service", "ServiceEndedError", "is_gone", "launched", "running", "save", "wait_until"]

_SOURCE = (Path(__file__).parent / "app.py").read_text(encoding="utf-8")
_BROKEN = 'raise RuntimeError("this version cannot start")'
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.001


class ServiceEndedError(CannotMeasureError):
    """The parent of the workers has ended, which it should not have."""


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended, waited for or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    seconds: float = _PATIENCE_SECONDS,
    poll: float = _POLL_SECONDS,
) -> None:
    """Wait until something is so.

    Raises:
      CannotMeasureError: It took too long.
    """
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            raise CannotMeasureError(f"not within {seconds:g} s: {what}")
        time.sleep(poll)


def save(folder: Path, version: int, *, is_broken: bool = False) -> None:
    """Save a version of the application."""
    text = _SOURCE.replace("@VERSION@", f"v{version}")
    if is_broken:
        text = text.replace("\nVERSION =", f"\n{_BROKEN}\nVERSION =")
    new = folder / "app.new"
    new.write_text(text, encoding="utf-8")
    # Bytecode is kept by whole seconds, in which several versions are saved.
    os.utime(new, (version, version))
    new.replace(folder / "app.py")


@final
class Service:
    """A server program that serves.

    Args:
      process: Its process, or that from which it comes.
      folder: Where its application is.
      peer: What it is.

    Attributes:
      parent: The process id of the workers' parent.
    """

    def __init__(self, process: ServerProcess, folder: Path, peer: Peer) -> None:
        self.process = process
        self.folder = folder
        self.peer = peer
        self.parent = process.pid
        self._version = 1

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.process.port

    @property
    def started(self) -> set[int]:
        """The workers whose application has ever started, by process id."""
        return {int(each.name[8:]) for each in self.folder.glob("started-*")}

    @property
    def workers(self) -> set[int]:
        """Those that have not ended."""
        return {each for each in self.started if not is_gone(each)}

    def tree(self) -> list[int]:
        """Return the process ids of the parent, and of all that come from it."""
        pids = [self.parent]
        for pid in pids:  # grows while it is walked
            for task in Path(f"/proc/{pid}/task").iterdir():
                pids += map(int, (task / "children").read_text(encoding="ascii").split())
        return pids

    @property
    def begun(self) -> dict[str, list[int]]:
        """The workers that have begun each request, by its name."""
        found: dict[str, list[int]] = {}
        for path in self.folder.glob("begun-*"):
            for name in path.read_text(encoding="ascii").splitlines():
                found.setdefault(name, []).append(int(path.name[6:]))
        return found

    def save(self, *, is_broken: bool = False) -> None:
        """Save a new version, or one that raises when it is imported."""
        self._version += 1
        save(self.folder, self._version, is_broken=is_broken)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the parent.

        Raises:
          ServiceEndedError: It is gone.
        """
        self.check()
        os.kill(self.parent, number)

    def check(self) -> None:
        """Make sure that the parent lives.

        Raises:
          ServiceEndedError: It does not.
        """
        if is_gone(self.parent):
            raise ServiceEndedError(f"it has ended: {self.process.output()}")

    def named_parent(self) -> int:
        """Return what the pidfile says, 0 if there is none at this moment."""
        try:
            return int((self.folder / "pid").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def wait_started(self, workers: int) -> float:
        """Wait until so many workers have started; return the seconds since the server's start.

        Raises:
          CannotMeasureError: It ended, or took too long.
        """

        def have_started() -> bool:
            self.check()
            return len(self.started) >= workers

        wait_until(have_started, f"{workers} workers have started")
        return time.monotonic() - self.process.started_at


@contextmanager
def running(
    peer: Peer, workers: int = 2, environment: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Start a server; it is ready when all workers have started and it answers.

    Raises:
      CannotMeasureError: It is not.
    """
    with launched(peer, workers, environment) as service:
        service.wait_started(workers)
        service.process.wait_ready()
        if peer.has_pidfile:
            wait_until(lambda: service.named_parent() != 0, "there is a pidfile")
            service.parent = service.named_parent()
        yield service


@contextmanager
def launched(
    peer: Peer,
    workers: int,
    environment: Mapping[str, str] | None = None,
    *,
    change: Callable[[list[str]], list[str]] = lambda command: command,
) -> Iterator[Service]:
    """Start a server and do not wait for it.

    Args:
      peer: What to start.
      workers: How many workers it is to have.
      environment: Variables besides our own.
      change: Changes the command.
    """
    folder = Path(tempfile.mkdtemp(prefix="workers-"))
    try:
        save(folder, 1)
        # Bytecode is kept, as it is where packages are installed: else a start compiles them all.
        variables = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": ""}
        port = free_port()
        command = change(peer.command(port=port, workers=workers, folder=folder))
        variables.update(environment or {})
        with ServerProcess(command, port, environment=variables) as process:
            yield Service(process, folder, peer)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
