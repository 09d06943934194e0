"""Bodies: splits do not matter, and the chunks that we take, h11 takes alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from trillium_trio.exceptions import BadRequest, HttpError
from trillium_trio.http import Headers

if TYPE_CHECKING:
    from collections.abc import Iterator

BODIES = damaged(chunked_bodies())
PIECES = st.lists(st.binary(max_size=40), max_size=6)


def outcome(pieces: list[bytes], most: int = 256) -> tuple[object, ...]:
    """Feed pieces; return what came of it, in a form that compares."""
    reader = ChunkedReader(
        max_line_bytes=12, max_trailer_bytes=24, max_trailers=2, max_step_chunks=most
    )
    body = unused = b""
    for piece in in_steps(reader, pieces):
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


def in_steps(reader: ChunkedReader, pieces: list[bytes]) -> Iterator[bytes]:
    """Yield the pieces, and nothing for each further step that a piece takes."""
    for piece in pieces:
        yield piece
        while reader.is_paused:
            yield b""


@given(st.data(), BODIES, st.integers(1, 3))
def test_any_steps_of_chunks_read_the_same(data: st.DataObject, body: bytes, most: int) -> None:
    whole = outcome([body])
    assert outcome([body], most) == whole
    assert outcome(data.draw(cut(body)), most) == whole


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"%x", b"%016x"]),
            st.integers(1, 40),
            st.integers(0, 4000) | st.just(0),
        ),
        max_size=12,
    )
)
def test_cn_16_what_go_refuses_for_its_overhead_we_refuse(
    chunks: list[tuple[bytes, int, int]],
) -> None:
    data = b""
    excess = 0
    is_refused = False
    for form, size, extension in chunks:
        line = form % size + (b";" + b"a" * extension if extension else b"") + b"\r\n"
        data += line + bytes(size) + b"\r\n"
        # net/http/internal/chunked.go
        excess = max(0, excess + len(line) - 16 - 2 * size)
        is_refused = is_refused or excess > 16 * 1024
    refusal = outcome_of_defaults(data)
    assert not is_refused or refusal is BadRequest


def outcome_of_defaults(data: bytes) -> type[HttpError] | None:
    try:
        ChunkedReader().feed(data)
    except HttpError as error:
        return type(error)
    return None


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
