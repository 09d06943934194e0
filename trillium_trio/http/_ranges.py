"""Byte ranges of a representation, and the body that has several of them (RFC 9110, 14)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_RANGES", "content_range", "parse_byte_ranges", "ranges_in_parts"]

MAX_RANGES = 8
"""More ranges than this are not honoured: a player or a reader of documents asks for fewer."""

_UNIT = re.compile(r"bytes=(.*)", re.IGNORECASE)
_SPEC = re.compile(r"([0-9]*)-([0-9]*)")
# Beyond any length: a position of more digits than a 64-bit number has.
_FAR = 10**19


def parse_byte_ranges(text: str, length: int) -> tuple[range, ...] | None:
    """Return the ranges that a Range field asks for, in its order.

    Returns:
      The ranges that can be satisfied, as positions from the first byte, 0, to behind the last. An
      empty tuple: none can be, and the answer is 416. None: the field is to be ignored, and the
      answer is the whole representation: because it is malformed or of another unit, because it
      asks for more than `MAX_RANGES` ranges or for ranges that overlap, or because there is no
      content.

    Args:
      text: The field's value.
      length: Of the representation, in bytes.
    """
    found = _UNIT.fullmatch(text)
    if found is None or length == 0:
        return None
    specs = [spec for spec in map(_strip, found[1].split(",")) if spec]
    if not 1 <= len(specs) <= MAX_RANGES:
        return None
    ranges = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None or spec == "-":
            return None
        first, last = match[1], match[2]
        if not first:
            start, stop = length - min(_position(last), length), length
        else:
            start = _position(first)
            stop = min(_position(last) + 1, length) if last else length
            if last and _position(last) < start:
                return None
        if start < stop:
            ranges.append(range(start, stop))
    in_order = sorted(ranges, key=lambda each: each.start)
    if any(one.stop > next_.start for one, next_ in pairwise(in_order)):
        return None
    return tuple(ranges)


def content_range(part: range, length: int) -> str:
    """Return the value of a Content-Range field (RFC 9110, 14.4)."""
    return f"bytes {part.start}-{part.stop - 1}/{length}"


def ranges_in_parts(
    ranges: Sequence[range], *, length: int, content_type: str | None, boundary: str
) -> list[bytes | range]:
    """Return a ``multipart/byteranges`` body (RFC 9110, 14.6), with the ranges in their places.

    Args:
      ranges: What the parts have.
      length: Of the representation, in bytes.
      content_type: Of the representation; None: it has none.
      boundary: What separates the parts. It must not occur in them: make it at random.
    """
    type_line = f"Content-Type: {content_type}\r\n" if content_type is not None else ""
    body: list[bytes | range] = []
    for each in ranges:
        head = f"--{boundary}\r\n{type_line}Content-Range: {content_range(each, length)}\r\n\r\n"
        body += (f"\r\n{head}" if body else head).encode("latin-1"), each
    body.append(f"\r\n--{boundary}--\r\n".encode("latin-1"))
    return body


def _strip(text: str) -> str:
    return text.strip(" \t")


def _position(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) < 20 else _FAR
