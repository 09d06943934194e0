"""Response fields that make browsers more careful."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, final

from .._util import check_count
from ..conn import Handler, OnConn
from ..exceptions import MisuseError
from ..http import Headers

if TYPE_CHECKING:
    from ..conn import Conn, HasState

__all__ = ["SecurityHeaders"]

_NONCE = "{nonce}"


@final
class _Nonce(OnConn, left_by="SecurityHeaders"):
    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value


@final
class SecurityHeaders(Handler):
    """Adds the response fields that every site should have; one that a response has is kept.

    Args:
      content_security_policy: What a page may load and run (CSP 3), such as
        ``"default-src 'self'; script-src 'nonce-{nonce}'"``. ``{nonce}`` becomes a new nonce for
        each response, which ``SecurityHeaders.of(conn)`` returns. None: no policy, which is the
        default because it depends on the page.
      frame_options: Who may show the page in a frame: ``"SAMEORIGIN"``, ``"DENY"``, or None.
      referrer_policy: What other sites learn of the page that links to them.
      opener_policy: Whether pages of other origins share the window (Cross-Origin-Opener-Policy).
      permissions_policy: What a page may use, such as ``"camera=(), geolocation=()"``.
      hsts: For how long browsers use TLS only (RFC 6797). Sent over TLS only. It cannot be taken
        back before: begin with an hour. Unit: seconds. None: no field, the default.
      hsts_subdomains: Whether that is for all hosts below this one as well.

    Raises:
      ConfigError: ``hsts`` is not a whole number.
      ValueError: A value cannot be sent.
    """

    def __init__(
        self,
        *,
        content_security_policy: str | None = None,
        frame_options: str | None = "SAMEORIGIN",
        referrer_policy: str | None = "strict-origin-when-cross-origin",
        opener_policy: str | None = "same-origin",
        permissions_policy: str | None = None,
        hsts: int | None = None,
        hsts_subdomains: bool = False,
    ) -> None:
        self._has_nonce = _NONCE in (content_security_policy or "")
        fields = {
            "content-security-policy": content_security_policy,
            "cross-origin-opener-policy": opener_policy,
            "permissions-policy": permissions_policy,
            "referrer-policy": referrer_policy,
            "x-content-type-options": "nosniff",
            "x-frame-options": frame_options,
        }
        # Checked here, and not for the first response.
        self._fields = Headers({name: value for name, value in fields.items() if value}).items()
        self._hsts = ""
        if hsts is not None:
            check_count("hsts", hsts, least=0)
            self._hsts = f"max-age={hsts}" + ("; includeSubDomains" if hsts_subdomains else "")

    @staticmethod
    def of(conn: HasState) -> str:
        """Return the nonce for this response: ``<script nonce="...">`` (CSP 3, 6.7.3).

        Raises:
          MisuseError: `SecurityHeaders` is not in front of the handler that asks, or its policy has
            no ``{nonce}``.
        """
        nonce = _Nonce.of(conn).value
        if not nonce:
            raise MisuseError("the policy of SecurityHeaders has no {nonce}")
        return nonce

    async def run(self, conn: Conn) -> Conn:
        """Leave a nonce on the conn.

        Cancellation:
          None: it does not wait.
        """
        return conn.with_state(_Nonce(_random() if self._has_nonce else ""))

    async def before_send(self, conn: Conn) -> Conn:
        """Add the fields that the response lacks.

        Cancellation:
          None: it does not wait.
        """
        headers = conn.response_headers
        for name, value in self._fields:
            if name in headers:
                continue
            if self._has_nonce and name == "content-security-policy":
                nonce = conn.state(_Nonce)
                # A handler in front of this one has answered: no page has the nonce, nor may one
                # guess it.
                value = value.replace(_NONCE, nonce.value if nonce else _random())  # noqa: PLW2901 (this response's)
            headers.set(name, value)
        if self._hsts and conn.is_secure and "strict-transport-security" not in headers:
            headers.set("strict-transport-security", self._hsts)
        return conn


def _random() -> str:
    # 128 bits, as the standard recommends.
    return secrets.token_urlsafe(16)
