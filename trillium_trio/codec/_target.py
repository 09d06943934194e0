"""The request target: which of its four forms each method allows (RFC 9112, 3.2)."""

from __future__ import annotations

import ipaddress
import re

from ..exceptions import BadRequest

__all__ = ["check_host", "check_target"]

# RFC 3986, 3.2.2, except "," in a name: legal, but an intermediary may have joined two Hosts.
_HOST = (
    r"(?:\[(?:[0-9A-Fa-f:.]+|v[0-9A-Fa-f]+\.[\w.~!$&'()*+;=:-]+)\]"
    r"|(?:[\w.~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)"
)
_AUTHORITY = re.compile(rf"{_HOST}(?::[0-9]{{0,5}})?", re.ASCII)
# RFC 9110, 9.3.6: CONNECT has no default port.
_TUNNEL = re.compile(rf"{_HOST}:[0-9]{{1,5}}", re.ASCII)
_MAX_PORT = 65_535
# RFC 9110, 4.2: the two schemes served here, without userinfo (4.2.4).
_ABSOLUTE = re.compile(rf"https?://({_HOST}(?::[0-9]{{0,5}})?)((?:[/?].*)?)", re.ASCII | re.I)
# Visible ASCII without "#": a client never sends the fragment (RFC 9112, 3.2.1). Browsers do send
# other characters that RFC 3986 excludes, such as "|" and "{", which are unambiguous. A "\" in the
# path is not: some read it as "/". In a query, browsers send it, and it is data.
_ORIGIN = re.compile(r"(?:/[!\x22$->@-\[\]-~]*+)?(?:\?[!\x22$-~]*+)?")


def check_target(method: str, target: str) -> None:
    """Check that a target has a form that its method allows.

    Raises:
      BadRequest: It does not.
    """
    if method == "CONNECT":
        if _TUNNEL.fullmatch(target) is None:
            raise BadRequest("CONNECT needs a host and a port (RFC 9110, 9.3.6)")
        _check_authority(target)
    elif target == "*":
        if method != "OPTIONS":
            raise BadRequest("the target * is for OPTIONS only (RFC 9112, 3.2.4)")
    else:
        origin = target
        if not target.startswith("/"):
            absolute = _ABSOLUTE.fullmatch(target)
            if absolute is None:
                raise BadRequest("the target is neither a path nor an http URI (RFC 9112, 3.2)")
            authority, origin = absolute.groups()
            _check_authority(authority)
        if _ORIGIN.fullmatch(origin) is None:
            raise BadRequest("the target has a fragment, or a backslash in its path")


def check_host(value: str) -> None:
    """Check the value of a Host field. An empty one is legal (RFC 9110, 7.2).

    Raises:
      BadRequest: It is not an authority (RFC 9112, 3.2).
    """
    if value and _AUTHORITY.fullmatch(value) is None:
        raise BadRequest("Host is not a host and port (RFC 9110, 7.2)")
    _check_authority(value)


def _check_authority(authority: str) -> None:
    """Check what the patterns do not: the range of a port, and whether [:::] is an address."""
    _, colon, port = authority.rpartition(":")
    if colon and port.isdecimal() and int(port) > _MAX_PORT:
        raise BadRequest(f"port {port} is out of range")
    if authority[:1] == "[" and authority[1] != "v":
        literal, _, _ = authority[1:].partition("]")
        try:
            ipaddress.IPv6Address(literal)
        except ValueError as error:
            raise BadRequest("an invalid IPv6 address (RFC 3986, 3.2.2)") from error
