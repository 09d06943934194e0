"""CN-16, CN-17 and CN-18 at the level of bytes and values. On connections: test_cn_limits.py."""

from __future__ import annotations

import h11
import pytest

from trillium_trio.codec import (
    BodyFraming,
    ChunkedReader,
    HeadLimits,
    is_head_started,
    read_head,
    render_head,
    render_last_chunk,
)
from trillium_trio.exceptions import BadRequest, HttpError
from trillium_trio.http import Headers, reason_phrase

LIMITS = HeadLimits()

# Header fields that CN-17 refuses, behind a good request line and Host.
DOUBTFUL_FIELDS = [
    [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
    [b"Content-Length: 5", b"Content-Length: 6"],
    [b"Content-Length: 5", b"Content-Length: 5"],
    [b"Content-Length: 5, 5"],
    [b"Content-Length: +5"],
    [b"Content-Length: 05"],
    [b"Content-Length: 00"],
    [b"Transfer-Encoding: chunked, chunked"],
    [b"Transfer-Encoding: chunked, gzip"],
    [b"Transfer-Encoding:"],
    [b"Transfer-Encoding : chunked"],
    [b"A: b\rContent-Length: 5"],
    [b"A: b\nContent-Length: 5"],
    [b"A: b\x00"],
    [b"A: b", b" folded"],
    [b": b"],
    [b"A"],
    [b"Host: h"],
]
# Methods and targets that CN-17 refuses.
DOUBTFUL_TARGETS = [
    b"GET *",
    b"GET h:80",
    b"GET /#a",
    b"GET /a\\b",
    b"GET http://u@h/",
    b"CONNECT /",
    b"CONNECT h",
]
# Chunked bodies that CN-17 refuses.
DOUBTFUL_CHUNKS = [
    b"5 \r\n",
    b"0x5\r\n",
    b"+5\r\n",
    b"5\n",
    b"5;\r\n",
    b"5;a\rb\r\n",
    b"00000000000000005\r\n",
    b"1\r\nab\r\n",
    b"1\r\na\n",
    b"0\r\nA : b\r\n\r\n",
    b"0\r\nA: b\r\n c\r\n\r\n",
    b"0\r\nA: b\n\r\n",
    b"0\r\nContent-Length: 5\r\n\r\n",
    b"0\r\nHost: h\r\n\r\n",
    b"0\r\nUpgrade: a\r\n\r\n",
]
# What a peer may send instead of a head or field, up to the byte at which it is certain.
NOT_HTTP = [
    b"GET /\r\n",
    b"GET  / HTTP/1.1\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"EHLO example.com\r\n",
    b"\x16",
]
BAD_FIELDS = [b"Host\r\n", b"Host : h\r\n", b" folded\r\n", b": h\r\n", b"H(st: h\r\n"]


def status_of_head(data: bytes, limits: HeadLimits = LIMITS) -> int | None:
    """Return the status that a head is refused with, the same whole and byte by byte."""
    statuses = []
    for ends in ([len(data)], range(1, len(data) + 1)):
        status = None
        for end in ends:
            try:
                if read_head(data[:end], limits):
                    break
            except HttpError as error:
                status = error.status
                break
        statuses.append(status)
    assert statuses[0] == statuses[1]
    return statuses[0]


def status_of_chunks(data: bytes) -> int | None:
    """Return the status that a chunked body is refused with, the same whole and byte by byte."""
    statuses = []
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        reader = ChunkedReader(max_line_bytes=20, max_trailer_bytes=30, max_trailers=2)
        status = None
        for piece in pieces:
            try:
                reader.feed(piece)
            except HttpError as error:
                status = error.status
                break
        statuses.append(status)
    assert statuses[0] == statuses[1]
    return statuses[0]


def post(*fields: bytes) -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: h", *fields, b"", b""])


def test_cn_16_head_limits_have_their_statuses() -> None:
    small = HeadLimits(max_head_bytes=60, max_headers=2, max_target_bytes=10)
    assert status_of_head(post(b"A: b"), small) is None
    assert status_of_head(post(b"A: " + b"b" * 60), small) == 431
    assert status_of_head(post(b"A: b", b"C: d"), small) == 431
    assert status_of_head(b"GET /1234567890 HTTP/1.1\r\nHost: h\r\n\r\n", small) == 414


def test_cn_16_limits_count_bytes_however_they_arrive() -> None:
    # A limit on what has not been parsed yet would let a large head pass in one piece.
    assert status_of_head(post(b"A: " + b"b" * 60_000)) == 431
    assert status_of_head(b"GET /" + b"a" * 60_000) == 414


def test_cn_16_body_limits_have_their_statuses() -> None:
    assert status_of_chunks(b"1;" + b"a" * 20 + b"\r\n") == 400
    assert status_of_chunks(b"0\r\nA: " + b"b" * 30 + b"\r\n\r\n") == 431
    assert status_of_chunks(b"0\r\nA:\r\nB:\r\nC:\r\n\r\n") == 431


def test_cn_16_what_is_not_supported_has_its_status() -> None:
    assert status_of_head(post(b"Transfer-Encoding: gzip, chunked")) == 501
    assert status_of_head(post(b"Transfer-Encoding: unheard-of")) == 501
    assert status_of_head(b"PRI * HTTP/2.0\r\n\r\n") == 505
    assert status_of_head(post(b"Expect: more")) == 417
    assert status_of_head(b"hello\r\n\r\n") == 400


@pytest.mark.parametrize("data", NOT_HTTP)
def test_cn_16_a_request_line_is_judged_when_its_line_break_comes(data: bytes) -> None:
    assert read_head(data[:-1], LIMITS) is None
    assert status_of_head(data) == 400


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"PRI * HTTP/2.0", 505),
        (b"GET / HTTP/1.2", 505),
        *((line + b" HTTP/1.1", 400) for line in DOUBTFUL_TARGETS),
    ],
)
def test_cn_16_so_are_its_version_and_its_target(line: bytes, status: int) -> None:
    assert status_of_head(line + b"\r") is None
    assert status_of_head(line + b"\r\n") == status


