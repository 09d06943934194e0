"""Cross-site request forgery: what pages of other origins have a browser send is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ..conn import Handler
from ..exceptions import ConfigError, HttpError
from ..http import is_same_origin, parse_origin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..conn import Conn

__all__ = ["Csrf"]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@final
class Csrf(Handler):
    """Refuses requests that a page of another origin has a browser send, with the user's cookies.

    No tokens are needed: the browser says itself where a request comes from, in Sec-Fetch-Site or,
    over plain HTTP and before 2023, in Origin. A client that sends neither is no browser, and has
    nobody's cookies but its own.

    Only GET, HEAD and OPTIONS are always passed on, so nothing may be changed by them. Put it in
    front of what cookies or addresses protect, behind `Forwarded` if there is a proxy. What other
    services call, such as a webhook, may stay behind it as well: they are no browsers.

    Args:
      trusted_origins: Whose pages may send requests all the same, such as
        ``"https://login.example.com"``.

    Raises:
      ConfigError: One is no origin: scheme://host, with :port if it has one.
    """

    def __init__(self, *, trusted_origins: Iterable[str] = ()) -> None:
        if isinstance(trusted_origins, str):
            raise ConfigError(f"Csrf: trusted_origins is a list, such as [{trusted_origins!r}]")
        self._trusted = {_parsed(each) for each in trusted_origins}

    async def run(self, conn: Conn) -> Conn:
        """Pass the request on, or refuse it.

        Raises:
          HttpError: 403: a page of another origin has sent it. Answerable.

        Cancellation:
          None: it does not wait.
        """
        if conn.method in _SAFE_METHODS:
            return conn
        sites = conn.request_headers.get_all("sec-fetch-site")
        if sites in (["same-origin"], ["none"]):
            return conn
        origins = conn.request_headers.get_all("origin")
        if not sites and not origins:
            return conn
        # A browser sends each field once.
        origin = origins[0] if len(origins) == 1 else ""
        if parse_origin(origin) in self._trusted:
            return conn
        if not sites and is_same_origin(origin, host=conn.host, is_secure=conn.is_secure):
            return conn
        asked = f"Sec-Fetch-Site {', '.join(sites)!r}, " if sites else ""
        raise HttpError(
            403,
            f"a page of another origin has sent it: {asked}"
            f"Origin {', '.join(origins)!r}, Host {conn.host!r}",
        )


def _parsed(origin: str) -> tuple[str, str]:
    """Return a trusted origin as it is compared.

    Raises:
      ConfigError: It is none.
    """
    parsed = parse_origin(origin)
    if parsed is None:
        raise ConfigError(
            f"Csrf: {origin!r} is no origin; one is scheme://host, with :port if it has one"
        )
    return parsed
