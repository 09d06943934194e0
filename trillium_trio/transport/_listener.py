"""What is known about a listener: a plain value, passed along with each of its transports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

# A wildcard address cannot be connected to everywhere; the loopback address of its family can.
_LOOPBACK_OF_WILDCARD = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (a key)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """The facts of one listener.

    Attributes:
      kind: The address family, as far as users care.
      address: ``(host, port)`` of a TCP listener as bound, never with port 0; the path of a unix
        one, with ``@`` for the NUL of an abstract name.
      is_tls: Whether its connections are encrypted.
      name: As shown in logs. Default: ``http://127.0.0.1:8080``, ``unix:/run/x``.
    """

    kind: Literal["tcp", "unix"]
    address: tuple[str, int] | str
    is_tls: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self._render())

    @property
    def url(self) -> str:
        """The address as a client on this machine would write it.

        A wildcard address is shown as the loopback address of its family. A unix listener has no
        URL of its own and shows ``unix:/run/x``.
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
    """Write an address the way URLs do: IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
