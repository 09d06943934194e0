"""Chunked bodies and their trailers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11

from tests.fuzz._splits import check_error, check_splits
from trillium_trio.codec import ChunkedReader
from trillium_trio.exceptions import HttpError

if TYPE_CHECKING:
    from tests.fuzz._splits import Pieces


def chunks(data: bytes) -> None:
    """Read what may be a chunked body, and whatever follows it."""
    for line, trailer, count in ((4096, 8192, 100), (12, 40, 2)):

        def read(
            pieces: Pieces, line: int = line, trailer: int = trailer, count: int = count
        ) -> tuple[object, int]:
            reader = ChunkedReader(
                max_line_bytes=line, max_trailer_bytes=trailer, max_trailers=count
            )
            # Two more: the trailers are kept with the line break in front of them.
            return _read(reader, pieces, most=max(line, trailer + 2))

        check_splits(data, read)
    if data:  # none would tell h11 that the connection has ended
        _check_h11_reads_alike(data)


def _read(reader: ChunkedReader, pieces: Pieces, *, most: int) -> tuple[object, int]:
    body = b""
    given = 0
    for piece in pieces:
        given += len(piece)
        try:
            decoded, behind = reader.feed(piece)
        except HttpError as error:
            return check_error(error), given
        assert len(reader._held) <= most
        body += decoded
        if reader.is_complete:
            return (body, reader.trailers.raw, given - len(behind)), given
        assert not reader.trailers
    # What is not complete yet is a prefix: nothing of it has been lost or invented.
    return (repr(reader), body, reader._held), given


def _check_h11_reads_alike(data: bytes) -> None:
    reader = ChunkedReader()
    try:
        body, behind = reader.feed(data)
    except HttpError:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.next_event()
    connection.receive_data(data)
    theirs = b""
    while isinstance(event := connection.next_event(), h11.Data):
        theirs += bytes(event.data)
    assert theirs == body
    if reader.is_complete:
        assert isinstance(event, h11.EndOfMessage)
        assert event.headers.raw_items() == reader.trailers.raw
        assert connection.trailing_data[0] == behind
    else:
        assert event is h11.NEED_DATA
