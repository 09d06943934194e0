"""Who may ask: by the listeners, the Host, the token, and for actions the origin."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, final

from ...exceptions import ConfigError, HttpError, Unauthorized
from ...http import is_same_origin, parse_ip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...conn import Conn
    from ...transport import Listener

__all__ = ["Access"]

_LEAST_CHARS = 16


@final
class Access:
    """Decides who may ask.

    Args:
      token: The secret, or None.
      hosts: Names that Host may have, besides ``localhost`` and addresses.
      actions: Whether anything can be done.

    Raises:
      ConfigError: The token is too short.
    """

    def __init__(self, token: str | None, hosts: Iterable[str], *, actions: bool) -> None:
        if token is not None and len(token) < _LEAST_CHARS:
            raise ConfigError(f"Admin.token must have at least {_LEAST_CHARS} characters")
        self._token = None if token is None else token.encode()
        self._hosts = {"localhost", *(each.lower() for each in hosts)}
        self._actions = actions

    def check_listeners(self, listeners: tuple[Listener, ...]) -> None:
        """Check that without a token nobody else can connect.

        Raises:
          ConfigError: Others could.
        """
        if self._token is not None:
            return
        for each in listeners:
            if each.kind == "unix":
                continue  # its mode says who may connect
            if not _is_loopback(each.address[0]):
                raise ConfigError(
                    f"Admin on {each} can be reached from other machines: give it a token, or "
                    "bind it to 127.0.0.1 or a unix socket"
                )
            if self._actions:
                raise ConfigError(
                    f"Admin on {each} with actions: every user of this machine could drain the "
                    "service; give it a token, or bind it to a unix socket"
                )

    def check_host(self, conn: Conn) -> None:
        """Check that no page of another site asks by a name that it has turned to this address.

        Raises:
          HttpError: 421: the Host is no address and none of the names.
        """
        # No browser leaves it out, but the health checks of some balancers do (HTTP/1.0).
        if conn.head.host is None:
            return
        # A name can be turned to any address, an address cannot.
        host = conn.head.host.lower()
        name = host if host.endswith("]") or host.count(":") != 1 else host.partition(":")[0]
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        if name not in self._hosts and not _is_ip(name):
            raise HttpError(421, f"Admin: the host {host!r} is none of Admin.hosts")

    def check_token(self, conn: Conn) -> None:
        """Check the token: as a bearer token, or as a password with any name, for browsers.

        Raises:
          Unauthorized: It is missing or wrong.
        """
        if self._token is None:
            return
        # All of it takes as long for a wrong token as for the right one.
        if not hmac.compare_digest(self._token, _given(conn)):
            raise Unauthorized('Basic realm="Admin", charset="UTF-8"', "no token, or a wrong one")

    def check_origin(self, conn: Conn) -> None:
        """Check that no page of another origin has sent an action.

        Raises:
          HttpError: 403: one has.
        """
        sites = conn.request_headers.get_all("sec-fetch-site")
        origins = conn.request_headers.get_all("origin")
        if sites not in ([], ["same-origin"], ["none"]):
            raise HttpError(403, f"Admin: a page of another origin: {', '.join(sites)!r}")
        for each in origins:
            if not is_same_origin(each, host=conn.head.host, is_secure=conn.is_secure):
                raise HttpError(403, f"Admin: a page of another origin: {each!r}")


def _given(conn: Conn) -> bytes:
    fields = conn.request_headers.get_all("authorization")
    scheme, _, rest = fields[0].partition(" ") if len(fields) == 1 else ("", "", "")
    match scheme.lower():
        case "bearer":
            return rest.strip(" ").encode()
        case "basic":
            try:
                decoded = base64.b64decode(rest.strip(" ").encode(), validate=True)
            except (binascii.Error, ValueError):
                return b""
            return decoded.partition(b":")[2]
        case _:
            return b""


def _is_ip(text: str) -> bool:
    try:
        parse_ip(text)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return parse_ip(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
