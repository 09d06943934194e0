"""Bodies: splits do not matter, and the chunks that we take, h11 takes alike."""

from __future__ import annotations

import h11
from hypothesis import given
from hypothesis import strategies as st

from tests.property._messages import SPACE_BEFORE_EXTENSION, chunked_bodies, cut, damaged
from trillium_trio.codec import (
    ChunkedReader,
    LengthReader,
    _body,
    chunk_prefix,
    render_chunk,
    render_last_chunk,
)
from trillium_trio.exceptions import HttpError
from trillium_trio.http import Headers

BODIES = damaged(chunked_bodies())
PIECES = st.lists(st.binary(max_size=40), max_size=6)


def outcome(pieces: list[bytes]) -> tuple[object, ...]:
    """Feed pieces; return what came of it, in a form that compares."""
    reader = ChunkedReader(max_line_bytes=12, max_trailer_bytes=24, max_trailers=2)
    body = unused = b""
    for piece in pieces:
        try:
            decoded, behind = reader.feed(piece)
        except HttpError as error:
            return type(error), str(error), body + reader.before_fault
        body += decoded
        unused += behind
    return reader.is_complete, body, unused, reader.trailers.raw


@given(st.data(), BODIES)
def test_any_split_of_chunks_reads_the_same(data: st.DataObject, body: bytes) -> None:
    whole = outcome([body])
    assert outcome(data.draw(cut(body))) == whole
    assert outcome([body[at : at + 1] for at in range(len(body))]) == whole


@given(BODIES)
def test_chunks_that_we_take_h11_takes_alike(data: bytes) -> None:
    check_h11_reads_alike(data)


def check_h11_reads_alike(data: bytes) -> None:
    reader = ChunkedReader()
    try:
        body, unused = reader.feed(data)
    except HttpError:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.next_event()
    connection.receive_data(data)
    theirs = b""
    try:
        while isinstance(event := connection.next_event(), h11.Data):
            theirs += bytes(event.data)
    except h11.RemoteProtocolError:
        # The one thing that h11 refuses and a recipient has to accept (RFC 9112, 7.1.1).
        if SPACE_BEFORE_EXTENSION.search(data):
            return
        raise
    assert theirs == body
    if reader.is_complete:
        assert isinstance(event, h11.EndOfMessage)
        assert reader.trailers.raw == [
            (name, value)
            for name, value in event.headers.raw_items()
            if name.decode().lower() not in _body.FORBIDDEN_TRAILERS
        ]
        assert connection.trailing_data[0] == unused
    else:
        assert event is h11.NEED_DATA


@given(st.data(), st.integers(0, 60), st.binary(max_size=80))
def test_any_split_of_a_length_reads_the_same(
    data: st.DataObject, length: int, stream: bytes
) -> None:
    reader = LengthReader(length)
    body = unused = b""
    for piece in data.draw(cut(stream)):
        decoded, behind = reader.feed(piece)
        assert not behind or reader.is_complete
        body += decoded
        unused += behind
    assert (body, unused) == (stream[:length], stream[length:])
    assert reader.remaining == length - len(body)


@given(st.data(), PIECES, st.sampled_from([None, Headers({"Checksum": "a", "b": ""})]))
def test_what_we_render_we_read_back(
    data: st.DataObject, pieces: list[bytes], trailers: Headers | None
) -> None:
    stream = b"".join(map(render_chunk, pieces)) + render_last_chunk(trailers)
    reader = ChunkedReader()
    body = b"".join(reader.feed(piece)[0] for piece in data.draw(cut(stream)))
    assert body == b"".join(pieces)
    assert reader.is_complete
    assert reader.trailers == (trailers or Headers())


@given(st.integers(1, 2**64 - 1))
def test_every_size_reads_back(size: int) -> None:
    reader = ChunkedReader()
    assert reader.feed(chunk_prefix(size)) == (b"", b"")
    assert f" {size} bytes left" in repr(reader)
