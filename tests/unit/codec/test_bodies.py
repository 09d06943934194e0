"""Readers of request bodies. Whatever they are fed is also fed byte by byte."""

from __future__ import annotations

import pytest

from tests.unit.codec._heads import drain, feed, one_by_one
from trillium_trio.codec import LAST_CHUNK, ChunkedReader, LengthReader, render_chunk
from trillium_trio.exceptions import BadRequest, HeaderFieldsTooLarge, HttpError


def test_a_length_is_counted_down() -> None:
    reader = LengthReader(5)
    assert not reader.is_complete
    assert reader.feed(b"abc") == (b"abc", b"")
    assert reader.remaining == 2
    assert reader.feed(b"") == (b"", b"")
    assert reader.feed(b"defg") == (b"de", b"fg")
    assert reader.is_complete
    assert reader.feed(b"h") == (b"", b"h")
    assert len(reader.trailers) == 0
    assert repr(reader) == "<LengthReader 0 bytes to come>"


def test_a_length_of_zero_is_complete() -> None:
    reader = LengthReader(0)
    assert reader.is_complete
    assert reader.feed(b"next") == (b"", b"next")


def test_large_pieces_are_handed_on_uncopied() -> None:
    data = bytes(65_536)
    assert LengthReader(100_000).feed(data)[0] is data
    assert LengthReader(65_536).feed(data)[0] is data
    chunked = ChunkedReader()
    chunked.feed(b"20000\r\n")
    assert chunked.feed(data)[0] is data


