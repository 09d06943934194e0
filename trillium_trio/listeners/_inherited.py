"""Listening sockets from outside: by number, or by the environment (sd_listen_fds(3))."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

from .._log import SafeLogger
from ..exceptions import BindError, ConfigError
from ..transport import Listener

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

    import trio

logger = SafeLogger("trillium_trio.listeners")

_FIRST_FD = 3  # SD_LISTEN_FDS_START
# As many as Linux lets a process have (fs.nr_open); it bounds the list that LISTEN_FDS asks for.
_MAX_FDS = 1_048_576
# The names of sockets that a supervisor has stored begin like this; see `SharedSockets.storable`.
STORED = "trillium_trio["


def inherited_fds(environ: Mapping[str, str] | None = None) -> list[tuple[int, str]]:
    """List the descriptors that the environment names, with their names or ``""``.

    ``LISTEN_FDS`` counts if ``LISTEN_PID`` is this process: child processes inherit the variables,
    but not the descriptors. Otherwise ``LISTEN_FD``, as in trillium, is the number of one. Those of
    `take_stored` are left out.

    Args:
      environ: Default: ``os.environ``.

    Raises:
      ConfigError: It names none, or a variable is not a number or too large.
    """
    environ = os.environ if environ is None else environ
    fds = [(fd, name) for fd, name in _listed(environ) if not name.startswith(STORED)]
    if not fds:
        found = ", ".join(
            f"{name} is {environ[name]!r}" if name in environ else f"{name} is not set"
            for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FD")
        )
        raise ConfigError(f"no inherited sockets for process {os.getpid()}: {found}")
    return fds


def take_stored(
    environ: MutableMapping[str, str] | None = None,
) -> dict[str, list[socket.socket]]:
    """Take the listening sockets that a supervisor has stored with the service manager, by name.

    If there are no other descriptors, the variables are removed: nothing else is inherited.

    Args:
      environ: Default: ``os.environ``.
    """
    environ = os.environ if environ is None else environ
    try:
        listed = _listed(environ)
    except ConfigError:
        return {}  # `inherited_fds` raises it when somebody asks.
    stored: dict[str, list[socket.socket]] = {}
    for fd, name in listed:
        if name.startswith(STORED):
            socks = stored.setdefault(name, [])
            try:
                socks.append(adopt_fd(fd))
            except BindError as error:
                logger.warning("%s: %s", name, error.strerror)
    if stored and all(name.startswith(STORED) for _, name in listed):
        for variable in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
            environ.pop(variable, None)
    return stored


def drop_stored() -> None:
    """Close what `take_stored` would take: this process comes after a supervisor, and is none."""
    for socks in take_stored().values():
        close_for_all(socks)


def close_for_all(socks: Iterable[socket.socket]) -> None:
    """Close listening sockets that other processes hold as well: nobody listens any more.

    The service manager removes what nobody listens to from its store (sd_notify(3)).
    """
    for each in socks:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def _listed(environ: Mapping[str, str]) -> list[tuple[int, str]]:
    if "LISTEN_FDS" in environ and environ.get("LISTEN_PID") == str(os.getpid()):
        names = environ.get("LISTEN_FDNAMES", "").split(":")
        count = _number(environ, "LISTEN_FDS")
        names += [""] * (count - len(names))
        return [(_FIRST_FD + index, names[index]) for index in range(count)]
    if "LISTEN_FD" in environ:
        return [(_number(environ, "LISTEN_FD"), "")]
    return []


def _number(environ: Mapping[str, str], variable: str) -> int:
    text = environ[variable]
    # Length first: int() raises ValueError for thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and int(text) <= _MAX_FDS):
        raise ConfigError(
            f"{variable}={text!r} in the environment is not a number up to {_MAX_FDS}"
        )
    return int(text)


def adopt_fd(fd: int) -> socket.socket:
    """Make a socket object of an inherited descriptor, close-on-exec.

    Raises:
      BindError: It is not a listening stream socket. It stays open, because it is then something
        else, perhaps the log.
    """
    try:
        sock = socket.socket(fileno=fd)
    except OSError as exc:
        raise BindError(exc.errno or errno.EBADF, exc.strerror or str(exc), f"fd:{fd}") from exc
    except (OverflowError, ValueError) as exc:  # Negative, or larger than any.
        raise BindError(errno.EBADF, str(exc), f"fd:{fd}") from exc
    try:
        check_listening(sock, f"fd:{fd}")
    except BindError:
        sock.detach()
        raise
    sock.set_inheritable(False)
    return sock


def check_listening(sock: socket.socket, shown: str) -> None:
    """Check that it is a listening TCP or unix stream socket.

    Raises:
      BindError: ``EINVAL``; the message says what it is instead.
    """
    if sock.family not in {socket.AF_INET, socket.AF_INET6, socket.AF_UNIX}:
        reason = f"it is a socket of family {sock.family!r}, not TCP or unix"
    elif sock.type != socket.SOCK_STREAM:
        reason = f"it is a {sock.type!r} socket, not a stream socket"
    elif not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        reason = "it does not listen; call listen() first"
    else:
        return
    raise BindError(errno.EINVAL, reason, shown)


def facts_of(
    sock: socket.socket | trio.socket.SocketType, *, is_tls: bool, name: str = ""
) -> Listener:
    """Read the facts of a bound socket from the socket itself."""
    address = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        # bytes: an abstract name, which begins with NUL (unix(7)).
        path = address if isinstance(address, str) else os.fsdecode(address)
        return Listener(kind="unix", address=path.replace("\0", "@", 1), is_tls=is_tls, name=name)
    return Listener(kind="tcp", address=address[:2], is_tls=is_tls, name=name)
