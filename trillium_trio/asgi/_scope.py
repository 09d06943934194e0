"""The scope of a request or a WebSocket: what ASGI says about it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..conn import located, mounted_prefix, split_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..conn import Conn
    from ..transport import Transport
    from ._types import Scope

__all__ = ["SPEC_VERSION", "http_scope", "websocket_scope"]

SPEC_VERSION = "2.5"

# Copied for each request, and no deeper: what an extension says of itself is for reading.
_HTTP_EXTENSIONS: dict[str, object] = {
    "http.response.trailers": {},
    "http.response.pathsend": {},
    "http.response.early_hint": {},
}
_TLS_VERSIONS = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def http_scope(conn: Conn, *, root_path: str, state: Mapping[str, object] | None) -> Scope:
    """Return the scope of a request.

    Args:
      conn: The request.
      root_path: In front of the paths that the server gets or could get, without a slash at its
        end. A router's mount is added to it.
      state: What the lifespan left; copied. None: there was none.
    """
    head = conn.head
    transport = conn.transport
    raw_path, query = split_target(head)
    path, prefix = raw_path, mounted_prefix(conn)
    if root_path or prefix or "%" in path or path == "*":
        # The asterisk of OPTIONS stands for the server.
        path = "/" if path == "*" else _decoded(path)
        root_path, path = located(path, root_path, _decoded(prefix))
    listener = transport.listener
    address = transport.server_address
    # A wrapped stream knows more about itself than its listener does.
    is_secure = listener.is_tls or transport.is_secure
    extensions = _HTTP_EXTENSIONS.copy()
    extensions["trillium.shutdown"] = conn.swansong
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
        "http_version": head.version,
        "method": head.method.upper(),
        "scheme": "https" if conn.is_secure else "http",
        "path": path,
        "raw_path": raw_path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": root_path,
        "headers": head.raw_headers,
        "client": conn.peer_address,
        "server": (address, None) if type(address) is str else address,
        "extensions": extensions,
    }
    if state is not None:
        scope["state"] = dict(state)
    if is_secure:
        extensions["tls"] = _tls_facts(transport)
    return scope


def websocket_scope(conn: Conn, *, root_path: str, state: Mapping[str, object] | None) -> Scope:
    """Return the scope of a request that asks for a WebSocket; see `http_scope`."""
    scope = http_scope(conn, root_path=root_path, state=state)
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    del scope["method"]
    scope["subprotocols"] = [
        each.strip(" \t")
        for value in conn.request_headers.get_all("sec-websocket-protocol")
        for each in value.split(",")
        if each.strip(" \t")
    ]
    extensions = {
        "websocket.http.response": {},
        "trillium.shutdown": conn.swansong,
    }
    if "tls" in scope["extensions"]:
        extensions["tls"] = scope["extensions"]["tls"]
    scope["extensions"] = extensions
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