@pytest.mark.parametrize("line", BAD_FIELDS)
def test_cn_16_a_field_line_is_judged_when_its_line_break_comes(line: bytes) -> None:
    data = b"GET / HTTP/1.1\r\nA: b\r\n" + line
    assert status_of_head(data[:-1]) is None
    assert status_of_head(data) == 400


@pytest.mark.parametrize("line", [*BAD_FIELDS, b"Content-Length: 1\r\n"])
def test_cn_16_so_is_that_of_a_trailer(line: bytes) -> None:
    data = b"0\r\nA: b\r\n" + line
    assert status_of_chunks(data[:-1]) is None
    assert status_of_chunks(data) == 400


def test_cn_16_what_several_fields_say_is_judged_at_the_end_of_the_head() -> None:
    both = post(b"Content-Length: 5", b"Transfer-Encoding: chunked")
    for data in (both, b"GET / HTTP/1.1\r\nA: b\r\n\r\n", post(b"Content-Length: +5")):
        assert status_of_head(data[:-1]) is None
        assert status_of_head(data) == 400


def test_cn_16_of_several_faults_the_earliest_is_answered() -> None:
    small = HeadLimits(max_head_bytes=60, max_headers=2, max_target_bytes=10)
    assert status_of_head(b"GET / HTTP/1.2\r\nA\r\n\x00\r\n\r\n", small) == 505
    assert status_of_head(b"GET /1234567890 HTTP/1.2\r\n\r\n", small) == 414
    assert status_of_head(b"GET / HTTP/1.1\r\nA\r\nB:" + b"b" * 60, small) == 400
    assert status_of_head(b"GET / HTTP/1.1\r\nA:" + b"b" * 60 + b"\r\nB\r\n\r\n", small) == 431
    assert status_of_head(post(b"A: b", b"C: d", b"E"), small) == 431
    assert status_of_head(post(b"A", b"C: d", b"E: f"), small) == 400
    # The line is malformed before it is known that there is no Host, and which coding is asked for.
    assert status_of_head(b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nA\r\n\r\n") == 400


def test_cn_16_a_tls_handshake_is_named() -> None:
    with pytest.raises(BadRequest, match="TLS handshake on a plaintext port"):
        read_head(b"\x16", LIMITS)


def test_cn_16_one_empty_line_is_skipped_and_starts_nothing() -> None:
    assert not is_head_started(b"\r\n")
    assert status_of_head(b"\r\n" + post()) is None
    assert status_of_head(b"\r\n\r\n" + post()) == 400


def test_cn_16_h11_reads_the_same() -> None:
    data = b"GET /a?b HTTP/1.1\r\nHost: h:80\r\nAccept: a, b\r\nx-EMPTY:\r\n\r\n"
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    theirs = connection.next_event()
    assert isinstance(theirs, h11.Request)
    result = read_head(data, LIMITS)
    assert result is not None
    ours, _ = result
    assert ours.headers.raw == theirs.headers.raw_items()
    assert (ours.method.encode(), ours.target.encode()) == (theirs.method, theirs.target)


@pytest.mark.parametrize("fields", DOUBTFUL_FIELDS)
def test_cn_17_doubtful_heads_are_refused(fields: list[bytes]) -> None:
    assert status_of_head(post(*fields)) == 400


def test_cn_17_no_chunked_on_http_1_0() -> None:
    data = post(b"Transfer-Encoding: chunked").replace(b"/1.1", b"/1.0")
    assert status_of_head(data) == 400


def test_cn_17_exactly_one_host_which_may_be_empty() -> None:
    assert status_of_head(b"GET / HTTP/1.1\r\nHost:\r\n\r\n") is None
    assert status_of_head(b"GET / HTTP/1.0\r\n\r\n") is None
    assert status_of_head(b"GET / HTTP/1.1\r\nA: b\r\n\r\n") == 400
    assert status_of_head(b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n") == 400
    assert status_of_head(b"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n") == 400
    assert status_of_head(b"GET / HTTP/1.1\r\nHost: h:65535\r\n\r\n") is None
    assert status_of_head(b"GET / HTTP/1.1\r\nHost: h:65536\r\n\r\n") == 400
    assert status_of_head(b"GET / HTTP/1.1\r\nHost: 70000\r\n\r\n") is None


@pytest.mark.parametrize("line", DOUBTFUL_TARGETS)
def test_cn_17_a_target_has_a_form_of_its_method(line: bytes) -> None:
    assert status_of_head(line + b" HTTP/1.1\r\nHost: h\r\n\r\n") == 400


def test_cn_17_the_target_says_the_host() -> None:
    result = read_head(b"GET http://a/b HTTP/1.1\r\nHost: c\r\n\r\n", LIMITS)
    assert result is not None
    assert result[0].host == "a"
    result = read_head(b"GET //a/b HTTP/1.1\r\nHost: c\r\n\r\n", LIMITS)
    assert result is not None
    assert (result[0].host, result[0].path) == ("c", "//a/b")


@pytest.mark.parametrize("data", DOUBTFUL_CHUNKS)
def test_cn_17_doubtful_chunks_are_refused(data: bytes) -> None:
    assert status_of_chunks(data) == 400


def test_cn_17_white_space_before_a_chunk_extension_is_no_fault() -> None:
    # RFC 9112, 7.1.1: BWS, which a recipient has to accept.
    reader = ChunkedReader()
    assert reader.feed(b"5 ;a\t;b = c\r\nhello\r\n0 ;a\r\n\r\n") == (b"hello", b"")
    assert reader.is_complete
    assert status_of_chunks(b"5 \r\n") == status_of_chunks(b"5;a \r\n") == 400


@pytest.mark.parametrize(
    "name",
    [
        *(b"Vary", b"Content-Type", b"Content-Encoding", b"Authorization", b"Cookie", b"Trailer"),
        *(b"TE", b"Expect", b"Cache-Control", b"If-Match", b"Date"),
    ],
)
def test_cn_17_a_trailer_that_is_not_allowed_is_dropped(name: bytes) -> None:
    data = b"0\r\nA: b\r\n" + name + b": c\r\nD: e\r\n" + name.lower() + b":\r\n\r\n"
    reader = ChunkedReader()
    assert reader.feed(data + b"next") == (b"", b"next")
    assert reader.trailers.items() == [("A", "b"), ("D", "e")]


@pytest.mark.parametrize(
    "name",
    [
        *(b"Transfer-Encoding", b"Content-Length", b"Host", b"Upgrade"),
        *(b"Connection", b"Keep-Alive", b"Proxy-Connection"),
    ],
)
def test_cn_17_a_trailer_that_frames_or_routes_is_refused(name: bytes) -> None:
    assert status_of_chunks(b"0\r\n" + name + b": c\r\n\r\n") == 400


def test_cn_17_a_dropped_trailer_is_counted_and_checked() -> None:
    assert status_of_chunks(b"0\r\nVary:\r\nVary:\r\nVary:\r\n\r\n") == 431
    assert status_of_chunks(b"0\r\nVary: " + b"a" * 30 + b"\r\n\r\n") == 431
    assert status_of_chunks(b"0\r\nVary : a\r\n\r\n") == 400


def test_cn_17_an_incomplete_message_is_silent() -> None:
    assert status_of_head(post(b"Content-Length: 5")[:-2]) is None
    reader = ChunkedReader()
    assert reader.feed(b"5\r\nhell") == (b"hell", b"")
    assert not reader.is_complete


@pytest.mark.parametrize("character", ["\r", "\n", "\r\n", "\x00", "\x1b", "\x7f", "\u2028"])
def test_cn_18_unsendable_fields_are_refused_when_they_are_set(character: str) -> None:
    headers = Headers()
    with pytest.raises(ValueError, match="X-Tag"):
        headers.set("X-Tag", f"a{character}b")
    with pytest.raises(ValueError, match="X-Tag"):
        headers.append(f"X-Tag{character}", "a")
    assert len(headers) == 0


def test_cn_18_a_status_brings_no_reason_of_its_own() -> None:
    assert reason_phrase(200) == "OK"
    assert reason_phrase(599) == ""


def test_cn_18_framing_fields_of_a_handler_contradict_nothing() -> None:
    headers = Headers({"Content-Length": "99", "Transfer-Encoding": "chunked"})

    def render(framing: BodyFraming, method: str) -> bytes:
        return render_head(
            200,
            headers,
            date_line=b"",
            server_line=b"",
            framing=framing,
            length=5,
            close=False,
            version="1.1",
            method=method,
        )

    assert render(BodyFraming.LENGTH, "GET") == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    assert render(BodyFraming.NONE, "HEAD") == b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"
    with pytest.raises(ValueError, match="trailer"):
        render_last_chunk(headers)
