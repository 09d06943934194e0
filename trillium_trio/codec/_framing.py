"""Where a body ends: RFC 9112, 6.3 as a table.

.. code-block:: text

    response                        version 1.1    version 1.0
    to HEAD, 1xx, 204, 304          NONE           NONE
    2xx to CONNECT                  NONE           NONE
    any other, length known         LENGTH         LENGTH
    any other, length unknown       CHUNKED        CLOSE

A request has no CLOSE and needs no table: it is chunked, or has a Content-Length, or no body.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BodyFraming", "connection_options", "response_framing", "shows_length"]


class BodyFraming(Enum):
    """How the receiver knows where a body ends."""

    NONE = "none"
    """There is no body; the head is the whole message."""
    LENGTH = "length"
    """Content-Length bytes follow."""
    CHUNKED = "chunked"
    """Chunks follow, the last one of size zero."""
    CLOSE = "close"
    """The body ends when the connection closes."""


def response_framing(*, method: str, status: int, version: str, length: int | None) -> BodyFraming:
    """Decide how a response is framed.

    Args:
      method: Of the request.
      status: Of the response.
      version: Of the request, ``"1.0"`` or ``"1.1"``.
      length: Bytes of the body, or None if that is known only at its end.
    """
    if method == "HEAD" or status in {204, 304} or status < 200 or _opens_tunnel(method, status):
        return BodyFraming.NONE
    if length is not None:
        return BodyFraming.LENGTH
    return BodyFraming.CHUNKED if version == "1.1" else BodyFraming.CLOSE


def shows_length(method: str, status: int) -> bool:
    """Return whether a response may have a Content-Length (RFC 9110, 8.6).

    In answer to HEAD, and in a 304, it is the length that a 200 to GET would have.
    """
    return status >= 200 and status != 204 and not _opens_tunnel(method, status)


def _opens_tunnel(method: str, status: int) -> bool:
    return method == "CONNECT" and 200 <= status < 300


def connection_options(values: Iterable[str]) -> set[str]:
    """Return the lower-case members of a list-valued field, such as Connection (RFC 9110, 5.6.1).

    Args:
      values: Each field's value; empty members are dropped.
    """
    members = (member.strip(" \t").lower() for value in values for member in value.split(","))
    return {member for member in members if member}
