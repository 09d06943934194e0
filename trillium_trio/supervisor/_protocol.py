"""What a supervisor and its workers say to each other: one JSON object a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VERSION", "LineBuffer", "decode", "encode"]

VERSION: Final = 1
"""Of the messages. Kinds and fields may be added: those that a peer does not know are ignored."""

# The metrics of a worker have 200 bytes for each combination of labels, and some more.
_MAX_LINE_BYTES: Final = 16 * 1_048_576


def encode(kind: str, **fields: object) -> bytes:
    """Return a message as a line."""
    return json.dumps({"kind": kind, **fields}, default=str).encode() + b"\n"


def decode(line: bytes) -> Mapping[str, object]:
    """Return the message of a line; an empty one for what is no message."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


@final
class LineBuffer:
    """Splits what arrives into lines. A line of more than 16 MiB is dropped."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, and return the lines that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE_BYTES:
            self._rest = b""
        return lines
