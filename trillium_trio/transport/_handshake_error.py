"""Why a TLS handshake failed, in words that distinguish the causes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, final

from ..exceptions import ClientDisconnected

if TYPE_CHECKING:
    import ssl

    from ._transport import Transport

# The first bytes of plain HTTP requests.
_METHODS = ("GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ")
OPENING_BYTES = max(map(len, _METHODS))

# OpenSSL's names of the most frequent errors. It has about 500, readable enough with spaces.
_WORDS = {
    "HTTP_REQUEST": "what came is not TLS",
    "HTTPS_PROXY_REQUEST": "what came is not TLS",
    "WRONG_VERSION_NUMBER": "what came is not TLS",
    "UNSUPPORTED_PROTOCOL": "the client offers only old versions of TLS",
    "VERSION_TOO_LOW": "the client offers only old versions of TLS",
    "NO_SHARED_CIPHER": "no shared cipher",
}
_ALERT = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_")


@final
class HandshakeError(ClientDisconnected):
    """The TLS handshake failed. The alert has been sent to the peer.

    Attributes:
      below: The transport below TLS: still open; close it politely, so that the alert arrives.
      is_http: The peer sent a plain HTTP request. No alert was sent.
    """

    def __init__(self, reason: str, below: Transport, *, is_http: bool) -> None:
        super().__init__(reason)
        self.below = below
        self.is_http = is_http


def reason_of(error: ssl.SSLError) -> str:
    """Return the reason of an OpenSSL error in words."""
    reason = error.reason or str(error)
    if alert := _ALERT.match(reason):
        return f"the client refuses: {_spaced(reason[alert.end() :])}"
    return _WORDS.get(reason) or _spaced(reason)


def is_http_request(opening: bytes) -> bool:
    """Whether the first bytes of a connection, even if incomplete, begin an HTTP request."""
    text = opening.decode("latin-1")
    return bool(text) and any(text.startswith(each[: len(text)]) for each in _METHODS)


def _spaced(name: str) -> str:
    return name.lower().replace("_", " ")
