"""Cookies: reading the Cookie field, and rendering Set-Cookie (RFC 6265)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import quote, unquote

from ._dates import http_date

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SameSite", "parse_cookies", "set_cookie"]

SameSite: TypeAlias = Literal["strict", "lax", "none"]
"""Which requests that other sites cause have a cookie: none, followed links, or all."""

# RFC 6265, 4.1.1: a token.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The cookie-octets, without the percent sign, which escapes the others. RFC 3986's unreserved
# characters and letters are always safe for `quote`.
_SAFE = "!#$&'()*+/:<=>?@[]^`{|}"
# RFC 6265, 4.1.1: what an attribute may have.
_ATTRIBUTE = re.compile(r"[\x20-\x3a\x3c-\x7e]*")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")

# Browsers ignore a longer pair of name and value, and longer attributes (RFC 6265bis, 5.6).
_MAX_PAIR_BYTES = 4_096
_MAX_ATTRIBUTE_BYTES = 1_024


def parse_cookies(fields: Iterable[str]) -> dict[str, list[str]]:
    """Return the values of each cookie of a request, in the order in which they were sent.

    A pair whose name is not a token is dropped, and the others are kept. A value loses the double
    quotes around it. Percent-encoding in it is decoded as UTF-8, where it is valid.

    Args:
      fields: The values of the Cookie fields.
    """
    cookies: dict[str, list[str]] = {}
    for field in fields:
        for pair in field.split(";"):
            name, equals, value = pair.partition("=")
            name = name.strip(" \t")
            if equals and _NAME.fullmatch(name):
                cookies.setdefault(name, []).append(_decoded(value.strip(" \t")))
    return cookies


def _decoded(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if value.isascii() and "%" not in value:
        return value
    try:
        # Fields are latin-1, which is one character a byte; cookies are UTF-8 if they are text.
        return unquote(value.encode("latin-1").decode(), errors="strict")
    except UnicodeError:
        return value


def set_cookie(
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    expires: datetime | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool,
    http_only: bool = True,
    same_site: SameSite = "lax",
    partitioned: bool = False,
) -> str:
    """Return the value of a Set-Cookie field.

    Args:
      name: A token. The prefixes ``__Host-`` and ``__Secure-`` demand some of the attributes.
      value: Any text. What a cookie cannot have is percent-encoded, and so is ``%``.
      max_age: Seconds that it is kept; 0 or less removes it. None: until `expires`, or until the
        browser closes.
      expires: The same as a time; one without a time zone counts as UTC. `max_age` wins.
      path: The path that gets it. None: the one of the request.
      domain: The domain that gets it, with those below it. None: only the host of the request.
      secure: Only over TLS.
      http_only: Not for scripts.
      same_site: Whether requests that other sites cause have it: not (strict), if a user follows
        a link (lax), or all (none).
      partitioned: A jar of its own below each site that embeds this one (CHIPS).

    Raises:
      ValueError: Something is not allowed, or longer than browsers accept. The message names the
        cookie.
    """
    encoded = quote(value, safe=_SAFE)
    _check(name, encoded, path=path, domain=domain, secure=secure)
    if same_site not in {"strict", "lax", "none"}:
        raise ValueError(f"cookie {name!r}: same_site is strict, lax or none, not {same_site!r}")
    if not secure and (partitioned or same_site == "none"):
        reason = "partitioned" if partitioned else "same_site='none'"
        raise ValueError(f"cookie {name!r}: browsers refuse {reason} without secure")
    parts = [f"{name}={encoded}"]
    if max_age is not None:
        parts.append(f"Max-Age={int(max_age)}")
    if expires is not None:
        moment = expires if expires.tzinfo else expires.replace(tzinfo=UTC)
        parts.append(f"Expires={http_date(moment.timestamp()).decode()}")
    if path is not None:
        parts.append(f"Path={path}")
    if domain is not None:
        parts.append(f"Domain={domain.removeprefix('.')}")
    if secure:
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    parts.append(f"SameSite={same_site.capitalize()}")
    if partitioned:
        parts.append("Partitioned")
    return "; ".join(parts)


def _check(name: str, encoded: str, *, path: str | None, domain: str | None, secure: bool) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a cookie: it is not a token (RFC 6265, 4.1.1)")
    size = len(name) + len(encoded)
    if size > _MAX_PAIR_BYTES:
        raise ValueError(
            f"cookie {name!r} has {size} bytes with its name; browsers accept {_MAX_PAIR_BYTES}"
        )
    for attribute in (path or "", domain or ""):
        if not _ATTRIBUTE.fullmatch(attribute) or len(attribute) > _MAX_ATTRIBUTE_BYTES:
            raise ValueError(f"cookie {name!r}: {attribute!r} is no value for an attribute")
    if path is not None and not path.startswith("/"):
        raise ValueError(f"cookie {name!r}: the path {path!r} does not begin with a slash")
    if domain is not None and not _DOMAIN.fullmatch(domain.removeprefix(".")):
        raise ValueError(f"cookie {name!r}: {domain!r} is no domain")
    prefix = name.lower()
    if prefix.startswith(("__host-", "__secure-")) and not secure:
        raise ValueError(f"cookie {name!r}: its prefix demands secure (RFC 6265bis, 4.1.3)")
    if prefix.startswith("__host-") and (path != "/" or domain is not None):
        raise ValueError(f"cookie {name!r}: its prefix demands the path / and no domain")
