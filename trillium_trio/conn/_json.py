"""Untrusted JSON: the nesting depth is checked before the document is parsed."""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any

from ..exceptions import BadRequest

__all__ = ["check_json_depth", "parse_json"]

_MAX_DEPTH = 100
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(each for each in range(256) if each not in b"[{]}")


def parse_json(data: bytes) -> Any:  # Any: what JSON holds is open
    """Parse a document as `json.loads` does, in the calling task.

    Not in a worker thread: the parser holds the GIL from the first byte to the last, so it would
    block the loop anyway (9 MB of ``[],`` in a thread: 2.54 s of 2.56 s). The byte limit bounds the
    time. Not with msgspec, which is faster but treats NaN, 1e400, lone surrogates, a byte order
    mark and UTF-16 differently.

    Raises:
      BadRequest: It is not JSON, or nested more than 100 levels deep. Answerable (400).
    """
    try:
        encoding = json.detect_encoding(data)
        if not encoding.startswith("utf-8"):
            data = data.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
        check_json_depth(data)
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error


def check_json_depth(data: bytes) -> None:
    """Refuse JSON in UTF-8 that is nested too deeply, before a parser of your own gets it.

    Raises:
      BadRequest: It is nested more than 100 levels deep. Answerable (400).
    """
    if _depth(data) > _MAX_DEPTH:
        raise BadRequest(f"the JSON of the body is nested more than {_MAX_DEPTH} levels deep")


def _depth(data: bytes) -> int:
    """Return an upper bound of the nesting depth of arrays and objects.

    Above 100 brackets it is exact for valid JSON, and for invalid JSON up to its first error. No
    Python code runs per byte.
    """
    count = data.count(b"[") + data.count(b"{")
    if count <= _MAX_DEPTH:
        return count
    # Remove strings: their brackets do not count. Remove escapes before that, so that every quote
    # left begins or ends a string; and escaped backslashes first, which may precede a quote.
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(plain.split(b'"')[::2])
    steps = memoryview(outside.translate(_STEPS, _NO_BRACKETS)).cast("b")
    return max(accumulate(steps), default=0)
