"""Reading a request head from a buffer: its end, its limits, and the choice of the lane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from ..exceptions import BadRequest, HttpError, NotImplementedByServer, UriTooLong
from ._irregular import check_line, read_irregular
from ._lane import read_regular
from ._lines import earliest_fault

if TYPE_CHECKING:
    from ..http import RequestHead

__all__ = ["HeadLimits", "is_head_started", "read_head"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLimits:
    """How large a request head may be, and whether it may ask for a tunnel.

    Attributes:
      max_head_bytes: From the first byte of the request line to the empty line, included. More is
        a 431. Default: 16,384. Unit: bytes. Prevents: memory held by heads that never end.
      max_headers: More is a 431. Default: 100. Unit: fields. Prevents: slow look-ups among many
        tiny fields.
      max_target_bytes: More is a 414. Default: 8,192. Unit: bytes. Prevents: targets that are too
        long for logs and routers.
      takes_connect: Whether CONNECT is accepted; otherwise it is a 501. Default: True.
    """

    max_head_bytes: int = 16_384
    max_headers: int = 100
    max_target_bytes: int = 8_192
    takes_connect: bool = True


def is_head_started(buffer: bytes | bytearray) -> bool:
    """Return whether a head has begun. The one empty line that is skipped does not count."""
    return not b"\r\n".startswith(buffer)


def read_head(
    buffer: bytes | bytearray, limits: HeadLimits, *, seen: int = 0
) -> tuple[RequestHead, int] | None:
    """Read the request head at the start of a buffer.

    There is no state between calls, and the buffer is not changed: after None, call again with the
    same bytes and more. One empty line before the request line is skipped (RFC 9112, 2.2).

    Args:
      buffer: The received bytes.
      limits: How large the head may be.
      seen: How many bytes the buffer had when an earlier call returned None; they are not checked
        again. It only saves time for a head that arrives in many pieces.

    Returns:
      The head and its length in bytes, including the skipped line and the final empty line; or
      None if it is incomplete.

    Raises:
      BadRequest: Malformed, or legal but read differently by different servers.
      UriTooLong, HeaderFieldsTooLarge: A limit was exceeded.
      NotImplementedByServer: A transfer coding other than chunked, or CONNECT if not accepted.
      VersionNotSupported: A version other than 1.0 and 1.1.
      ExpectationFailed: An expectation other than 100-continue.
      All are answerable; nothing after the error can be read.
    """
    start = 2 if buffer.startswith(b"\r\n") else 0
    end = buffer.find(b"\r\n\r\n", max(start, seen - 3))
    if end < 0:
        _refuse_early(bytes(buffer[start:]), limits, max(seen - start, 0))
        return None
    end += 4
    head = read_regular(buffer, start, end, limits.max_target_bytes, limits.max_headers)
    if head is None or end - start > limits.max_head_bytes:
        block = bytes(buffer[start:end])
        _refuse_early(block, limits, max(seen - start, 0))
        head = read_irregular(block)
        if head.method == "CONNECT" and not limits.takes_connect:
            raise NotImplementedByServer("CONNECT, which no handler takes")
    return head, end


def _refuse_early(block: bytes, limits: HeadLimits, seen: int) -> None:
    """Raise the error that is certain at the earliest byte of a head, if there is one."""
    if block.startswith(b"\x16"):
        # The type of the record that holds a ClientHello (RFC 8446, 5.1).
        raise BadRequest("first byte 0x16: a TLS handshake on a plaintext port")
    faults: list[tuple[int, HttpError]] = []
    if fault := earliest_fault(
        block,
        seen=seen,
        max_bytes=limits.max_head_bytes,
        # The request line counts as a line, too.
        max_lines=limits.max_headers + 1,
        check_line=check_line,
    ):
        faults.append(fault)
    if block.find(b"\r", 0, seen) < 0:
        request_line, *_ = block.split(b"\r", 1)
        method, _, rest = request_line.partition(b" ")
        target, *_ = rest.split(b" ", 1)
        if len(target) > limits.max_target_bytes:
            index = len(method) + 1 + limits.max_target_bytes
            message = f"a request target of more than {limits.max_target_bytes} bytes"
            faults.append((index, UriTooLong(message)))
    if faults:
        raise min(faults, key=lambda fault: fault[0])[1]
