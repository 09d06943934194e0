"""Bind specifications: where to listen, as plain values and as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, final

from ..exceptions import ConfigError

if TYPE_CHECKING:
    import socket
    import ssl

    import trio

    from ..http import Networks
    from ._balance import Share

_MAX_PORT = 65535
# host:port. An IPv6 host, with its zone, is in brackets: otherwise its last group reads as a port.
# Only IPv6 is: "[unix]:80" would be shown as "unix:80", which means a socket file.
_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[^\[\]/\s]+)?)\]|(?P<host>[^\[\]:/\s]*))"
    r":(?P<port>[0-9]{1,5})"
)
# No descriptor has more digits, and int() raises ValueError for thousands of them.
_NUMBER = re.compile(r"[0-9]{1,9}")


@final
@dataclass(frozen=True, slots=True)
class TcpBind:
    """A TCP address. An empty host means all interfaces; port 0 any free port."""

    host: str
    port: int


@final
@dataclass(frozen=True, slots=True)
class UnixBind:
    """A unix socket file, with these permission bits if given."""

    path: str
    mode: int | None = None


@final
@dataclass(frozen=True, slots=True)
class FdBind:
    """A listening socket that this process inherited, by its number."""

    fd: int
    name: str = ""


@final
@dataclass(frozen=True, slots=True)
class EnvBind:
    """The listening sockets that ``LISTEN_FDS`` or ``LISTEN_FD`` name; at least one."""


@final
@dataclass(frozen=True, slots=True)
class PreboundBind:
    """A listener that the application created. `open_listeners` takes ownership.

    Attributes:
      listener: Any listener of trio, or a socket that listens.
      name: For the log. Default: its address.
      is_owned: Empty the queue of a socket at the drain, as that of one that we created.
      share: Of this process, if others accept from the socket as well.
    """

    listener: trio.abc.Listener[trio.abc.Stream] | socket.socket
    name: str = ""
    is_owned: bool = False
    share: Share | None = None


AddressBind: TypeAlias = TcpBind | UnixBind | FdBind | EnvBind | PreboundBind
"""A bind specification without layers around it."""


@final
@dataclass(frozen=True, slots=True)
class ProxyBind:
    """The PROXY protocol on another address: each connection begins with a proxy's header.

    It precedes TLS, so `TlsBind` is around it. Peers outside of ``trust`` are turned away.
    """

    inner: AddressBind
    trust: Networks


@final
@dataclass(frozen=True, slots=True)
class TlsBind:
    """TLS on another address."""

    inner: AddressBind | ProxyBind
    ssl_context: ssl.SSLContext


Bind: TypeAlias = AddressBind | ProxyBind | TlsBind
"""Every bind specification."""


def parse_bind(spec: str | int) -> TcpBind | UnixBind | FdBind:
    """Parse a bind specification.

    Args:
      spec: ``"127.0.0.1:8080"``, ``"localhost:0"``, ``"[::1]:8080"``, ``":8080"`` (all
        interfaces), ``8080`` or ``"8080"`` (all IPv4 interfaces, as in trillium), ``"unix:/run/x"``
        or a path that begins with ``/`` or ``.``, ``"fd:3"`` or ``"fd://3"``.

    Raises:
      ConfigError: It is none of these; the message lists them.
    """
    text = str(spec)
    if _NUMBER.fullmatch(text) and int(text) <= _MAX_PORT:
        return TcpBind("0.0.0.0", int(text))  # noqa: S104 (documented, and requested)
    if text.startswith(("/", ".")):
        return UnixBind(text)
    scheme, _, rest = text.partition(":")
    if scheme == "unix" and rest:
        return UnixBind(rest)
    number = rest.removeprefix("//")
    if scheme == "fd" and _NUMBER.fullmatch(number):
        return FdBind(int(number))
    match = _HOST_AND_PORT.fullmatch(text)
    if scheme not in {"unix", "fd"} and match and int(match["port"]) <= _MAX_PORT:
        return TcpBind(match["ipv6"] or match["host"], int(match["port"]))
    raise ConfigError(
        f"cannot listen on {spec!r}: expected HOST:PORT with a port up to {_MAX_PORT}, "
        "[IPV6]:PORT, :PORT, PORT, unix:PATH, /PATH or fd:NUMBER"
    )
