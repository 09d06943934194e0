"""Chunked bodies and their trailers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz._splits import check_error, check_splits
from tests.property.test_codec_bodies import check_h11_reads_alike
from trillium_trio.codec import ChunkedReader
from trillium_trio.exceptions import HttpError

if TYPE_CHECKING:
    from tests.fuzz._splits import Pieces


def chunks(data: bytes) -> None:
    """Read what may be a chunked body, and whatever follows it."""
    for line, trailer, count in ((4096, 8192, 100), (12, 40, 2)):

        def read(
            pieces: Pieces,
            line: int = line,
            trailer: int = trailer,
            count: int = count,
            step: int = 256,
        ) -> tuple[object, int]:
            reader = ChunkedReader(
                max_line_bytes=line,
                max_trailer_bytes=trailer,
                max_trailers=count,
                max_step_chunks=step,
            )
            # Two more: the trailers are kept with the line break in front of them.
            return _read(reader, pieces, most=max(line, trailer + 2))

        outcome = check_splits(data, read)
        for step in (1, 2):
            assert read([data], step=step)[0] == outcome
    if data:  # none would tell h11 that the connection has ended
        check_h11_reads_alike(data)


def _read(reader: ChunkedReader, pieces: Pieces, *, most: int) -> tuple[object, int]:
    body = b""
    given = 0
    for piece in pieces:
        given += len(piece)
        try:
            decoded, behind = reader.feed(piece)
            while reader.is_paused:
                assert not behind
                body += decoded
                decoded, behind = reader.feed(b"")
        except HttpError as error:
            return (check_error(error), body + reader.before_fault), given
        assert len(reader._held) <= most
        body += decoded
        if reader.is_complete:
            return (body, reader.trailers.raw, given - len(behind)), given
        assert not reader.trailers
    # What is not complete yet is a prefix: nothing of it has been lost or invented.
    return (repr(reader), body, reader._held), given