WELL_FORMED = {
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "two chunks": (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
    "no chunks": (b"0\r\n\r\n", b""),
    "hex in both cases": (
        b"A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n",
        b"01234567890123456789a",
    ),
    "leading zeros": (b"0000000000000001\r\nx\r\n00\r\n\r\n", b"x"),
    "line breaks in data": (b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", b"\r\n0\r\n\r"),
    "an extension": (b"1;a\r\nx\r\n0;b=c\r\n\r\n", b"x"),
    "extensions": (b'1;a=b;c="d;\\"\xe9";e\r\nx\r\n0\r\n\r\n', b"x"),
    "spaces in an extension": (b"1; a = b\r\nx\r\n0\r\n\r\n", b"x"),
    "spaces before extensions": (b"1 \t; a\t ;b=c ;d\r\nx\r\n0 ;e\r\n\r\n", b"x"),
}


@pytest.mark.parametrize("case", WELL_FORMED)
def test_well_formed_chunks(case: str) -> None:
    data, body = WELL_FORMED[case]
    for pieces in ([data], [data + b"next"], one_by_one(data), [*one_by_one(data), b"ne", b"xt"]):
        reader = ChunkedReader()
        read, behind = feed(reader, pieces)
        assert read == body
        assert behind in {b"", b"next"}
        assert reader.is_complete
        assert len(reader.trailers) == 0


@pytest.mark.parametrize("end", range(len(b"5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n")))
def test_part_of_a_body_is_not_complete(end: int) -> None:
    reader = ChunkedReader()
    assert reader.feed(b"5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n"[:end])[1] == b""
    assert not reader.is_complete
    assert len(reader.trailers) == 0


def test_trailers() -> None:
    data = b"1\r\nx\r\n0\r\nChecksum: abc\r\nX-Empty:\r\nx-a: \xe9\r\n\r\n"
    for pieces in ([data + b"next"], one_by_one(data)):
        reader = ChunkedReader()
        assert feed(reader, pieces)[0] == b"x"
        assert reader.is_complete
        assert reader.trailers.items() == [("Checksum", "abc"), ("X-Empty", ""), ("x-a", "\xe9")]


def test_trailers_that_are_not_allowed_are_dropped() -> None:
    data = b"0\r\nAuthorization: x\r\na: b\r\nCONTENT-TYPE: x\r\nvary:\r\n\r\n"
    for pieces in ([data + b"next"], one_by_one(data)):
        reader = ChunkedReader()
        feed(reader, pieces)
        assert reader.is_complete
        assert reader.trailers.items() == [("a", "b")]
        assert reader.trailers.render() == b"a: b\r\n"


BROKEN: dict[str, tuple[bytes, type[HttpError]]] = {
    "no size": (b"\r\n", BadRequest),
    "no hex": (b"g\r\n", BadRequest),
    "a sign": (b"+1\r\nx\r\n", BadRequest),
    "a minus": (b"-1\r\nx\r\n", BadRequest),
    "a prefix": (b"0x1\r\nx\r\n", BadRequest),
    "an underscore": (b"1_0\r\n", BadRequest),
    "seventeen digits": (b"00000000000000001\r\n", BadRequest),
    "a space before": (b" 1\r\nx\r\n", BadRequest),
    "a space behind": (b"1 \r\nx\r\n", BadRequest),
    "a space behind an extension": (b"1;a \r\nx\r\n", BadRequest),
    "a space behind a value": (b"1;a=b \r\nx\r\n", BadRequest),
    "a space and no semicolon": (b"1 a\r\nx\r\n", BadRequest),
    "a space and an empty extension": (b"1 ;\r\nx\r\n", BadRequest),
    "bare LF": (b"1\nx\n", BadRequest),
    "bare CR": (b"1\rx\r\n", BadRequest),
    "bare CR in an extension": (b"1;a\rb\r\nx\r\n", BadRequest),
    "bare LF in a quoted extension": (b'1;a="\n"\r\nx\r\n', BadRequest),
    "an empty extension": (b"1;\r\nx\r\n", BadRequest),
    "an extension that is no token": (b"1;a(\r\nx\r\n", BadRequest),
    "an extension without value": (b"1;a=\r\nx\r\n", BadRequest),
    "an open quote": (b'1;a="b\r\nx\r\n', BadRequest),
    "NUL in an extension": (b"1;a\x00\r\nx\r\n", BadRequest),
    "data too long": (b"1\r\nxy\r\n", BadRequest),
    "data without a line break": (b"1\r\nx0\r\n\r\n", BadRequest),
    "data followed by LF": (b"1\r\nx\n0\r\n\r\n", BadRequest),
    "data followed by CR": (b"1\r\nx\ry", BadRequest),
    "a folded trailer": (b"0\r\nA: b\r\n c\r\n\r\n", BadRequest),
    "a trailer without colon": (b"0\r\nA\r\n\r\n", BadRequest),
    "a space before the colon of a trailer": (b"0\r\nA : b\r\n\r\n", BadRequest),
    "a bare LF in trailers": (b"0\r\nA: b\n\r\n", BadRequest),
    "a bare LF for trailers": (b"0\r\n\n", BadRequest),
    "a bare CR for trailers": (b"0\r\n\rx", BadRequest),
    "NUL in a trailer": (b"0\r\nA: \x00\r\n\r\n", BadRequest),
    "a length in trailers": (b"0\r\nContent-Length: 5\r\n\r\n", BadRequest),
    "a coding in trailers": (b"0\r\ntransfer-encoding: chunked\r\n\r\n", BadRequest),
    "a Host in trailers": (b"0\r\nA: b\r\nHost: h\r\n\r\n", BadRequest),
    "an option of the connection in trailers": (b"0\r\nConnection: close\r\n\r\n", BadRequest),
    "a refused trailer behind a dropped one": (b"0\r\nVary: x\r\nHost: h\r\n\r\n", BadRequest),
    "a malformed trailer behind a refused one": (b"0\r\nHost: h\r\nA\r\n\r\n", BadRequest),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_chunks(case: str) -> None:
    data, error = BROKEN[case]
    with pytest.raises(error) as whole:
        ChunkedReader().feed(data)
    with pytest.raises(error) as bytewise:
        feed(ChunkedReader(), one_by_one(data))
    assert str(bytewise.value) == str(whole.value)
    assert str(whole.value).isprintable()


def test_the_length_of_a_size_line_is_limited() -> None:
    line = b"1;" + b"a" * 10 + b"\r\n"
    data = line + b"x\r\n0\r\n\r\n"
    for pieces in ([data], one_by_one(data)):
        assert feed(ChunkedReader(max_line_bytes=len(line)), pieces)[0] == b"x"
    for end in (len(line) - 1, len(line), len(data)):
        with pytest.raises(BadRequest, match="more than 13 bytes"):
            ChunkedReader(max_line_bytes=len(line) - 1).feed(data[:end])
    reader = ChunkedReader(max_line_bytes=len(line) - 1)
    reader.feed(data[: len(line) - 2])


def test_what_is_held_is_limited() -> None:
    reader = ChunkedReader()
    with pytest.raises(BadRequest):
        feed(reader, (b"0" for _ in range(4097)))


def test_the_size_of_trailers_is_limited() -> None:
    trailers = b"A: b\r\n\r\n"
    for pieces in ([b"0\r\n" + trailers], one_by_one(b"0\r\n" + trailers)):
        reader = ChunkedReader(max_trailer_bytes=len(trailers))
        feed(reader, pieces)
        assert reader.is_complete
    for pieces in ([b"0\r\nA: bb\r\n\r\n"], one_by_one(b"0\r\nA: bb\r\n\r\n")):
        with pytest.raises(HeaderFieldsTooLarge, match="bytes"):
            feed(ChunkedReader(max_trailer_bytes=len(trailers)), pieces)


def test_the_number_of_trailers_is_limited() -> None:
    for pieces in ([b"0\r\nA:\r\nB:\r\n\r\n"], one_by_one(b"0\r\nA:\r\nB:\r\n\r\n")):
        reader = ChunkedReader(max_trailers=2)
        feed(reader, pieces)
        assert list(reader.trailers) == ["a", "b"]
    for pieces in ([b"0\r\nA:\r\nB:\r\nC:\r\n"], one_by_one(b"0\r\nA:\r\nB:\r\nC:\r\n")):
        with pytest.raises(HeaderFieldsTooLarge, match="fields"):
            feed(ChunkedReader(max_trailers=2), pieces)


# In a run of small chunks, among others, and alone.
ODDLY_SIZED = [b"x", b"y" * 15, b"z" * 16, b"a", b"b", b"c" * 300, b"d" * 2, b"\r\n"]


@pytest.mark.parametrize("most", [1, 2, 3, 256])
def test_cn_23_a_step_reads_so_many_chunks(most: int) -> None:
    chunks = ODDLY_SIZED * 100
    data = b"".join(map(render_chunk, chunks)) + LAST_CHUNK + b"behind"
    reader = ChunkedReader(max_step_chunks=most)
    begun = 0
    piece = data
    while True:
        body, behind = reader.feed(piece)
        assert reader.step_chunks <= most
        assert body == b"".join(chunks[begun : begun + reader.step_chunks])
        begun += reader.step_chunks
        if not reader.is_paused:
            break
        assert reader.step_chunks == most
        assert (behind, reader.is_complete) == (b"", False)
        piece = b""
    assert begun == len(chunks) + 1
    assert (behind, reader.is_complete) == (b"behind", True)


def test_cn_23_a_paused_reader_takes_more() -> None:
    reader = ChunkedReader(max_step_chunks=1)
    assert reader.feed(b"1\r\nx\r\n1\r\ny\r\n1") == (b"x", b"")
    assert reader.is_paused
    assert reader.feed(b"\r\nz\r\n0\r\n\r") == (b"y", b"")
    assert drain(reader, b"") == (b"z", b"")
    assert drain(reader, b"\nbehind") == (b"", b"behind")
    assert reader.is_complete


def test_cn_23_a_fault_is_found_in_the_step_in_which_it_stands() -> None:
    reader = ChunkedReader(max_step_chunks=2)
    assert reader.feed(b"1\r\nx\r\n1\r\ny\r\n1\r\nz\r\n?\r\n") == (b"xy", b"")
    with pytest.raises(BadRequest):
        reader.feed(b"")
    assert reader.before_fault == b"z"
    assert not reader.is_paused


def test_a_chunk_beyond_memory_is_just_read() -> None:
    reader = ChunkedReader()
    assert reader.feed(b"ffffffffffffffff\r\nabc") == (b"abc", b"")
    assert repr(reader) == f"<ChunkedReader DATA, {2**64 - 4} bytes left of a chunk>"
