"""What a worker asks for and gets: specifications, and sockets that another process holds.

.. code-block:: text

    worker, one of several                         holder, never accepts: `SharedSockets`
    shared_specs(config.binds())   --- specs ---->  SharedSockets.open(specs)
    receive_grant(Lines(sock))     <- descriptors - send_grant(sock, grant)
    bound_to_grant(binds, grant)

A specification is a list, which JSON can carry: ``["tcp", "localhost", 8080]``,
``["unix", "/run/x", null]``, ``["fd", 3, ""]``, ``["env"]``. Descriptors go over a unix socket
(SCM_RIGHTS, unix(7)).
"""

from __future__ import annotations

import array
import dataclasses
import errno
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, final

from ..exceptions import BindError, ConfigError
from ._bind import EnvBind, FdBind, PreboundBind, ProxyBind, TcpBind, TlsBind, UnixBind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._balance import Share
    from ._bind import Bind

__all__ = [
    "Lines",
    "SharedSocket",
    "Spec",
    "bound_to_grant",
    "receive_grant",
    "send_grant",
    "send_refusal",
    "shared_specs",
]

Spec: TypeAlias = "list[str | int | None]"

# Linux takes 253 descriptors a message (SCM_MAX_FD).
_FDS_AT_ONCE = 128
_CHUNK = 65_536


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSocket:
    """A listening socket.

    Attributes:
      sock: The socket; each process closes its own.
      spec: The number of the specification that it belongs to: a name has several addresses.
      name: Of an inherited one, or ``""``.
      is_owned: Whether the holder created it.
    """

    sock: socket.socket
    spec: int
    name: str = ""
    is_owned: bool = True

    def duplicate(self) -> SharedSocket:
        """Return one that can be closed by itself."""
        return dataclasses.replace(self, sock=self.sock.dup())


# -- specifications ----------------------------------------------------------------------------


def shared_specs(binds: Iterable[Bind]) -> list[Spec]:
    """Return the specifications for all but prebound listeners, which the worker has already."""
    return [spec for bind in binds if (spec := _spec_of(bind)) is not None]


def bound_to_grant(
    binds: Iterable[Bind], grant: Sequence[SharedSocket], share: Share | None = None
) -> list[Bind]:
    """Return the listeners with the sockets in place of their specifications.

    Args:
      binds: Of the configuration.
      grant: From `receive_grant`.
      share: Of this process, if others accept from the sockets at the same time.
    """
    found: list[Bind] = []
    number = 0
    for bind in binds:
        if _spec_of(bind) is None:
            found.append(bind)
            continue
        for each in grant:
            if each.spec == number:
                prebound = PreboundBind(each.sock, each.name, is_owned=each.is_owned, share=share)
                found.append(_wrapped_like(bind, prebound))
        number += 1
    return found


def _wrapped_like(bind: Bind, prebound: PreboundBind) -> Bind:
    """Return a listener with the layers of another."""
    match bind:
        case TlsBind(ProxyBind(_, trust), ssl_context):
            return TlsBind(ProxyBind(prebound, trust), ssl_context)
        case TlsBind(_, ssl_context):
            return TlsBind(prebound, ssl_context)
        case ProxyBind(_, trust):
            return ProxyBind(prebound, trust)
        case _:
            return prebound


def _spec_of(bind: Bind) -> Spec | None:
    match bind:
        case TcpBind(host, port):
            return ["tcp", host, port]
        case UnixBind(path, mode):
            # The holder may be in another folder.
            return ["unix", str(Path(path).absolute()), mode]
        case FdBind(fd, name):
            return ["fd", fd, name]
        case EnvBind():
            return ["env"]
        case TlsBind(inner, _) | ProxyBind(inner, _):
            return _spec_of(inner)
        case PreboundBind():
            return None


# -- on the way --------------------------------------------------------------------------------


def send_grant(sock: socket.socket, grant: Sequence[SharedSocket]) -> None:
    """Send duplicates of sockets.

    Args:
      sock: A unix socket; its buffer is empty, so that a non-blocking one takes the message.
      grant: From `SharedSockets.open`.

    Raises:
      OSError: The worker is gone.
    """
    facts = [(each.spec, each.name, each.is_owned) for each in grant]
    # The descriptors come with white space, which JSON allows, ahead of the answer.
    for start in range(0, len(grant), _FDS_AT_ONCE):
        fds = array.array("i", (each.sock.fileno() for each in grant[start:][:_FDS_AT_ONCE]))
        sock.sendmsg([b" "], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    sock.sendall(json.dumps({"granted": facts}).encode() + b"\n")


def send_refusal(sock: socket.socket, error: BindError | ConfigError) -> None:
    """Send the reason why there are no sockets.

    Raises:
      OSError: The worker is gone.
    """
    refused: list[object] = [0, str(error), None]
    if isinstance(error, BindError):
        reason = (error.strerror or "").removeprefix(f"cannot listen on {error.address}: ")
        refused = [error.errno, reason, error.address]
    sock.sendall(json.dumps({"refused": refused}).encode() + b"\n")


@final
class Lines:
    """Reads lines, and the descriptors that come with them, from a unix socket. Blocks.

    Args:
      sock: A blocking stream socket, from which nobody else reads.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._fds: list[int] = []

    def read(self) -> bytes:
        """Return a line, without its end; the empty string when the peer is gone."""
        while (end := self._buffer.find(b"\n")) < 0:
            try:
                data, fds, _, _ = socket.recv_fds(self._sock, _CHUNK, _FDS_AT_ONCE)
            except ConnectionError:
                return b""
            if not data:
                return b""
            self._buffer += data
            self._fds += fds
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def take_sockets(self) -> list[socket.socket]:
        """Return the sockets that have come so far, close-on-exec and non-blocking."""
        socks = [socket.socket(fileno=fd) for fd in self._fds]
        self._fds.clear()
        for each in socks:
            # recv_fds leaves them inheritable.
            each.set_inheritable(False)
            # They are already; but Python takes them for blocking ones, and would make them so for
            # all processes when one is duplicated.
            each.setblocking(False)
        return socks


def receive_grant(lines: Lines) -> list[SharedSocket]:
    """Block until the answer of `send_grant` or `send_refusal` has come.

    Raises:
      BindError: What `SharedSockets.open` raised; or there are too few free descriptors.
      ConfigError: The same.
      EOFError: The holder is gone.
    """
    line = lines.read()
    if not line:
        raise EOFError("the process that holds the listening sockets is gone")
    answer = json.loads(line)
    if "refused" in answer:
        number, reason, address = answer["refused"]
        raise ConfigError(reason) if address is None else BindError(number, reason, address)
    socks = lines.take_sockets()
    facts = answer["granted"]
    if len(socks) != len(facts):
        for each in socks:
            each.close()
        raise BindError(errno.EMFILE, os.strerror(errno.EMFILE), f"{len(facts)} shared sockets")
    return [
        SharedSocket(sock=each, spec=spec, name=name, is_owned=is_owned)
        for each, (spec, name, is_owned) in zip(socks, facts, strict=True)
    ]
