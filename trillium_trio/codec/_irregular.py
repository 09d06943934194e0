"""Reading heads that are not regular: our checks, each with its RFC section, and h11.

`check_line` checks each line when it is complete. At the end of the head follow, in this order,
which decides which of several faults is reported: framing, h11, and forms that are legal for h11
but misread by some servers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import h11

from ..exceptions import (
    BadRequest,
    ExpectationFailed,
    NotImplementedByServer,
    VersionNotSupported,
)
from ..http import Headers, RequestHead
from ._framing import connection_options
from ._lines import check_field
from ._target import check_host, check_target

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_line", "read_irregular"]

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rf"({_NAME}) ([!-~]+) HTTP/([0-9]\.[0-9])".encode())
# It fits in 63 bits, and cannot be read as octal.
_LENGTH = re.compile(r"0|[1-9][0-9]{0,17}")
_CODINGS = re.compile(rf"{_NAME}(?:[ \t]*,[ \t]*{_NAME})*")


def read_irregular(block: bytes) -> RequestHead:
    """Read a complete head that is within the limits and free of illegal bytes and malformed lines.

    Raises:
      HttpError: As for `read_head`.
    """
    request_line, *_ = block.split(b"\r\n", 1)
    method, target, version = _read_request_line(request_line)
    headers = Headers.from_block(block[len(request_line) + 2 : -2])
    is_chunked = _read_transfer_encoding(headers.get_all("transfer-encoding"), version)
    content_length = _read_content_length(headers.get_all("content-length"))
    if is_chunked and content_length is not None:
        # RFC 9112, 6.1: may be an attempt at request smuggling, ought to be handled as an error.
        raise BadRequest("both Transfer-Encoding and Content-Length (RFC 9112, 6.3)")
    _ask_h11(block)

    # None on 1.1, or several: h11 has refused that (RFC 9112, 3.2).
    check_host(headers.get("host") or "")
    is_tunnel = method == "CONNECT"
    if is_tunnel and (is_chunked or content_length):
        # Ambiguous: content, or the first bytes of the tunnel.
        raise BadRequest("CONNECT has no content (RFC 9110, 9.3.6)")
    is_current = version == "1.1"
    options = connection_options(headers.get_all("connection"))
    expects_continue = _read_expect(headers.get_all("expect"))
    return RequestHead(
        method,
        target,
        version,
        headers,
        content_length=content_length,
        is_chunked=is_chunked,
        # RFC 9112, 9.3: close takes precedence over keep-alive.
        keep_alive="close" not in options and (is_current or "keep-alive" in options),
        # RFC 9110, 10.1.1: ignored on 1.0, and unnecessary without content.
        expects_continue=expects_continue and is_current and (is_chunked or bool(content_length)),
        # RFC 9110, 7.8: ignored on 1.0.
        wants_upgrade=is_tunnel
        or (is_current and "upgrade" in options and bool(headers.get("upgrade"))),
    )


def check_line(at: int, line: bytes) -> None:
    """Check a line of a head, given without its line break.

    Args:
      at: Its index in the head; 0 for the request line.
      line: Its bytes.

    Raises:
      BadRequest: It is malformed, or the target does not fit the method.
      VersionNotSupported: It asks for a version other than 1.0 and 1.1.
    """
    if at:
        check_field(line)
    else:
        _read_request_line(line)


def _read_request_line(line: bytes) -> tuple[str, str, Literal["1.0", "1.1"]]:
    """Split the request line at its two spaces (RFC 9112, 3)."""
    if not line:
        raise BadRequest("a second empty line before the request line")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequest(f"malformed request line {line[:64]!r} (RFC 9112, 3)")
    method, target, version = (part.decode("ascii") for part in match.groups())
    if version not in {"1.0", "1.1"}:
        raise VersionNotSupported(f"HTTP/{version}")
    check_target(method, target)
    return method, target, "1.1" if version == "1.1" else "1.0"


def _read_transfer_encoding(values: Sequence[str], version: str) -> bool:
    """Return whether the body is chunked (RFC 9112, 6.1 and 7)."""
    if not values:
        return False
    if version == "1.0":
        raise BadRequest("Transfer-Encoding on HTTP/1.0 (RFC 9112, 6.1)")
    joined = ", ".join(values).lower()
    if _CODINGS.fullmatch(joined) is None:
        raise BadRequest("malformed Transfer-Encoding (RFC 9112, 6.1)")
    *others, last = (coding.strip(" \t") for coding in joined.split(","))
    if "chunked" in others:
        raise BadRequest("chunked twice, or not as the last coding (RFC 9112, 6.1)")
    if others or last != "chunked":
        raise NotImplementedByServer(f"the transfer coding {joined[:64]!r}")
    return True


def _read_content_length(values: Sequence[str]) -> int | None:
    """Return the one plain length, or None (RFC 9112, 6.3).

    A list of equal lengths could be read as one of them. It is refused: its sender has merged two
    opinions of where the body ends.
    """
    if not values:
        return None
    if len(values) > 1 or _LENGTH.fullmatch(values[0]) is None:
        raise BadRequest("Content-Length is not one plain number (RFC 9110, 8.6)")
    return int(values[0])


def _ask_h11(block: bytes) -> None:
    """Have h11 parse the same head."""
    # Its own limit is for incomplete heads; ours have already been applied.
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=len(block))
    connection.receive_data(block)
    try:
        connection.next_event()
    except h11.RemoteProtocolError as error:
        raise BadRequest(str(error)) from error


def _read_expect(values: Sequence[str]) -> bool:
    """Return whether the client waits for 100 Continue (RFC 9110, 10.1.1)."""
    expectations = connection_options(values)
    if expectations - {"100-continue"}:
        raise ExpectationFailed("an expectation other than 100-continue")
    return bool(expectations)
