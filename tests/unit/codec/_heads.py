"""What the tests of the codec share: feeding, splitting and the errors to expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trillium_trio.codec import ChunkedReader, HeadLimits, LengthReader, read_head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trillium_trio.http import RequestHead

LIMITS = HeadLimits()


def read(data: bytes, limits: HeadLimits = LIMITS) -> RequestHead:
    """Read a head that is there as a whole."""
    result = read_head(data, limits)
    assert result is not None
    head, used = result
    assert used == len(data)
    return head


def read_in_steps(
    data: bytes, ends: Iterable[int], limits: HeadLimits = LIMITS
) -> tuple[RequestHead, int] | None:
    """Read a head from a buffer that grows to each of these lengths."""
    buffer = bytearray()
    for end in ends:
        buffer += data[len(buffer) : end]
        result = read_head(buffer, limits)
        if result is not None:
            return result
    return None


def feed(reader: ChunkedReader | LengthReader, pieces: Iterable[bytes]) -> tuple[bytes, bytes]:
    """Feed pieces one after another; return the whole body and everything behind it."""
    body = unused = b""
    for piece in pieces:
        decoded, behind = drain(reader, piece)
        assert not behind or reader.is_complete
        body += decoded
        unused += behind
    return body, unused


def drain(reader: ChunkedReader | LengthReader, piece: bytes) -> tuple[bytes, bytes]:
    """Feed one piece, in as many steps as the reader takes."""
    body, behind = reader.feed(piece)
    while reader.is_paused:
        assert not behind
        decoded, behind = reader.feed(b"")
        body += decoded
    return body, behind


def one_by_one(data: bytes) -> Iterable[bytes]:
    """Cut into single bytes."""
    return (data[at : at + 1] for at in range(len(data)))
