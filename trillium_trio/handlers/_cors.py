"""Cross-origin requests: what pages of other origins may do (the Fetch standard, 3.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, final

from .._util import check_count
from ..conn import Handler
from ..exceptions import ConfigError
from ..http import add_vary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..conn import Conn

__all__ = ["Cors"]

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\*\.)?[^\s/*@]+")
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


@final
class Cors(Handler):
    """Lets pages of other origins use the service: answers preflights, and marks responses.

    Put it in front of what they may use; responses to exceptions are marked as well, so that a page
    can see them. A request of an origin that is not allowed is served like any other: it is the
    browser that keeps the response from the page.

    Args:
      origins: ``"*"`` for all, or origins such as ``"https://example.com"``;
        ``"https://*.example.com"`` is each host below it. Or a function that says of an origin
        whether it is allowed. ``"null"``, which files and sandboxes have, must be listed.
      methods: What a page may send. Default: DELETE, GET, HEAD, PATCH, POST and PUT.
      headers: The request fields that a page may set. None: those that it asks for.
      expose: The response fields that a page may read, beside the safelisted ones.
      credentials: Whether requests with cookies are meant. Not with ``"*"``.
      max_age: How long a browser may keep the answer to a preflight. Unit: seconds. Default: 600.

    Raises:
      ConfigError: A setting is wrong.
    """

    def __init__(
        self,
        origins: Literal["*"] | Iterable[str] | Callable[[str], bool],
        *,
        methods: Iterable[str] = _METHODS,
        headers: Iterable[str] | None = None,
        expose: Iterable[str] = (),
        credentials: bool = False,
        max_age: int = 600,
    ) -> None:
        check_count("max_age", max_age, least=0)
        self._allows_all = origins == "*"
        if self._allows_all and credentials:
            raise ConfigError(
                "Cors: origins='*' with credentials would let every site act as the user: "
                "list the origins"
            )
        self._is_allowed = _matcher(origins)
        self._methods = ", ".join(methods)
        self._headers = None if headers is None else ", ".join(headers)
        self._expose = ", ".join(expose)
        self._credentials = credentials
        self._max_age = max_age

    async def run(self, conn: Conn) -> Conn:
        """Answer a preflight; pass on every other request.

        Cancellation:
          None: it does not wait.
        """
        headers = conn.request_headers
        if (
            conn.method != "OPTIONS"
            or "origin" not in headers
            or "access-control-request-method" not in headers
        ):
            return conn
        origin = headers["origin"]
        fields = conn.response_headers
        add_vary(fields, "Access-Control-Request-Method")
        add_vary(fields, "Access-Control-Request-Headers")
        if not self._is_allowed(origin):
            # For a person who wonders why; to the browser it is the missing fields that count.
            return conn.halt().with_status(403).with_body(f"the origin {origin} is not allowed\n")
        fields.set("access-control-allow-methods", self._methods)
        asked = headers.get("access-control-request-headers")
        allowed = asked if self._headers is None else self._headers
        if allowed:
            fields.set("access-control-allow-headers", allowed)
        fields.set("access-control-max-age", str(self._max_age))
        return conn.with_status(204).halt()

    async def before_send(self, conn: Conn) -> Conn:
        """Mark the response.

        Cancellation:
          None: it does not wait.
        """
        headers = conn.response_headers
        if not self._allows_all:
            # A cache must not give one origin the response to another, or to none.
            add_vary(headers, "Origin")
        origin = conn.request_headers.get("origin")
        if origin is None or not self._is_allowed(origin):
            return conn
        headers.set("access-control-allow-origin", "*" if self._allows_all else origin)
        if self._credentials:
            headers.set("access-control-allow-credentials", "true")
        if self._expose:
            headers.set("access-control-expose-headers", self._expose)
        return conn


def _matcher(
    origins: Literal["*"] | Iterable[str] | Callable[[str], bool],
) -> Callable[[str], bool]:
    """Return a function that says whether an origin is one of these.

    Raises:
      ConfigError: One is no origin.
    """
    if callable(origins):
        return origins
    if origins == "*":
        return lambda _: True
    if isinstance(origins, str):
        raise ConfigError(f"Cors: origins is a list, such as [{origins!r}], or '*'")
    exact = set()
    below = []
    for origin in origins:
        lower = origin.lower()
        if lower != "null" and not _ORIGIN.fullmatch(lower):
            raise ConfigError(
                f"Cors: {origin!r} is no origin; one is scheme://host, with :port if it has one"
            )
        scheme, star, host = lower.partition("*")
        if star:
            below.append((scheme, host))
        else:
            exact.add(lower)

    def is_allowed(origin: str) -> bool:
        # Browsers send origins in lower case.
        return origin in exact or any(
            origin.startswith(scheme)
            and origin.endswith(host)
            and _ORIGIN.fullmatch(origin) is not None
            and len(origin) > len(scheme) + len(host)
            for scheme, host in below
        )

    return is_allowed
