"""Which hosts are served, and over what: `Host` and `RedirectHttps`."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ..conn import Handler
from ..exceptions import BadRequest, ConfigError, HttpError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..conn import Conn

__all__ = ["Host", "RedirectHttps"]


@final
class Host(Handler):
    """Refuses requests for other hosts than these with 421 (RFC 9110, 15.5.20).

    A service that builds links from the host, or whose responses a cache keeps, needs it: the host
    is what the client says.

    Args:
      allowed: Names without port, such as ``"example.com"``; ``"*.example.com"`` is each host
        below it, and not the host itself. An IPv6 address is in brackets.

    Raises:
      ConfigError: There is none, or one has a port or a wildcard elsewhere.
    """

    def __init__(self, *allowed: str) -> None:
        if not allowed:
            raise ConfigError("Host needs the names that are served")
        self._names = frozenset(each.lower() for each in allowed if not each.startswith("*."))
        self._suffixes = tuple(each[1:].lower() for each in allowed if each.startswith("*."))
        for each in (*self._names, *self._suffixes):
            if "*" in each or _without_port(each) != each:
                raise ConfigError(f"Host: {each!r} is no name of a host")

    async def run(self, conn: Conn) -> Conn:
        """Pass on a request for one of the hosts.

        Raises:
          HttpError: 421: it is for another one, or for none.

        Cancellation:
          None: it does not wait.
        """
        host = _without_port(conn.host or "").lower().removesuffix(".")
        if host in self._names or host.endswith(self._suffixes):
            return conn
        raise HttpError(421, f"the host {host!r} is not served here")

    @property
    def name(self) -> str:
        """Host and the names."""
        return f"Host({', '.join([*sorted(self._names), *(f'*{s}' for s in self._suffixes)])})"


@final
class RedirectHttps(Handler):
    """Redirects requests over plain HTTP to the same URL over HTTPS (RFC 9110, 4.2.2).

    The host is that of the request, so put a `Host` in front. Behind a proxy that ends TLS, the
    proxy's fields have to be read first, or every request is redirected for ever.

    Args:
      port: Of the HTTPS URLs.
      status: 308 keeps the method and the body; 301 lets clients change a POST to a GET.
      exempt: Paths, and everything below them, that are served over plain HTTP: by default the
        challenges of ACME (RFC 8555, 8.3).

    Raises:
      ConfigError: The port or the status is wrong.
    """

    def __init__(
        self,
        *,
        port: int = 443,
        status: int = 308,
        exempt: Iterable[str] = ("/.well-known/acme-challenge",),
    ) -> None:
        if not 0 < port < 65_536:
            raise ConfigError(f"RedirectHttps: {port!r} is no port")
        if status not in {301, 302, 303, 307, 308}:
            raise ConfigError(f"RedirectHttps: {status!r} is no status of a redirect")
        self._port = "" if port == 443 else f":{port}"
        self._status = status
        self._exempt = tuple(path.rstrip("/") for path in exempt)

    async def run(self, conn: Conn) -> Conn:
        """Redirect, unless the request came over TLS.

        Raises:
          BadRequest: It names no host.

        Cancellation:
          None: it does not wait.
        """
        if conn.is_secure or self._is_exempt(conn.path):
            return conn
        host = _without_port(conn.host or "")
        if not host:
            raise BadRequest("a request without a host cannot be redirected")
        query = f"?{conn.querystring}" if conn.querystring else ""
        return conn.redirect(f"https://{host}{self._port}{conn.path}{query}", self._status)

    def _is_exempt(self, path: str) -> bool:
        return any(path == each or path.startswith(f"{each}/") for each in self._exempt)


def _without_port(host: str) -> str:
    """Return a host without its port; an IPv6 address has brackets."""
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdigit() or not port) else host
