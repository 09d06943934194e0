"""Environment variables of the server; the only place that reads them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..exceptions import ConfigError
from ..listeners import EnvBind, TcpBind, UnixBind

if TYPE_CHECKING:
    from ..listeners import Bind

__all__ = ["default_bind", "notify_socket", "store_room", "watchdog_seconds"]

_MAX_PORT = 65_535


def default_bind(host: str | None, port: int | None) -> Bind:
    """Return the listener for a configuration without listeners.

    The configured host and port win; then inherited sockets (``LISTEN_FDS``, ``LISTEN_FD``), then
    ``HOST`` and ``PORT``, then ``localhost`` and 8080. A host that is a path means a unix socket.

    Raises:
      ConfigError: ``PORT`` is not a port number.
    """
    environ = os.environ
    if host is None and port is None and ("LISTEN_FDS" in environ or "LISTEN_FD" in environ):
        return EnvBind()
    if host is None:
        host = environ.get("HOST") or "localhost"
    if host.startswith(("/", ".")):
        return UnixBind(host)
    if port is None:
        text = environ.get("PORT") or "8080"
        # Length first: int() raises ValueError for thousands of digits.
        is_number = text.isascii() and text.isdigit() and len(text) <= 5
        if not (is_number and int(text) <= _MAX_PORT):
            raise ConfigError(f"PORT in the environment must be 0 to {_MAX_PORT}, not {text!r}")
        port = int(text)
    return TcpBind(host, port)


def notify_socket() -> str | None:
    """Return the address of the service manager's notify socket, or None without one."""
    return os.environ.get("NOTIFY_SOCKET") or None


def store_room() -> int:
    """Return how many descriptors the service manager stores for us (``FDSTORE``)."""
    text = os.environ.get("FDSTORE", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= 7
    return int(text) if is_number and notify_socket() is not None else 0


def watchdog_seconds() -> float | None:
    """Return after how many seconds of silence the service manager ends this process, or None."""
    text = os.environ.get("WATCHDOG_USEC", "")
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    is_number = text.isascii() and text.isdigit() and len(text) <= 15
    return int(text) / 1_000_000 if is_ours and is_number and int(text) else None
