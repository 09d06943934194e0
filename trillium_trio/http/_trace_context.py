"""The traceparent field: which trace a request is part of (W3C Trace Context, 3.2)."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["TraceParent", "parse_traceparent"]

_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)


class TraceParent(NamedTuple):
    """What the field says. A named tuple: one is made for each request that is traced.

    Attributes:
      trace_id: Of the whole trace: 32 hexadecimal digits.
      parent_id: Of the span that has sent the request: 16 hexadecimal digits.
      flags: The lowest bit is set if that span is recorded.
    """

    trace_id: str
    parent_id: str
    flags: int


def parse_traceparent(text: str) -> TraceParent | None:
    """Parse the field's value; None if it is malformed.

    Of a later version than 00, what follows the four members is left out (3.2.4).
    """
    found = _TRACEPARENT.fullmatch(text)
    if found is None or (found[5] and found[1] == "00"):
        return None
    return TraceParent(found[2], found[3], int(found[4], 16))
