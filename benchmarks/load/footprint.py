"""What a server takes before it has any load: memory per idle connection, and its start."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from benchmarks.process import (
    PAGE_BYTES,
    CannotMeasureError,
    ServerProcess,
    connect,
    free_port,
    on_core,
)

if TYPE_CHECKING:
    import socket

    from benchmarks.servers import Server

__all__ = ["Start", "idle_bytes", "import_of_trio", "start"]

_ANSWER_SECONDS = 10.0
# Enough to have caches, pools and the interpreter's arenas where they stay.
_WARM_UP_CONNECTIONS = 200
_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

_IMPORT_TRIO = """
import trio
with open("/proc/self/statm") as statm:
    print(statm.read().split()[1], flush=True)
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A start.

    Attributes:
      seconds: From the start of the process to the first 200.
      resident_bytes: Then.
    """

    seconds: float
    resident_bytes: int


def start(server: Server, core: int | None) -> Start:
    """Start a server and ask it once.

    Raises:
      CannotMeasureError: It did not answer.
    """
    port = free_port()
    with ServerProcess(server.command(port), port, core=core, is_tls=server.is_tls) as process:
        seconds = process.wait_ready()
        return Start(seconds=seconds, resident_bytes=process.resident_bytes())


def import_of_trio(core: int | None) -> Start:
    """Start Python and import trio: what any server on trio takes at least."""
    begin = time.monotonic()
    with (
        on_core(core),
        subprocess.Popen(
            [sys.executable, "-c", _IMPORT_TRIO], stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        pages = int(process.stdout.readline())
        seconds = time.monotonic() - begin
    return Start(seconds=seconds, resident_bytes=pages * PAGE_BYTES)


def idle_bytes(server: Server, connections: int, core: int | None) -> float:
    """Measure the resident bytes per idle keep-alive connection that was used once.

    Raises:
      CannotMeasureError: The server did not start, or did not serve so many.
    """
    port = free_port()
    with (
        ServerProcess(server.command(port), port, core=core, is_tls=server.is_tls) as process,
        ExitStack() as stack,
    ):
        process.wait_ready()
        for _ in range(_WARM_UP_CONNECTIONS):
            _use(port, is_tls=server.is_tls).close()
        before = process.resident_bytes()
        try:
            for _ in range(connections):
                stack.enter_context(_use(port, is_tls=server.is_tls))
        except OSError as error:
            raise CannotMeasureError(f"{server.name}: {error}") from error
        return (process.resident_bytes() - before) / connections


def _use(port: int, *, is_tls: bool) -> socket.socket:
    sock = connect(port, timeout=_ANSWER_SECONDS, is_tls=is_tls)
    sock.sendall(_REQUEST)
    if not sock.recv(4_096).startswith(b"HTTP/1.1 200"):
        raise ConnectionAbortedError("a request was not answered")
    return sock
