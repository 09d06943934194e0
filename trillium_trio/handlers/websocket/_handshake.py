"""The opening handshake: decided from the request alone (RFC 6455, 4.2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from ...codec import connection_options
from ...http import is_same_origin
from ._codec import negotiate

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ...conn import Conn
    from ...http import Headers
    from ._codec import Extensions

__all__ = ["Accepted", "Refused", "accept_key", "shake_hands"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKENS = re.compile(r"[ \t]*,[ \t]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A handshake that is accepted: what the 101 says, and what was agreed upon."""

    fields: Mapping[str, str]
    subprotocol: str | None
    extensions: Extensions = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A handshake that is refused: status, fields, and why."""

    status: int
    reason: str
    fields: Mapping[str, str] = field(default_factory=dict)


def shake_hands(
    conn: Conn,
    *,
    subprotocols: Collection[str],
    origins: Collection[str] | None,
    compression: bool,
) -> Accepted | Refused:
    """Accept or refuse a request.

    Args:
      conn: The request.
      subprotocols: Those that the handler speaks.
      origins: The allowed ones, in lower case; ``"*"`` allows all. None: that of the request
        itself.
      compression: Whether to agree to it.
    """
    headers = conn.request_headers
    if not _wants_websocket(conn):
        return _upgrade_required("this is a WebSocket")
    if conn.method != "GET":
        return Refused(status=405, reason="a handshake is a GET", fields={"allow": "GET"})
    if headers.get_all("sec-websocket-version") != ["13"]:
        return _upgrade_required("the version is 13")
    key = _only(headers, "sec-websocket-key")
    if key is None or not _is_key(key):
        return Refused(status=400, reason="Sec-WebSocket-Key has to be 16 bytes in base64")
    if not _is_welcome(conn, origins):
        return Refused(status=403, reason="the origin is not allowed")
    offered = _offered_subprotocols(headers)
    if offered is None:
        return Refused(status=400, reason="Sec-WebSocket-Protocol has to be a list of tokens")
    try:
        agreed, extensions = (
            negotiate(headers.get_all("sec-websocket-extensions")) if compression else (None, ())
        )
    except ValueError:
        return Refused(status=400, reason="Sec-WebSocket-Extensions is malformed")
    # The client's order is its preference (RFC 6455, 4.1).
    subprotocol = next((each for each in offered if each in subprotocols), None)
    fields = {
        "upgrade": "websocket",
        "connection": "upgrade",
        "sec-websocket-accept": accept_key(key),
    }
    if subprotocol is not None:
        fields["sec-websocket-protocol"] = subprotocol
    if agreed is not None:
        fields["sec-websocket-extensions"] = agreed
    return Accepted(fields=fields, subprotocol=subprotocol, extensions=extensions)


def accept_key(key: str) -> str:
    """Return the ``Sec-WebSocket-Accept`` that answers a ``Sec-WebSocket-Key``."""
    digest = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def _upgrade_required(reason: str) -> Refused:
    fields = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"}
    return Refused(status=426, reason=reason, fields=fields)


def _wants_websocket(conn: Conn) -> bool:
    headers = conn.request_headers
    named = [
        token.lower()
        for value in headers.get_all("upgrade")
        for token in _TOKENS.split(value.strip(" \t"))
    ]
    return (
        conn.http_version == "1.1"
        and "upgrade" in connection_options(headers.get_all("connection"))
        and "websocket" in named
    )


def _offered_subprotocols(headers: Headers) -> list[str] | None:
    """Return the subprotocols that a client offers, or None if they are malformed."""
    offered = [
        token
        for value in headers.get_all("sec-websocket-protocol")
        for token in _TOKENS.split(value.strip(" \t"))
        if token
    ]
    return offered if all(map(_TOKEN.fullmatch, offered)) else None


def _only(headers: Headers, name: str) -> str | None:
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else None


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key.encode("ascii"), validate=True)) == 16
    except (UnicodeEncodeError, binascii.Error):
        return False


def _is_welcome(conn: Conn, origins: Collection[str] | None) -> bool:
    """Whether a page of the request's origin may connect, with the user's cookies.

    Only browsers send the field, and CORS does not cover WebSockets.
    """
    found = conn.request_headers.get_all("origin")
    if not found:
        return True
    if origins is not None:
        return "*" in origins or (len(found) == 1 and found[0].lower() in origins)
    return len(found) == 1 and is_same_origin(found[0], host=conn.host, is_secure=conn.is_secure)
