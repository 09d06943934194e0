"""Who asks: `BasicAuth` (RFC 7617) and `BearerAuth` (RFC 6750)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, final

from ..conn import Handler, OnConn
from ..exceptions import ConfigError, Unauthorized

if TYPE_CHECKING:
    from ..conn import Conn, HasState

__all__ = ["BasicAuth", "BearerAuth"]

# Any: an identity is what the application makes of it.
VerifyPassword: TypeAlias = Callable[[str, str], Awaitable[Any]]
VerifyToken: TypeAlias = Callable[[str], Awaitable[Any]]


@final
class _Basic(OnConn, left_by="BasicAuth"):
    __slots__ = ("identity",)

    def __init__(self, identity: Any) -> None:  # Any: as above
        self.identity = identity


@final
class _Bearer(OnConn, left_by="BearerAuth"):
    __slots__ = ("identity",)

    def __init__(self, identity: Any) -> None:  # Any: as above
        self.identity = identity


@final
class BasicAuth(Handler):
    """Asks for a name and a password (RFC 7617); ``BasicAuth.of(conn)`` returns whose it is.

    Use it over TLS: a password is sent with every request, and not encrypted. An attempt costs
    nothing here; a `RateLimit` in front bounds how many there are.

    Args:
      verify: Passwords by name, or an async function of a name and a password. What the function
        returns is the identity; None or False refuses.
      realm: What the browser shows. Printable ASCII.

    Raises:
      ConfigError: The realm is wrong.
    """

    def __init__(
        self, verify: Mapping[str, str] | VerifyPassword, *, realm: str = "Restricted"
    ) -> None:
        self._verify = _passwords(verify) if isinstance(verify, Mapping) else verify
        self._challenge = f'Basic {_realm(realm)}, charset="UTF-8"'

    @staticmethod
    def of(conn: HasState) -> Any:  # Any: what `verify` has returned
        """Return the identity: what ``verify`` has returned, or the name.

        Raises:
          MisuseError: `BasicAuth` is not in front of the handler that asks.
        """
        return _Basic.of(conn).identity

    async def run(self, conn: Conn) -> Conn:
        """Verify the credentials, and leave the identity on the conn.

        Raises:
          Unauthorized: There are none, or wrong ones.

        Cancellation:
          That of ``verify``.
        """
        credentials = _decoded(_credentials(conn, "basic"))
        if credentials is None:
            raise Unauthorized(self._challenge, "no name and password")
        identity = await self._verify(*credentials)
        if identity is None or identity is False:
            raise Unauthorized(self._challenge, "a wrong name or password")
        return conn.with_state(_Basic(identity))


@final
class BearerAuth(Handler):
    """Asks for a token (RFC 6750); ``BearerAuth.of(conn)`` returns whose it is.

    Args:
      verify: Identities by token, or an async function of a token. What the function returns is
        the identity; None or False refuses.
      realm: Names what the token is for. Printable ASCII.

    Raises:
      ConfigError: The realm is wrong.
    """

    def __init__(
        self,
        verify: Mapping[str, Any] | VerifyToken,  # Any: as above
        *,
        realm: str = "Restricted",
    ) -> None:
        self._verify = _tokens(verify) if isinstance(verify, Mapping) else verify
        self._challenge = f"Bearer {_realm(realm)}"

    @staticmethod
    def of(conn: HasState) -> Any:  # Any: what `verify` has returned
        """Return the identity: what ``verify`` has returned, or the value of the token.

        Raises:
          MisuseError: `BearerAuth` is not in front of the handler that asks.
        """
        return _Bearer.of(conn).identity

    async def run(self, conn: Conn) -> Conn:
        """Verify the token, and leave the identity on the conn.

        Raises:
          Unauthorized: There is none, or a wrong one.

        Cancellation:
          That of ``verify``.
        """
        token = _credentials(conn, "bearer")
        if not token:
            raise Unauthorized(self._challenge, "no token")
        identity = await self._verify(token)
        if identity is None or identity is False:
            raise Unauthorized(f'{self._challenge}, error="invalid_token"', "a wrong token")
        return conn.with_state(_Bearer(identity))


def _credentials(conn: Conn, scheme: str) -> str | None:
    """Return what follows the scheme in Authorization, if there is one such field."""
    fields = conn.request_headers.get_all("authorization")
    if len(fields) != 1:
        return None
    given, _, credentials = fields[0].partition(" ")
    # The scheme is case-insensitive (RFC 9110, 11.1).
    return credentials.strip(" ") if given.lower() == scheme else None


def _decoded(credentials: str | None) -> tuple[str, str] | None:
    """Return name and password, or None if they are not what RFC 7617 has."""
    if credentials is None:
        return None
    try:
        text = base64.b64decode(credentials.encode("ascii"), validate=True).decode()
    except (binascii.Error, UnicodeError):
        return None
    name, colon, password = text.partition(":")
    return (name, password) if colon else None


def _passwords(passwords: Mapping[str, str]) -> VerifyPassword:
    known = {name.encode(): (password.encode(), name) for name, password in passwords.items()}

    async def verify(name: str, password: str) -> str | None:
        # An unknown name takes as long as a wrong password.
        expected, identity = known.get(name.encode(), (b"", None))
        is_right = hmac.compare_digest(expected, password.encode())
        return identity if is_right and identity is not None else None

    return verify


def _tokens(tokens: Mapping[str, Any]) -> VerifyToken:  # Any: as above
    known = [(token.encode(), identity) for token, identity in tokens.items()]

    async def verify(token: str) -> Any:  # Any: as above
        given = token.encode()
        found = None
        # All of them, so that the time says nothing about which one it was.
        for expected, identity in known:
            if hmac.compare_digest(expected, given):
                found = identity
        return found

    return verify


def _realm(realm: str) -> str:
    if not (realm.isascii() and realm.isprintable()):
        raise ConfigError(f"a realm is printable ASCII, and {realm!r} is not")
    escaped = realm.replace("\\", "\\\\").replace('"', '\\"')
    return f'realm="{escaped}"'
