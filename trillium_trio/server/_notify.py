"""Notifications to the service manager: sd_notify, without a library.

The protocol is one datagram of ``NAME=value`` lines to the socket that ``NOTIFY_SOCKET`` names
(systemd's sd_notify(3)). Best effort: a service manager that does not listen is not an error.
"""

from __future__ import annotations

import array
import socket
import time
from typing import TYPE_CHECKING, final

from .._log import SafeLogger

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Notifier"]

logger = SafeLogger("trillium_trio.server")


@final
class Notifier:
    """Notifies the service manager of the server's state; does nothing without one.

    Args:
      address: The value of ``NOTIFY_SOCKET``: a path, ``@name`` for an abstract socket, or None.
    """

    __slots__ = ("_address",)

    def __init__(self, address: str | None) -> None:
        # Anything else, such as vsock:, is for virtual machines that notify their host.
        is_usable = address is not None and address.startswith(("/", "@"))
        self._address = address if is_usable else None

    def ready(self, status: str) -> None:
        """Notify that serving has begun: dependent services can start."""
        self._send("READY=1", f"STATUS={status}")

    def stopping(self) -> None:
        """Notify that the stop has come. This cannot be undone."""
        self._send("STOPPING=1", "STATUS=draining")

    def reloading(self) -> None:
        """Notify that a reload has begun; `ready` ends it (systemd's ``Type=notify-reload``)."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=reloading")

    def main_process(self, pid: int) -> None:
        """Notify that another process is the main one from now on, and that it is ready."""
        self._send(f"MAINPID={pid}", "READY=1")

    def alive(self) -> None:
        """Notify the watchdog that all is well."""
        self._send("WATCHDOG=1")

    def draining(self, status: str, *, extend_by: float | None) -> None:
        """Report a drain in progress.

        Args:
          status: One line.
          extend_by: Extend the stop timeout to at least this many seconds from now. None: do not.
        """
        lines = [f"STATUS={status}"]
        if extend_by is not None:
            lines.append(f"EXTEND_TIMEOUT_USEC={int(extend_by * 1_000_000)}")
        self._send(*lines)

    def store(self, name: str, socks: Sequence[socket.socket]) -> None:
        """Have the service manager hold duplicates, for the next process (sd_listen_fds(3))."""
        self._send("FDSTORE=1", f"FDNAME={name}", socks=socks)

    def forget(self, name: str) -> None:
        """Have it close what it holds by this name."""
        self._send("FDSTOREREMOVE=1", f"FDNAME={name}")

    def _send(self, *lines: str, socks: Sequence[socket.socket] = ()) -> None:
        if self._address is None:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        message = "\n".join(line.replace("\n", " ") for line in lines).encode(errors="replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                fds = array.array("i", (each.fileno() for each in socks))
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else []
                sock.sendmsg([message], rights, 0, address)
        except OSError as error:
            logger.warning("cannot notify %s: %s", self._address, error)

    def __repr__(self) -> str:
        return f"<Notifier {self._address or 'without a service manager'}>"
