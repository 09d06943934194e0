"""Responses as bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..http import Headers, Status, reason_phrase
from ._body import FORBIDDEN_TRAILERS
from ._framing import BodyFraming, connection_options, response_framing, shows_length

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CHUNK_END",
    "LAST_CHUNK",
    "chunk_prefix",
    "render_chunk",
    "render_continue",
    "render_error",
    "render_head",
    "render_interim",
    "render_last_chunk",
    "render_whole",
]

LAST_CHUNK = b"0\r\n\r\n"
"""The end of a chunked body without trailers."""

CHUNK_END = b"\r\n"
"""What follows the data of a chunk."""


def _render_status_line(status: int) -> bytes:
    if not 100 <= status <= 999:
        raise ValueError(f"{status} is not a status code (RFC 9110, 15)")
    # Always 1.1: the version is that of the server, not that of the request (RFC 9110, 6.2).
    return f"HTTP/1.1 {status:d} {reason_phrase(status)}\r\n".encode("ascii")


_STATUS_LINES = {status.value: _render_status_line(status) for status in Status}

# Fields that a handler may set, but that are not sent as they are.
_FRAMING = ("content-length", "transfer-encoding", "connection")
_SPECIAL = frozenset({*_FRAMING, "date", "server"})
_LENGTH = re.compile(r"[0-9]{1,20}")


def render_head(
    status: int,
    headers: Headers | None,
    *,
    date_line: bytes,
    server_line: bytes,
    framing: BodyFraming,
    length: int | None,
    close: bool,
    version: str,
    method: str = "GET",
) -> bytes:
    """Render a response head.

    Date and Server come first unless the handler set its own, then the handler's fields, then
    framing and Connection. Framing is decided here: the handler's Content-Length and
    Transfer-Encoding are dropped, except a Content-Length for a body that is not sent (HEAD, 304).

    Args:
      status: 100 to 999.
      headers: The handler's fields, or None. They are not changed.
      date_line: A complete field line, or empty for none.
      server_line: The same.
      framing: As decided by `response_framing`.
      length: With `BodyFraming.LENGTH`, the bytes of body that follow. For HEAD, the Content-Length
        unless the handler sets one. Otherwise ignored.
      close: The connection closes after this response.
      version: Of the request: 1.0 needs ``keep-alive`` for a connection that stays open.
      method: Of the request.

    Raises:
      ValueError: The status is out of range.
    """
    status_line = _STATUS_LINES.get(status) or _render_status_line(status)
    option = "close" if close else "keep-alive" if version == "1.0" else ""
    if framing is BodyFraming.NONE and (status == 304 or not shows_length(method, status)):
        length = None

    fields = b""
    if headers is not None:
        if not _SPECIAL.isdisjoint(headers):
            if "date" in headers:
                date_line = b""
            if "server" in headers:
                server_line = b""
            if framing is BodyFraming.NONE and shows_length(method, status):
                length = _declared_length(headers, length)
            option = _merge_options(headers, option)
            headers = headers.copy()
            for name in _FRAMING:
                headers.remove(name)
        fields = headers.render()

    connection_line = b"connection: %b\r\n" % option.encode("latin-1") if option else b""
    framing_line = _framing_line(framing, length)
    return b"".join(
        (status_line, date_line, server_line, fields, framing_line, connection_line, b"\r\n")
    )


def render_whole(
    status: int, fields: bytes, body: bytes, date_line: bytes, server_line: bytes
) -> bytes:
    """Render a whole response: the head and a body of known length, without special fields.

    Args:
      status: 200 to 999, of a response that has a body.
      fields: The handler's field lines, none of which affects framing, persistence, date or server.
      body: The whole body.
      date_line: A complete field line, or empty for none.
      server_line: The same.
    """
    status_line = _STATUS_LINES.get(status) or _render_status_line(status)
    # fmt: off
    return b"%b%b%b%bcontent-length: %d\r\n\r\n%b" % (
        status_line, date_line, server_line, fields, len(body), body,
    )
    # fmt: on


def _framing_line(framing: BodyFraming, length: int | None) -> bytes:
    if framing is BodyFraming.CHUNKED:
        return b"transfer-encoding: chunked\r\n"
    if framing is BodyFraming.CLOSE or length is None:
        return b""
    return b"content-length: %d\r\n" % length


def _declared_length(headers: Headers, length: int | None) -> int | None:
    """Return the length that the handler declares for a body that is not sent, or else ours."""
    value = headers.get("content-length")
    return length if value is None or _LENGTH.fullmatch(value) is None else int(value)


def _merge_options(headers: Headers, option: str) -> str:
    """Merge the handler's Connection options, such as ``upgrade``, with ours. ``close`` wins."""
    options = connection_options(headers.get_all("connection"))
    if option:
        options.add(option)
    if "close" in options:
        options.discard("keep-alive")
    return ", ".join(sorted(options))


def render_continue() -> bytes:
    """Return the interim response that asks for the body (RFC 9110, 15.2.1)."""
    return b"HTTP/1.1 100 Continue\r\n\r\n"


def render_interim(status: int, fields: Headers) -> bytes:
    """Return an interim response, such as 103 Early Hints (RFC 8297).

    Raises:
      ValueError: The status is not one of an interim response (RFC 9110, 15.2), or is 101.
    """
    if not 100 <= status <= 199 or status == 101:
        raise ValueError(f"{status} is not the status of an interim response")
    return b"%b%b\r\n" % (_render_status_line(status), fields.render())


def chunk_prefix(size: int) -> bytes:
    """Return the bytes that precede ``size`` bytes of chunk data; `CHUNK_END` follows the data.

    So large data is sent without copying it into a chunk. The size must be more than zero: an empty
    chunk would end the body.
    """
    return b"%x\r\n" % size


def render_chunk(data: bytes | memoryview) -> bytes:
    """Return ``data`` as one chunk, or ``b""`` for no data: an empty chunk would end the body.

    Args:
      data: The items of a view are bytes.
    """
    return b"".join((b"%x\r\n" % len(data), data, CHUNK_END)) if data else b""


def render_last_chunk(trailers: Headers | None = None) -> bytes:
    """Return the end of a chunked body.

    Raises:
      ValueError: A field is not allowed in trailers (RFC 9110, 6.5.1).
    """
    if trailers is None:
        return LAST_CHUNK
    for name in trailers:
        if name in FORBIDDEN_TRAILERS:
            raise ValueError(f"{name} in a trailer (RFC 9110, 6.5.1)")
    return b"0\r\n%b\r\n" % trailers.render()


def render_error(
    status: int,
    *,
    date_line: bytes,
    server_line: bytes,
    fields: Iterable[tuple[str, str]] = (),
    method: str = "GET",
) -> bytes:
    """Return a complete response for a request that no handler answers.

    Its body is only the reason phrase: details go to the log. The connection closes after it.

    Args:
      status: 400 to 599.
      date_line: A complete field line, or empty for none.
      server_line: The same.
      fields: More header fields.
      method: Of the request, if it is known: HEAD gets no body.
    """
    body = f"{reason_phrase(status)}\n".encode("ascii")
    headers = Headers([("content-type", "text/plain; charset=utf-8"), *fields])
    head = render_head(
        status,
        headers,
        date_line=date_line,
        server_line=server_line,
        framing=response_framing(method=method, status=status, version="1.1", length=len(body)),
        length=len(body),
        close=True,
        version="1.1",
        method=method,
    )
    return head if method == "HEAD" else head + body
