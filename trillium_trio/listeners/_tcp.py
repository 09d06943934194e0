"""Binding TCP addresses: all addresses of a name, one port on all of them."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import trio

from ..exceptions import BindError
from ..transport import host_and_port

if TYPE_CHECKING:
    from collections.abc import Sequence

# The port that the kernel chose on one address may be taken on another. Many failures in a row mean
# a shortage of ports, not bad luck.
_PORT_TRIES = 16

# The machine lacks this address or family, although the name resolves to it.
_LACKING = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


async def bind_tcp(host: str, port: int, *, backlog: int) -> list[socket.socket]:
    """Listen on every address that ``host`` resolves to and that this machine has (SV-3).

    Args:
      host: A name or address; empty for all interfaces, IPv4 and IPv6.
      port: 0 for a free one, the same on all addresses.
      backlog: How many connections the kernel may queue, per address.

    Raises:
      BindError: The name does not resolve, or an address cannot be bound. Nothing stays open.

    Cancellation:
      Nothing is bound.
    """
    shown = host_and_port(host, port)
    try:
        found = await trio.socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as exc:  # UnicodeError: IDNA, for a label that is too long.
        raise BindError(getattr(exc, "errno", None) or errno.EINVAL, str(exc), shown) from exc
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))

    for tries_left in reversed(range(_PORT_TRIES)):
        try:
            return _bind_all(addresses, port, backlog)
        except OSError as exc:
            if port == 0 and exc.errno == errno.EADDRINUSE and tries_left:
                continue
            raise BindError(exc.errno or errno.EINVAL, exc.strerror or str(exc), shown) from exc
    raise AssertionError("the last try returns or raises")


def _bind_all(
    addresses: Sequence[tuple[socket.AddressFamily, tuple[object, ...]]], port: int, backlog: int
) -> list[socket.socket]:
    bound: list[socket.socket] = []
    lacking: OSError | None = None
    try:
        for family, (ip, _, *scope) in addresses:
            try:
                bound.append(_bind_one(family, (ip, port, *scope), backlog))
            except OSError as exc:
                if exc.errno not in _LACKING:
                    raise
                lacking = exc
            else:
                port = bound[0].getsockname()[1]
        if not bound:
            raise lacking or OSError(errno.EADDRNOTAVAIL, "the name has no address")
    except BaseException:
        for sock in bound:
            sock.close()
        raise
    return bound


def _bind_one(
    family: socket.AddressFamily, address: tuple[object, ...], backlog: int
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of a server that has just ended stay in TIME_WAIT for a minute; without this
        # they would block its port. (It does not allow two listeners at once.)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Otherwise the system's configuration decides whether "::" takes the IPv4 port too.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock
