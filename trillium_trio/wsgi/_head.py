"""What ``start_response`` is given, checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, final

from ..http import Headers

if TYPE_CHECKING:
    from ..conn import Conn

__all__ = ["Head"]

_STATUS = re.compile(r"([2-9]\d\d)(?: .*)?", re.ASCII)
_LENGTH = re.compile(r"\d+", re.ASCII)
# RFC 9110, 7.6.1: they are about a connection, and that is ours. PEP 3333 forbids them.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
_STATUS_WITHOUT_BODY = frozenset({204, 304})


@final
class Head:
    """A status and fields that can be sent.

    Args:
      method: Of the request.
      status: Three digits and a reason.
      fields: Pairs of `str`, one latin-1 character for each byte.

    Raises:
      ValueError: Something cannot be sent; the message names it.
      TypeError: Something is not a `str`.

    Attributes:
      status: The number.
      headers: The fields; without Content-Length, unless the body is not sent.
      length: The declared bytes of body, of a body that is sent.
      is_bodiless: The body is not sent.
    """

    __slots__ = ("headers", "is_bodiless", "length", "status")

    def __init__(self, method: str, status: str, fields: list[tuple[str, str]]) -> None:
        if not isinstance(status, str):
            raise TypeError(f"a status is a str such as '200 OK', not {status!r}")
        found = _STATUS.fullmatch(status)
        if found is None:
            raise ValueError(f"{status!r} is not a status such as '200 OK', from 200 to 999")
        self.status = int(found[1])
        self.is_bodiless = method == "HEAD" or self.status in _STATUS_WITHOUT_BODY
        self.length: int | None = None
        self.headers = Headers()
        for name, value in fields:
            lower = name.lower() if isinstance(name, str) else name
            if lower in _HOP_BY_HOP:
                raise ValueError(f"{name} is about the connection, which is not the application's")
            if lower == "content-length":
                self._declare(value)
                if not self.is_bodiless:
                    continue
            self.headers.append(name, value)

    def apply(self, conn: Conn) -> None:
        """Give the conn this status and these fields, beside those that it has."""
        conn.with_status(self.status)
        fields = self.headers.items()
        if fields:
            headers = conn.response_headers
            for name, value in fields:
                headers.append(name, value)

    def _declare(self, value: str) -> None:
        if not isinstance(value, str) or not _LENGTH.fullmatch(value):
            raise ValueError(f"Content-Length is not a number: {value!r}")
        if self.length not in {None, int(value)}:
            raise ValueError(f"Content-Length is not one number: {self.length} and {value}")
        self.length = int(value)

    def __repr__(self) -> str:
        return f"<Head {self.status} {self.headers!r}>"
