"""The fields that proxies write, read from the right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, final

from ...codec import check_host
from ...exceptions import BadRequest
from ...http import parse_ip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...http import IpAddress

__all__ = ["MAX_ENTRIES", "Hop", "forwarded_hops", "last_value", "valid_host", "x_forwarded_hops"]

MAX_ENTRIES = 64
"""How many entries are looked at, from the right. No chain of proxies is that long."""

_TCHAR = r"[!#$%&'*+.^_`|~0-9A-Za-z-]"
# RFC 7239, 4. Addresses with colons have to be quoted, but some proxies do not do it; some write
# spaces behind the semicolon.
_PAIR = re.compile(
    rf'({_TCHAR}++)=(?:((?:{_TCHAR}|[:\[\]])++)|"((?:[^"\\]|\\.)*+)")[ \t]*+(?:;[ \t;]*+|$)'
)
_QUOTED_PAIR = re.compile(r"\\(.)")
# A quote that no backslash escapes.
_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')
# RFC 7239, 6. "unknown" and "_name" stand for an address that is not told.
_NODE = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<ipv4>[0-9.]+)|(?P<hidden>(?i:unknown)|_[\w.-]+))"
    r"(?::(?:(?P<port>[0-9]{1,5})|_[\w.-]+))?",
    re.ASCII,
)
_MAX_PORT = 65535
# Some proxies write the scheme of a WebSocket.
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One entry: what one proxy says of the request that it has received.

    Attributes:
      ip: Who sent it; None if that is not told.
      port: From which port; None if it is not told.
      scheme: ``"http"`` or ``"https"``; None if it is not told, or is another.
      host: The authority that was asked for; None if it is not told, or is malformed.
    """

    ip: IpAddress | None
    port: int | None
    scheme: str | None = None
    host: str | None = None


def forwarded_hops(value: str) -> Iterator[Hop | None]:
    """Read the entries of a Forwarded field (RFC 7239) from the right; None: malformed."""
    return (_forwarded_hop(entry) for entry in _entries(value))


def x_forwarded_hops(value: str) -> Iterator[Hop | None]:
    """Read the entries of an X-Forwarded-For field from the right; None: malformed."""
    return (_hop(entry.strip('"')) for entry in _entries(value))


def last_value(value: str) -> str | None:
    """Return the rightmost entry of a list that is not empty, or None."""
    return next(_entries(value), None)


def scheme_of(text: str | None) -> str | None:
    """Return ``"http"`` or ``"https"``; None for another scheme."""
    return _SCHEMES.get((text or "").lower())


def valid_host(text: str | None) -> str | None:
    """Return an authority as it is; None if it is malformed."""
    if not text:
        return None
    try:
        check_host(text)
    except BadRequest:
        return None
    return text


def _entries(value: str) -> Iterator[str]:
    """Yield the entries of a list from the right, without empty ones (RFC 9110, 5.6.1).

    From the right, because whatever the client has written, such as a quote without its partner,
    must not change how the entries behind it are read.
    """
    return filter(None, islice(_split(value), MAX_ENTRIES))


def _split(value: str) -> Iterator[str]:
    end = entry_end = len(value)
    has_quotes = '"' in value
    is_quoted = False
    while end >= 0:
        start = value.rfind(",", 0, end) + 1
        # An odd number of quotes: the comma is inside of a quoted string.
        if has_quotes:
            is_quoted ^= len(_QUOTE.findall(value[start:end])) % 2 == 1
        if not is_quoted or not start:
            yield value[start:entry_end].strip(" \t")
            entry_end, is_quoted = start - 1, False
        end = start - 1


def _forwarded_hop(entry: str) -> Hop | None:
    pairs: dict[str, str] = {}
    position = 0
    while position < len(entry):
        match = _PAIR.match(entry, position)
        # A parameter must not occur twice (RFC 7239, 4).
        if match is None or match[1].lower() in pairs:
            return None
        token, quoted = match[2], match[3]
        text = token if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted)
        pairs[match[1].lower()] = text
        position = match.end()
    scheme, host = scheme_of(pairs.get("proto")), valid_host(pairs.get("host"))
    return _hop(pairs.get("for", "unknown"), scheme, host)


# The clients of a proxy send several requests each.
@lru_cache(maxsize=1024)
def _hop(node: str, scheme: str | None = None, host: str | None = None) -> Hop | None:
    try:
        # An IPv6 address without brackets, as X-Forwarded-For has it.
        return Hop(ip=parse_ip(node), port=None, scheme=scheme, host=host)
    except ValueError:
        pass
    match = _NODE.fullmatch(node)
    if match is None or int(match["port"] or 0) > _MAX_PORT:
        return None
    port = int(match["port"]) if match["port"] else None
    if match["hidden"]:
        return Hop(ip=None, port=None, scheme=scheme, host=host)
    try:
        ip = parse_ip(match["ipv6"] or match["ipv4"])
    except ValueError:
        return None
    if match["ipv6"] and ":" not in match["ipv6"]:
        return None
    return Hop(ip=ip, port=port, scheme=scheme, host=host)
