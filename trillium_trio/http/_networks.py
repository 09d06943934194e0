"""Networks of trusted peers, and IP addresses as other machines write them."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, TypeAlias, final

from ..exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["IpAddress", "Networks", "parse_ip"]

IpAddress: TypeAlias = IPv4Address | IPv6Address
"""An IP address of either version."""

# `ip_address` also takes a zone, which may have any characters; 45 is the longest IPv6 address.
_IP = re.compile(r"[0-9A-Fa-f:.]{2,45}")
# The peers of a server are few proxies, or many clients that are to be told from them.
_CACHED_PEERS = 1024
_MAPPED_BITS = 96


def parse_ip(text: str) -> IpAddress:
    """Parse an IP address without a zone; an IPv4 address that was mapped into IPv6 becomes IPv4.

    Raises:
      ValueError: It is not one. The message does not show it.
    """
    if not _IP.fullmatch(text):
        raise ValueError("not an IP address")
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError("not an IP address") from None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


@final
class Networks:
    """Networks whose peers are trusted, usually proxies. Immutable.

    Args:
      names: ``"10.0.0.0/8"``, ``"2001:db8::1"``; ``"unix"`` for peers without an IP address;
        ``"*"`` for every peer. One string may have several, separated by commas.
      setting: The name of the setting, for errors.

    Raises:
      ConfigError: A name is none of these. The message shows it and the setting.
    """

    __slots__ = ("_has_peer", "_names", "_networks", "_peers")

    def __init__(self, names: Iterable[str] | str, *, setting: str) -> None:
        if isinstance(names, str):
            names = [each for part in names.split(",") if (each := part.strip())]
        self._names = tuple(names)
        self._peers = {name for name in self._names if name in {"*", "unix"}}
        self._networks = [
            _network(name, setting) for name in self._names if name not in self._peers
        ]
        self._has_peer = lru_cache(_CACHED_PEERS)(self._look_up)

    def has_peer(self, ip: str | None) -> bool:
        """Whether a transport's peer is trusted.

        Args:
          ip: Its address, or None on a unix socket: `Transport.peer_ip`.
        """
        return self._has_peer(ip)

    def __contains__(self, address: IpAddress) -> bool:
        """Whether an address is in one of the networks; ``"*"`` is about peers and is none."""
        return any(address in network for network in self._networks)

    def __bool__(self) -> bool:
        return bool(self._names)

    def _look_up(self, ip: str | None) -> bool:
        if "*" in self._peers:
            return True
        if ip is None:
            return "unix" in self._peers
        try:
            # The system shows the zone of a link-local address.
            return parse_ip(ip.partition("%")[0]) in self
        except ValueError:
            return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self._names == other._names

    def __hash__(self) -> int:
        return hash(self._names)

    def __str__(self) -> str:
        return ",".join(self._names)

    def __repr__(self) -> str:
        return f"<Networks {self}>"


def _network(name: object, setting: str) -> IPv4Network | IPv6Network:
    try:
        if not isinstance(name, str):
            raise ValueError(f"it is a {type(name).__name__}")
        network = ip_network(name)
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped is not None and network.prefixlen >= _MAPPED_BITS:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    except ValueError as error:
        raise ConfigError(
            f"{setting}: {name!r} is no network: {error}; expected 10.0.0.0/8, 2001:db8::1, "
            "unix or *"
        ) from None
    return network
