"""SIGTERM with idle connections, and with connections that nobody has accepted yet."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from benchmarks.process import CannotMeasureError, ServerProcess, free_port

if TYPE_CHECKING:
    from benchmarks.servers import Server

__all__ = ["QUEUED", "Backlog", "Idle", "run_backlog", "run_idle"]

QUEUED = 20

_IDLE_SECONDS = 1.0  # twice our keep-alive grace
_EXIT_SECONDS = 15.0
_ANSWER_SECONDS = 5.0
# From the blocking request to the connections behind it, and from them to the signal: the event
# loop is blocked for 500 ms in all.
_STEP_SECONDS = 0.1
_WHOLE = b"Hello, World!"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """How long an idle server takes to exit; None if it had to be killed."""

    connections: int
    exit_seconds: float | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How many of the connections that nobody had accepted were answered.

    Attributes:
      queued, answered: Requests.
      is_blocker_answered: Whether the request that blocked the loop was.
    """

    queued: int
    answered: int
    is_blocker_answered: bool


def run_idle(server: Server, connections: int, core: int | None) -> Idle:
    """Measure from SIGTERM to the exit while nobody wants anything.

    Raises:
      CannotMeasureError: The server did not start, or did not serve the connections.
    """
    port = free_port()
    with ServerProcess(server.command(port), port, core=core) as process, ExitStack() as stack:
        process.wait_ready()
        for _ in range(connections):
            sock = stack.enter_context(_ask(port, "/"))
            if not _is_answered(sock):
                raise CannotMeasureError(f"{server.name} does not serve {connections} connections")
        time.sleep(_IDLE_SECONDS)
        start = time.monotonic()
        process.terminate()
        status = process.wait(_EXIT_SECONDS)
        seconds = time.monotonic() - start
    return Idle(connections=connections, exit_seconds=None if status is None else seconds)


def run_backlog(server: Server, core: int | None) -> Backlog:
    """Block the event loop, let connections with requests queue up, stop, count the answers.

    Raises:
      CannotMeasureError: The server did not start.
    """
    port = free_port()
    with ServerProcess(server.command(port), port, core=core) as process, ExitStack() as stack:
        process.wait_ready()
        blocker = stack.enter_context(_ask(port, "/block"))
        time.sleep(_STEP_SECONDS)
        queued = [stack.enter_context(_ask(port, "/")) for _ in range(QUEUED)]
        time.sleep(_STEP_SECONDS)
        process.terminate()
        return Backlog(
            is_blocker_answered=_is_answered(blocker),
            queued=QUEUED,
            answered=sum(map(_is_answered, queued)),
        )


def _ask(port: int, path: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_SECONDS)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return sock


def _is_answered(sock: socket.socket) -> bool:
    received = b""
    try:
        while not received.endswith(_WHOLE):
            data = sock.recv(4_096)
            if not data:
                return False
            received += data
    except OSError:
        return False
    return received.startswith(b"HTTP/1.1 200")
