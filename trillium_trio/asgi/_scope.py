"""The scope of a request or a WebSocket: what ASGI says about it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, final
from urllib.parse import unquote

from ..conn import Client, Mounted, located, split_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..conn import Conn
    from ..transport import Transport
    from ._types import Scope

__all__ = ["SPEC_VERSION", "ConnectionFacts", "http_scope", "websocket_scope"]

SPEC_VERSION = "2.5"

_NOTHING: dict[str, object] = {}
_TLS_VERSIONS = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


@final
class ConnectionFacts:
    """What the scopes of a connection's requests have in common, found out once.

    Args:
      conn: The first request.
    """

    __slots__ = ("client", "extensions", "scheme", "server")

    def __init__(self, conn: Conn) -> None:
        transport = conn.transport
        address = transport.server_address
        is_secure = transport.is_secure
        self.client: tuple[str, int] | None = transport.peer_address
        self.server: tuple[str, int | None] = (
            (address, None) if isinstance(address, str) else address
        )
        self.scheme: str = "https" if is_secure else "http"
        # Those of HTTP. What one says of itself is for reading: it is the same in all scopes.
        self.extensions: dict[str, object] = {
            "http.response.trailers": _NOTHING,
            "http.response.pathsend": _NOTHING,
            "http.response.early_hint": _NOTHING,
            "trillium.shutdown": conn.swansong,
        }
        if is_secure:
            self.extensions["tls"] = _tls_facts(transport)


def http_scope(
    conn: Conn, facts: ConnectionFacts, root_path: str, state: Mapping[str, object] | None
) -> Scope:
    """Return the scope of a request.

    Args:
      conn: The request.
      facts: Of its connection.
      root_path: In front of the paths that the server gets or could get, without a slash at its
        end. A router's mount is added to it.
      state: What the lifespan left; copied. None: there was none.
    """
    head = conn.head
    raw_path, query = split_target(head)
    path = raw_path
    mounted, client = conn.states(Mounted, Client)
    if root_path or mounted is not None or "%" in path or path == "*":
        # The asterisk of OPTIONS stands for the server.
        path = "/" if path == "*" else _decoded(path)
        prefix = "" if mounted is None else _decoded(mounted.prefix)
        root_path, path = located(path, root_path, prefix)
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
        "http_version": head.version,
        "method": head.method.upper(),
        "scheme": facts.scheme if client is None else client.scheme,
        "path": path,
        "raw_path": raw_path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": root_path,
        "headers": head.raw_headers,
        "client": facts.client if client is None else client.address,
        "server": facts.server,
        "extensions": facts.extensions.copy(),
    }
    if state is not None:
        scope["state"] = dict(state)
    return scope


def websocket_scope(
    conn: Conn, facts: ConnectionFacts, root_path: str, state: Mapping[str, object] | None
) -> Scope:
    """Return the scope of a request that asks for a WebSocket; see `http_scope`."""
    scope = http_scope(conn, facts, root_path, state)
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    del scope["method"]
    scope["subprotocols"] = [
        each.strip(" \t")
        for value in conn.request_headers.get_all("sec-websocket-protocol")
        for each in value.split(",")
        if each.strip(" \t")
    ]
    scope["extensions"] = {
        "websocket.http.response": _NOTHING,
        **{name: each for name, each in facts.extensions.items() if not name.startswith("http.")},
    }
    return scope


def _decoded(path: str) -> str:
    # Bytes that are not UTF-8 are replaced; ``raw_path`` has them.
    return unquote(path, errors="replace") if "%" in path else path


def _tls_facts(transport: Transport) -> dict[str, object]:
    """Return the extension ``tls``: every key is there, and what is unknown is None."""
    facts: dict[str, object] = {
        "server_cert": None,
        "client_cert_chain": (),
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": None,
        "cipher_suite": None,
    }
    tls = transport.tls
    if tls is None:
        return facts
    facts["tls_version"] = _TLS_VERSIONS.get(tls.version() or "")
    facts["cipher_suite"] = _cipher_suite(tls)
    der = tls.getpeercert(binary_form=True)
    if der is not None:
        facts["client_cert_chain"] = (ssl.DER_cert_to_PEM_cert(der),)
        facts["client_cert_name"] = _subject(tls.getpeercert() or {})
    return facts


def _cipher_suite(tls: ssl.SSLObject | ssl.SSLSocket) -> int | None:
    """Return the number of the cipher suite in use (RFC 8446, B.4)."""
    used = tls.cipher()
    if used is None:
        return None
    for each in tls.context.get_ciphers():
        if each["name"] == used[0]:
            # OpenSSL's id has its protocol in the upper half.
            return int(each["id"]) & 0xFFFF
    return None


# RFC 4514, 3.
_SHORT = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}


def _subject(certificate: Mapping[str, object]) -> str | None:
    """Return a certificate's subject as RFC 4514 writes it: the most specific part first."""
    subject = certificate.get("subject")
    if not isinstance(subject, tuple):
        return None
    parts = [
        "+".join(f"{_SHORT.get(name, name)}={_escaped(value)}" for name, value in each)
        for each in subject
    ]
    return ",".join(reversed(parts))


def _escaped(value: str) -> str:
    return "".join(f"\\{each}" if each in ',+"\\<>;' else each for each in value)
