"""The handler: it believes what trusted proxies say of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, final

from ..._util import check_count
from ...conn import Client, Handler
from ...exceptions import BadRequest, ConfigError
from ...http import Networks
from ._fields import (
    MAX_ENTRIES,
    forwarded_hops,
    last_value,
    scheme_of,
    valid_host,
    x_forwarded_hops,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...conn import Conn, HasState
    from ._fields import Hop

__all__ = ["Forwarded"]

_HEADERS = ("auto", "forwarded", "x-forwarded")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_FIELDS = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-proto"})
_HOST_FIELDS = frozenset({"x-forwarded-host", "x-forwarded-port"})


@final
class Forwarded(Handler):
    """Finds the client behind trusted proxies: its address, scheme and host.

    For the handlers after it, `Conn.peer_ip`, `Conn.is_secure`, `Conn.host` and `Conn.url` are the
    client's; `of` returns all of it, with the proxies. So put it first. The log and the reports
    name the transport's peer. The request's fields stay as they are.

    The address is found from the right: the first that is in none of the trusted networks is the
    client. An entry that is malformed or hides its address ends the search; then the client is the
    last proxy that was found.

    Args:
      trust: The networks of the proxies, such as ``["10.0.0.0/8", "2001:db8::1"]``; ``"unix"`` for
        a proxy on a unix socket. ``"*"`` means that every peer is a proxy; the addresses that it
        names are proxies only if they are in the other networks. Default: nothing is trusted.
      hops: How many proxies there are, where their addresses are not known: the client is this
        entry from the right. With fewer entries, none is believed. Default: the networks decide.
      header: What the proxies write: ``"forwarded"`` (RFC 7239), or ``"x-forwarded"``:
        X-Forwarded-For and X-Forwarded-Proto. ``"auto"`` takes either; a request that has both,
        and in which they differ, is a 400: a client has sent what the proxies do not write.
      x_host: Whether to believe X-Forwarded-Host and X-Forwarded-Port as well. Only if the proxies
        set or remove both; otherwise the client chooses them.

    Raises:
      ConfigError: An argument is invalid.
    """

    def __init__(
        self,
        trust: Iterable[str] = (),
        *,
        hops: int | None = None,
        header: Literal["auto", "forwarded", "x-forwarded"] = "auto",
        x_host: bool = False,
    ) -> None:
        self._trust = Networks(trust, setting="Forwarded(trust)")
        if hops is not None:
            check_count("Forwarded(hops)", hops, least=1)
            if hops > MAX_ENTRIES:
                raise ConfigError(f"Forwarded(hops) must be at most {MAX_ENTRIES}, not {hops}")
        if header not in _HEADERS:
            raise ConfigError(f"Forwarded(header) must be one of {_HEADERS}, not {header!r}")
        self._hops = hops
        self._header = header
        self._fields = _FIELDS | _HOST_FIELDS if x_host else _FIELDS

    @staticmethod
    def of(conn: HasState) -> Client:
        """Return what is known of the client of this request; see `Client`.

        Raises:
          MisuseError: No `Forwarded` has run.
        """
        return Client.of(conn)

    async def run(self, conn: Conn) -> Conn:
        """Leave a `Client` on the conn.

        Raises:
          BadRequest: A trusted proxy has passed both kinds of fields, and they differ.

        Cancellation:
          None: it does not wait.
        """
        conn.insert_state(self._client(conn))
        return conn

    def _client(self, conn: Conn) -> Client:
        transport = conn.transport
        ip, port = transport.peer_address or (None, None)
        scheme = "https" if transport.is_secure else "http"
        peer = Client(ip=ip, port=port, scheme=scheme, host=None, chain=(ip or "unix",))
        if not self._trust.has_peer(ip):
            return peer
        fields = _joined(conn, self._fields)
        forwarded = fields.pop("forwarded", None)
        if self._header == "x-forwarded" or (self._header == "auto" and forwarded is None):
            return self._from_x_forwarded(conn, peer, fields)
        client = peer if forwarded is None else self._walk(peer, forwarded_hops(forwarded))
        if self._header == "auto" and fields:
            other = self._from_x_forwarded(conn, peer, fields)
            if _facts(client) != _facts(other):
                raise BadRequest(
                    "Forwarded and X-Forwarded differ: say with Forwarded(header=...) which one "
                    "the proxies write"
                )
        return client

    def _from_x_forwarded(self, conn: Conn, peer: Client, fields: dict[str, str]) -> Client:
        """Return what the fields say; each but the first counts with its rightmost value.

        A trusted proxy wrote that one, if the proxies write the field at all.
        """
        if not fields:
            return peer
        found = self._walk(peer, x_forwarded_hops(fields.get("x-forwarded-for", "")))
        scheme = scheme_of(last_value(fields.get("x-forwarded-proto", ""))) or found.scheme
        host = None
        if not _HOST_FIELDS.isdisjoint(fields):
            host = valid_host(last_value(fields.get("x-forwarded-host", "")))
            port = last_value(fields.get("x-forwarded-port", ""))
            host = _with_port(host or conn.head.host, port, scheme) or host
        return Client(ip=found.ip, port=found.port, scheme=scheme, host=host, chain=found.chain)

    def _walk(self, peer: Client, hops: Iterator[Hop | None]) -> Client:
        """Return the client, seen from the right."""
        ip, port, scheme, host, chain = peer.ip, peer.port, peer.scheme, None, peer.chain
        count = 0
        for hop in hops:
            if hop is None:
                break
            scheme, host = hop.scheme or peer.scheme, hop.host
            if hop.ip is None:
                break
            ip, port = str(hop.ip), hop.port
            chain = (ip, *chain)
            count += 1
            if count == self._hops or (self._hops is None and hop.ip not in self._trust):
                break
        if self._hops is not None and count != self._hops:
            return peer
        return Client(ip=ip, port=port, scheme=scheme, host=host, chain=chain)

    @property
    def name(self) -> str:
        """The trusted networks."""
        return f"Forwarded({self._trust})"


def _joined(conn: Conn, names: frozenset[str]) -> dict[str, str]:
    """Return the fields that proxies write; several lines are one list (RFC 9110, 5.3)."""
    fields: dict[str, str] = {}
    for name, value in conn.request_headers.items():
        key = name.lower()
        if key in names:
            fields[key] = f"{fields[key]}, {value}" if key in fields else value
    return fields


def _facts(client: Client) -> tuple[str | None, str, str | None]:
    return client.ip, client.scheme, client.host


def _with_port(host: str | None, port: str | None, scheme: str) -> str | None:
    """Return the host with another port, which is left out if it is the scheme's default."""
    if not host or port is None or not (port.isascii() and port.isdecimal()):
        return None
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return valid_host(name if port == _DEFAULT_PORTS[scheme] else f"{name}:{port}")
