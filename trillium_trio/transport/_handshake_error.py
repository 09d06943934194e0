"""Why there is no TLS, in words that tell one cause from another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, final

from ..exceptions import ClientDisconnected

if TYPE_CHECKING:
    import ssl

    from ._transport import Transport

# How plain HTTP requests begin.
_METHODS = ("GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ")
OPENING_BYTES = max(map(len, _METHODS))

# OpenSSL's names for what clients do most. It has some 500, readable enough with spaces.
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
    """The TLS handshake failed. The alert that says so to the peer has been sent.

    Attributes:
      below: What TLS was to be over: still open, and to be closed so that the alert arrives.
      is_http: What came is a plain HTTP request. No alert was sent.
    """

    def __init__(self, reason: str, below: Transport, *, is_http: bool) -> None:
        super().__init__(reason)
        self.below = below
        self.is_http = is_http


def reason_of(error: ssl.SSLError) -> str:
    """Say in words what OpenSSL complains about."""
    reason = error.reason or str(error)
    if alert := _ALERT.match(reason):
        return f"the client refuses: {_spaced(reason[alert.end() :])}"
    return _WORDS.get(reason) or _spaced(reason)


def is_http_request(opening: bytes) -> bool:
    """Whether the first bytes of a connection, perhaps only some, begin an HTTP request."""
    text = opening.decode("latin-1")
    return bool(text) and any(text.startswith(each[: len(text)]) for each in _METHODS)


def _spaced(name: str) -> str:
    return name.lower().replace("_", " ")
