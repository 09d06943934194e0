"""JSON documents of strangers: bounded in depth before anything is built of them."""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any

from ..exceptions import BadRequest

__all__ = ["parse_json"]

_MAX_DEPTH = 100
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(each for each in range(256) if each not in b"[{]}")


def parse_json(data: bytes) -> Any:  # Any: what JSON holds is open
    """Parse a document as `json.loads` does, in the task that calls.

    Not in a worker thread: the parser holds the interpreter's lock from the first byte to the last,
    so that the loop would stand still all the same (2.54 s of the 2.56 s that 9 MB of ``[],`` took
    in a thread). What bounds the wait is the limit of bytes. And not by msgspec, which is faster
    but has other answers for NaN, 1e400, lone surrogates, a byte order mark and UTF-16.

    Raises:
      BadRequest: It is not JSON, or nested more than 100 levels deep. Answerable (400).
    """
    try:
        encoding = json.detect_encoding(data)
        if not encoding.startswith("utf-8"):
            data = data.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
        if _depth(data) > _MAX_DEPTH:
            raise BadRequest(f"the JSON of the body is nested more than {_MAX_DEPTH} levels deep")
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error


def _depth(data: bytes) -> int:
    """Return how deep the arrays and objects of a document are nested, or more.

    Exact for valid JSON, and for what precedes the first error of any other. No step of it is taken
    in Python for each byte.
    """
    count = data.count(b"[") + data.count(b"{")
    if count <= _MAX_DEPTH:
        return count
    # Strings go, for their brackets do not count. Escapes first, so that each quote left is one
    # that begins or ends a string; pairs of backslashes before what the last may escape.
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(plain.split(b'"')[::2])
    steps = memoryview(outside.translate(_STEPS, _NO_BRACKETS)).cast("b")
    return max(accumulate(steps), default=0)
