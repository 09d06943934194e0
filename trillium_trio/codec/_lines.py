"""Checks common to heads and trailer sections: field lines, limits, illegal bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..exceptions import BadRequest, HeaderFieldsTooLarge, HttpError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_field", "earliest_fault"]

# RFC 9110, 5.5 and RFC 9112, 2.2: no control character but HTAB, and CR LF only as a pair. A CR at
# the end may still become one, so it is checked together with the next byte.
_ILLEGAL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r[^\n]|(?<!\r)\n")
_CONTROLS = bytes([*range(0x09), *range(0x0A, 0x20), 0x7F])

# RFC 9112, 5: field-line = field-name ":" OWS field-value OWS. No white space before the colon
# (5.1), and none before the name, which would be obs-fold (5.2).
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t\x20-\x7e\x80-\xff]*+")


def earliest_fault(
    block: bytes,
    *,
    seen: int = 0,
    max_bytes: int,
    max_lines: int,
    check_line: Callable[[int, bytes], object],
) -> tuple[int, HttpError] | None:
    """Find the first byte of a block of lines at which an error is certain.

    Args:
      block: The lines so far, including the empty line that ends them, if received.
      seen: How many bytes of the block an earlier call has found correct. Only the rest is
        searched, so that a block that arrives byte by byte is not searched again for each byte.
      max_bytes: The maximum length of the block, including its last empty line.
      max_lines: The maximum number of lines, not counting the empty one.
      check_line: Called with the index and the bytes of each complete line, without its line break
        and without the empty line that ends the block. Raises an HttpError if the line is
        malformed.

    Returns:
      The index of that byte and its error, or None. The index does not depend on how much of the
      block has been received.
    """
    faults: list[tuple[int, HttpError]] = []
    # The last seen byte may be a CR, which is checked together with the next byte.
    start = max(seen - 1, 0)
    fresh = block[start:]
    breaks = fresh.count(b"\r\n")
    # The pattern takes 20 ns per byte, the translation less than one.
    is_clean = len(fresh.translate(None, _CONTROLS)) == len(fresh) - 2 * breaks
    if not is_clean and (illegal := _ILLEGAL.search(block, start)):
        byte = block[illegal.start()]
        name = {0x0A: "bare LF", 0x0D: "bare CR"}.get(byte, f"control character 0x{byte:02x}")
        faults.append((illegal.end() - 1, BadRequest(f"{name} in a head or trailer section")))
    if len(block) > max_bytes:
        faults.append((max_bytes, HeaderFieldsTooLarge(f"more than {max_bytes} bytes of fields")))
    if breaks:
        if block.count(b"\r\n") - block.endswith(b"\r\n\r\n") > max_lines:
            index = -1
            for _ in range(max_lines + 1):
                index = block.find(b"\r\n", index + 1)
            faults.append((index + 1, HeaderFieldsTooLarge("too many fields")))
        if fault := _malformed_line(block, seen, check_line):
            faults.append(fault)
    # Of two faults at the same byte, the first in the list: its order is the same for every split.
    return min(faults, key=lambda fault: fault[0], default=None)


def _malformed_line(
    block: bytes, seen: int, check_line: Callable[[int, bytes], object]
) -> tuple[int, HttpError] | None:
    """Find the first malformed line. It is certain at the last byte of its line break."""
    last_break = block.rfind(b"\r\n", 0, seen)
    at = 0 if last_break < 0 else last_break + 2
    while (end := block.find(b"\r\n", at)) >= 0:
        if at and end == at:
            break
        try:
            check_line(at, block[at:end])
        except HttpError as error:
            return end + 1, error
        at = end + 2
    return None


def check_field(line: bytes) -> None:
    """Check a field line, given without its line break.

    Raises:
      BadRequest: It is not a field; the message says why.
    """
    if _FIELD.fullmatch(line) is None:
        raise BadRequest(_reason(line))


def _reason(line: bytes) -> str:
    name, colon, _ = line.partition(b":")
    if line[:1] in {b" ", b"\t"}:
        return "a field is folded over two lines (RFC 9112, 5.2)"
    if not colon:
        return "a field has no colon (RFC 9112, 5)"
    if name.endswith((b" ", b"\t")):
        return "white space before the colon of a field (RFC 9112, 5.1)"
    return f"{name[:64]!r} is not a field name (RFC 9110, 5.1)"
