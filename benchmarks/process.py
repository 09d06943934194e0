"""One server process: started on a core, read from ``/proc``, ended for certain."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self, final

from tests.unit.transport._tls import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "PAGE_BYTES",
    "ROOT",
    "CannotMeasureError",
    "ServerProcess",
    "connect",
    "free_port",
    "on_core",
    "unwind_on_sigterm",
]

ROOT = Path(__file__).resolve().parents[1]

_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_READY_SECONDS = 15.0
# 1 ms: far below what a start takes, and a refused connect costs the starting server nothing.
_POLL_SECONDS = 0.001
# Enough for a traceback.
_SHOWN_BYTES = 4_096
_PROBE = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class CannotMeasureError(Exception):
    """A server did not start, or a tool failed: there is no figure."""


def free_port() -> int:
    """Find a port on the loopback interface that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        assert isinstance(port, int)
        return port


def connect(port: int, *, timeout: float, is_tls: bool = False) -> socket.socket:
    """Connect to a server on the loopback interface.

    Raises:
      OSError: It is not there, or does not shake hands.
    """
    sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    if not is_tls:
        return sock
    try:
        return _client_context().wrap_socket(sock, server_hostname="localhost")
    except OSError:
        sock.close()
        raise


@cache
def _client_context() -> ssl.SSLContext:
    return client_context("http/1.1")


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Pin what is started in this block to a core; None, or a core that there is not: to none."""
    before = os.sched_getaffinity(0)
    if core is not None and core in before:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def unwind_on_sigterm() -> None:
    """Make SIGTERM end this program the way Ctrl-C does, so that no server outlives it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@final
class ServerProcess:
    """A server and its children, in a session of their own; leaving the ``with`` block kills them.

    Args:
      command: What to run, from the root of the repository.
      port: Where it will listen, on the loopback interface.
      core: To pin it to. Default: none.
      environment: Variables besides our own.
      pass_fds: Descriptors that it inherits.
      is_tls: Whether it speaks HTTPS.
    """

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        *,
        core: int | None = None,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        is_tls: bool = False,
    ) -> None:
        self.port = port
        self._is_tls = is_tls
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed in __exit__
        self.started_at = time.monotonic()
        with on_core(core):
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        self._log.close()

    @property
    def pid(self) -> int:
        """Of the process that was started; signals go there."""
        return self._process.pid

    def wait_ready(self) -> float:
        """Wait for the first 200; return the seconds since the start.

        Raises:
          CannotMeasureError: It ended, or took too long.
        """
        while True:
            self._check_alive()
            try:
                with connect(self.port, timeout=5, is_tls=self._is_tls) as sock:
                    sock.sendall(_PROBE)
                    answer = sock.recv(64)
            except OSError:
                answer = b""
            if answer.split(b" ")[1:2] == [b"200"]:
                return time.monotonic() - self.started_at
            time.sleep(_POLL_SECONDS)

    def wait_said(self, word: str) -> None:
        """Wait until the server has written a word.

        Raises:
          CannotMeasureError: It ended, or took too long.
        """
        while word not in self.output():
            self._check_alive()
            time.sleep(_POLL_SECONDS)

    def _check_alive(self) -> None:
        seconds = time.monotonic() - self.started_at
        if self._process.poll() is not None or seconds > _READY_SECONDS:
            raise CannotMeasureError(f"not ready after {seconds:.1f} s: {self.output()}")

    def cpu_seconds(self) -> float:
        """Read the CPU time, user and system, that the tree of processes has used."""
        ticks = 0
        for pid in self._tree():
            # The name, in parentheses, may hold spaces; utime and stime are fields 14 and 15.
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += int(stat[11]) + int(stat[12])
        return ticks / _TICKS

    def resident_bytes(self) -> int:
        """Read the resident size of the tree of processes."""
        pages = sum(
            int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
            for pid in self._tree()
        )
        return pages * PAGE_BYTES

    def _tree(self) -> list[int]:
        pids = [self.pid]
        for pid in pids:  # grows while it is walked
            for task in Path(f"/proc/{pid}/task").iterdir():
                pids += map(int, (task / "children").read_text(encoding="utf-8").split())
        return pids

    def terminate(self) -> None:
        """Send SIGTERM to the process that was started, as a supervisor does."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout: float) -> int | None:
        """Return the exit status, or None if it did not end in ``timeout`` seconds."""
        # Not Popen.wait(timeout): it looks every 50 ms.
        exited = os.pidfd_open(self.pid)
        try:
            poll = select.poll()
            poll.register(exited, select.POLLIN)
            poll.poll(timeout * 1_000)
        finally:
            os.close(exited)
        return self._process.poll()

    def kill(self) -> None:
        """End it and what it started. Idempotent."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # Everything has ended by itself.
        self._process.wait()

    def output(self) -> str:
        """Return the end of what it has written to its standard streams."""
        # pread: the server writes at the offset of the very same open file.
        size = os.fstat(self._log.fileno()).st_size
        start = max(0, size - _SHOWN_BYTES)
        return os.pread(self._log.fileno(), _SHOWN_BYTES, start).decode(errors="replace").strip()

    def __repr__(self) -> str:
        return f"<ServerProcess {self.pid} on port {self.port}>"
