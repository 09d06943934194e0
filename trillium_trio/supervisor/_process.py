"""A program of our own in a process, with a control socket."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import subprocess
from typing import TYPE_CHECKING, final

import trio

from ..exceptions import BindError, ConfigError
from ..listeners import send_grant, send_refusal
from ..server import terminal_signals_blocked
from ._signals import ABORT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..listeners import SharedSocket

__all__ = ["ChildProcess"]

_CHUNK = 65_536
_SEND_SECONDS = 1.0


@final
class ChildProcess:
    """See `Process`; it is started at once.

    Not by trio: its `open_process` starts in a thread, which has other signals blocked.

    Args:
      command: The program and its arguments.
      environ: Returns the environment, given the number of the control socket.
      fds: Descriptors to inherit besides.
      is_worker: Whether SIGINT and SIGQUIT are blocked; see `terminal_signals_blocked`.
      stdin: Its standard input; None: that of this process.

    Raises:
      OSError: It cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Callable[[int], Mapping[str, str]],
        *,
        fds: Sequence[int] = (),
        is_worker: bool = True,
        stdin: int | None = subprocess.DEVNULL,
    ) -> None:
        self.sock, theirs = socket.socketpair()
        self.sock.setblocking(False)
        try:
            blocked = terminal_signals_blocked() if is_worker else contextlib.nullcontext()
            with theirs, blocked:
                self._process = subprocess.Popen(  # noqa: S603 (the command line of this process)
                    command,
                    env=environ(theirs.fileno()),
                    pass_fds=[theirs.fileno(), *fds],
                    stdin=stdin,
                )
        except BaseException:
            self.sock.close()
            raise

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is gone already."""
        return self._process.poll() is not None

    async def receive(self) -> bytes:
        """See `Process`.

        Cancellation:
          Nothing is lost.
        """
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            try:
                return self.sock.recv(_CHUNK)
            except BlockingIOError:
                pass
            except ConnectionError:
                return b""

    def send(self, data: bytes) -> None:
        """See `Process`."""
        with contextlib.suppress(OSError):
            self.sock.send(data)

    def send_all(self, data: bytes) -> None:
        """Block until all is sent, for a second at most."""
        self.sock.settimeout(_SEND_SECONDS)
        with contextlib.suppress(OSError):
            self.sock.sendall(data)
        self.sock.setblocking(False)

    def grant(self, sockets: Sequence[SharedSocket] | BindError | ConfigError) -> None:
        """See `Process`."""
        with contextlib.suppress(OSError):
            if isinstance(sockets, BindError | ConfigError):
                send_refusal(self.sock, sockets)
            else:
                send_grant(self.sock, sockets)

    def abort(self) -> None:
        """See `Process`."""
        self._process.send_signal(ABORT)

    def kill(self) -> None:
        """See `Process`."""
        self._process.kill()

    async def wait(self) -> int:
        """See `Process`.

        Cancellation:
          Ends the wait.
        """
        try:
            pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            # A thread for each: there may be more than trio would run at once.
            return await trio.to_thread.run_sync(
                self._process.wait, abandon_on_cancel=True, limiter=trio.CapacityLimiter(math.inf)
            )
        try:
            await trio.lowlevel.wait_readable(pidfd)
        finally:
            trio.lowlevel.notify_closing(pidfd)
            os.close(pidfd)
        return self._process.wait()

    def close(self) -> None:
        """See `Process`."""
        trio.lowlevel.notify_closing(self.sock)
        self.sock.close()
