"""The facts of a listener: a plain value that each of its transports has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

if TYPE_CHECKING:
    from ..http import Networks

# Not every system can connect to a wildcard address; the loopback address of its family works.
_LOOPBACK_OF_WILDCARD = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (a key)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """The facts of one listener.

    Attributes:
      kind: The kind of its address.
      address: ``(host, port)`` of a TCP listener as bound, never with port 0; the path of a unix
        one, with ``@`` for the NUL of an abstract name.
      is_tls: Whether its connections are encrypted.
      proxy_protocol: The proxies whose connections begin with a header of the PROXY protocol; no
        other peer may connect. Default: there is no such header.
      name: As shown in logs. Default: ``http://127.0.0.1:8080``, ``unix:/run/x``.
    """

    kind: Literal["tcp", "unix"]
    address: tuple[str, int] | str
    is_tls: bool = False
    proxy_protocol: Networks | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self._render())

    @property
    def url(self) -> str:
        """The URL for a client on this machine.

        A wildcard address is shown as the loopback address of its family. A unix listener has no
        URL, and shows ``unix:/run/x``.
        """
        match self.address:
            case (host, port):
                loopback = _LOOPBACK_OF_WILDCARD.get(host, host)
                return Listener(kind="tcp", address=(loopback, port), is_tls=self.is_tls).name
            case _:
                return self._render()

    def _render(self) -> str:
        match self.address:
            case (host, port):
                scheme = "https" if self.is_tls else "http"
                return f"{scheme}://{host_and_port(host, port)}"
            case path:
                return f"unix:{path}"

    def __str__(self) -> str:
        return self.name


def host_and_port(host: str, port: int) -> str:
    """Return an address as in URLs: IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
