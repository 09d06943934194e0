"""Origins: where the page is from that has a browser send a request (RFC 6454)."""

from __future__ import annotations

import re

__all__ = ["is_same_origin", "parse_origin"]

# The authority ends where any parser would end it, and has no user in front.
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>(?:\[[0-9a-f:.]+\]|[^\s/?#@:*\[\]\\]+)(?::[0-9]+)?)"
)
_DEFAULT_PORTS = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}


def parse_origin(text: str) -> tuple[str, str] | None:
    """Return the scheme and the authority of an origin, in lower case and without a default port.

    None if it is none, such as ``null``, which stands for any page that has no origin to tell.
    """
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    scheme = match["scheme"]
    return scheme, match["authority"].removesuffix(_DEFAULT_PORTS.get(scheme, ""))


def is_same_origin(origin: str, *, host: str | None, is_secure: bool) -> bool:
    """Whether an origin is that of the request itself, by its host and port.

    The scheme is compared only where it is known. Behind a proxy that ends TLS a request looks
    plain, so that its origin may be https where it is not.

    Args:
      origin: The Origin field.
      host: The authority that the client asked for, or None.
      is_secure: Whether the request is known to have come over TLS.
    """
    parsed = parse_origin(origin)
    if parsed is None or host is None:
        return False
    scheme, authority = parsed
    if is_secure and scheme != "https":
        return False
    return authority == host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, ""))
