"""One request head: its end, its limits, its facts. Every test runs through both lanes."""

from __future__ import annotations

import pytest

from tests.unit.codec._heads import LIMITS, read, read_in_steps
from trillium_trio.codec import HeadLimits, is_head_started, read_head
from trillium_trio.exceptions import (
    BadRequest,
    ExpectationFailed,
    HeaderFieldsTooLarge,
    HttpError,
    NotImplementedByServer,
    UriTooLong,
    VersionNotSupported,
)

pytestmark = pytest.mark.usefixtures("lanes")

PLAIN = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def with_fields(*fields: bytes, line: bytes = b"POST / HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: h", *fields, b"", b""])


def test_a_head_and_how_much_it_took() -> None:
    result = read_head(PLAIN + b"next", LIMITS)
    assert result is not None
    head, used = result
    assert used == len(PLAIN)
    assert (head.method, head.target, head.version) == ("GET", "/", "1.1")
    assert head.headers.items() == [("Host", "h")]
    assert head.content_length is None
    assert head.keep_alive
    assert not head.is_chunked
    assert not head.expects_continue
    assert not head.wants_upgrade


@pytest.mark.parametrize("end", range(len(PLAIN)))
def test_part_of_a_head_is_not_enough(end: int) -> None:
    assert read_head(PLAIN[:end], LIMITS) is None
    assert read_head(bytearray(PLAIN[:end]), LIMITS) is None


def test_the_buffer_is_left_alone_and_may_be_of_either_type() -> None:
    buffer = bytearray(PLAIN + b"x")
    result = read_head(buffer, LIMITS)
    assert result is not None
    assert buffer == PLAIN + b"x"
    buffer.clear()
    assert result[0].headers.get("host") == "h", "nothing of the head lives in the buffer"


def test_one_empty_line_before_the_request_line_is_skipped() -> None:
    result = read_head(b"\r\n" + PLAIN, LIMITS)
    assert result is not None
    assert result[1] == len(PLAIN) + 2


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\r\n\r\n" + PLAIN, b"\r\n\r\n\r\n"])
def test_a_second_empty_line_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match="second empty line"):
        read_head(data, LIMITS)


@pytest.mark.parametrize(
    ("buffer", "is_started"),
    [
        (b"", False),
        (b"\r", False),
        (b"\r\n", False),
        (b"\r\n\r", True),
        (b"G", True),
        (b"\n", True),
    ],
)
def test_an_empty_line_is_no_start_of_a_head(buffer: bytes, is_started: bool) -> None:
    assert is_head_started(buffer) is is_started
    assert is_head_started(bytearray(buffer)) is is_started


def test_fields_keep_their_order_case_and_bytes() -> None:
    head = read(
        with_fields(b"X-A:1", b"x-a: \t2 ", b"Caf: \xe9\xff", b"Empty:", line=b"GET / HTTP/1.1")
    )
    assert head.headers.items() == [
        ("Host", "h"),
        ("X-A", "1"),
        ("x-a", "2"),
        ("Caf", "\xe9\xff"),
        ("Empty", ""),
    ]
    assert len(head.headers) == 5


@pytest.mark.parametrize(
    ("line", "fields", "keep_alive"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: keep-alive"], True),
        (b"1.1", [b"connection:\tClose "], False),
        (b"1.1", [b"Connection: keep-alive, close"], False),
        (b"1.1", [b"Connection: close", b"Connection: keep-alive"], False),
        (b"1.1", [b"Connection: x-close"], True),
        (b"1.1", [b"Connection:"], True),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: close"], False),
        (b"1.0", [b"Connection: te, keep-alive"], True),
    ],
)
def test_keep_alive(line: bytes, fields: list[bytes], keep_alive: bool) -> None:
    head = read(with_fields(*fields, line=b"GET / HTTP/" + line))
    assert head.keep_alive is keep_alive
    assert head.version == line.decode()


@pytest.mark.parametrize(
    ("value", "length"), [(b"0", 0), (b"7", 7), (b" 5\t", 5), (b"9" * 18, 10**18 - 1)]
)
def test_content_length(value: bytes, length: int) -> None:
    assert read(with_fields(b"content-LENGTH:" + value)).content_length == length


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b" chunked\t"])
def test_chunked(value: bytes) -> None:
    head = read(with_fields(b"Transfer-Encoding:" + value))
    assert head.is_chunked
    assert head.content_length is None


@pytest.mark.parametrize(
    ("version", "fields", "expects"),
    [
        (b"1.1", [b"Content-Length: 5", b"Expect: 100-continue"], True),
        (b"1.1", [b"Transfer-Encoding: chunked", b"expect: 100-Continue"], True),
        (b"1.1", [b"Content-Length: 0", b"Expect: 100-continue"], False),
        (b"1.1", [b"Expect: 100-continue"], False),
        (b"1.0", [b"Content-Length: 5", b"Expect: 100-continue"], False),
        (b"1.1", [b"Content-Length: 5", b"Expect:"], False),
    ],
)
def test_expect_matters_where_a_body_follows(
    version: bytes, fields: list[bytes], expects: bool
) -> None:
    head = read(with_fields(*fields, line=b"PUT / HTTP/" + version))
    assert head.expects_continue is expects


@pytest.mark.parametrize(
    ("version", "fields", "wants"),
    [
        (b"1.1", [b"Connection: Upgrade", b"Upgrade: websocket"], True),
        (b"1.1", [b"Connection: keep-alive, upgrade", b"Upgrade: websocket"], True),
        (b"1.1", [b"Connection: Upgrade"], False),
        (b"1.1", [b"Connection: Upgrade", b"Upgrade:"], False),
        (b"1.1", [b"Upgrade: websocket"], False),
        (b"1.0", [b"Connection: Upgrade", b"Upgrade: websocket"], False),
    ],
)
def test_upgrade(version: bytes, fields: list[bytes], wants: bool) -> None:
    head = read(with_fields(*fields, line=b"GET / HTTP/" + version))
    assert head.wants_upgrade is wants


def test_connect_asks_for_a_tunnel() -> None:
    head = read(with_fields(line=b"CONNECT example.com:443 HTTP/1.1"))
    assert head.wants_upgrade
    assert head.host == "example.com:443"


@pytest.mark.parametrize(
    "line",
    [
        b"GET /",
        b"get /",
        b"M-SEARCH /",
        b"GET //evil.example/",
        b"GET /a?b?c=/d/../e",
        b"GET /a|b{c}\"'<>^`",
        b"GET /?a\\b",
        b"GET http://h",
        b"GET HTTP://h:80/a?b",
        b"GET http://h?to=/a:70000",
        b"GET https://[::1]:8080/",
        b"OPTIONS *",
        b"OPTIONS http://h",
        b"CONNECT h:1",
        b"CONNECT [::1]:443",
    ],
)
def test_legal_targets(line: bytes) -> None:
    head = read(line + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    assert str(head).encode() == line


@pytest.mark.parametrize(
    "line",
    [
        b"GET example.com",
        b"GET example.com:443",
        b"GET *",
        b"GET ?q",
        b"GET /a#b",
        b"GET /?a#b",
        b"GET /a\\b",
        b"GET http://h/a\\b",
        b"GET http://h/#b",
        b"GET http:///a",
        b"GET http://u@h/",
        b"GET http://h:x/",
        b"GET http://h:70000?a",
        b"GET ftp://h/",
        b"GET http:/a",
        b"GET /caf\xe9",
        b"OPTIONS **",
        b"CONNECT /",
        b"CONNECT h",
        b"CONNECT h:",
        b"CONNECT http://h:1/",
        b"CONNECT u@h:1",
    ],
)
def test_illegal_targets(line: bytes) -> None:
    with pytest.raises(BadRequest):
        read(line + b" HTTP/1.1\r\nHost: h\r\n\r\n")


@pytest.mark.parametrize(
    "host",
    [
        b"h",
        b"",
        b"h:80",
        b"h:",
        b"a_b.c-d~e",
        b"127.0.0.1:1",
        b"[::1]",
        b"[::1]:65535",
        b"%41",
        b"\tH ",
    ],
)
def test_legal_hosts(host: bytes) -> None:
    head = read(b"GET / HTTP/1.1\r\nHost:" + host + b"\r\n\r\n")
    assert head.host == host.strip().decode()


@pytest.mark.parametrize(
    "host",
    [
        b"a b",
        b"a,b",
        b"a/b",
        b"u@h",
        b":80",
        b"h:x",
        b"h:123456",
        b"[::1",
        b"::1",
        b"caf\xe9",
        b"%4",
        b"h#",
    ],
)
def test_illegal_hosts(host: bytes) -> None:
    with pytest.raises(BadRequest, match="Host"):
        read(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")


def test_host_is_required_once() -> None:
    assert read(b"GET / HTTP/1.0\r\n\r\n").host is None
    for data in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET http://h/ HTTP/1.1\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: h\r\nA: b\r\nHOST:\r\n\r\n",
    ):
        with pytest.raises(BadRequest, match="Host"):
            read(data)


REFUSED: dict[str, tuple[bytes, type[HttpError]]] = {
    "no version": (b"GET /\r\nHost: h\r\n\r\n", BadRequest),
    "no target": (b"GET  HTTP/1.1\r\nHost: h\r\n\r\n", BadRequest),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", BadRequest),
    "a space in the target": (b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", BadRequest),
    "a tab for a space": (b"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", BadRequest),
    "a space at the end": (b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", BadRequest),
    "a space at the start": (b" GET / HTTP/1.1\r\nHost: h\r\n\r\n", BadRequest),
    "no method": (b"/ HTTP/1.1\r\nHost: h\r\n\r\n", BadRequest),
    "a method that is no token": (b"GE(T / HTTP/1.1\r\nHost: h\r\n\r\n", BadRequest),
    "http in lower case": (b"GET / http/1.1\r\nHost: h\r\n\r\n", BadRequest),
    "a long minor version": (b"GET / HTTP/1.10\r\nHost: h\r\n\r\n", BadRequest),
    "no minor version": (b"GET / HTTP/1\r\nHost: h\r\n\r\n", BadRequest),
    "HTTP/2.0": (b"PRI * HTTP/2.0\r\n\r\n", VersionNotSupported),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", VersionNotSupported),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\n\r\n", VersionNotSupported),
    "space before the colon": (with_fields(b"A : b"), BadRequest),
    "tab before the colon": (with_fields(b"A\t: b"), BadRequest),
    "a folded field": (with_fields(b"A: b", b" c"), BadRequest),
    "a folded first field": (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", BadRequest),
    "a folded empty line": (with_fields(b"A: b", b"\t"), BadRequest),
    "no colon": (with_fields(b"A"), BadRequest),
    "an empty name": (with_fields(b": b"), BadRequest),
    "a name that is no token": (with_fields(b"A(: b"), BadRequest),
    "a name beyond ASCII": (with_fields(b"\xe9: b"), BadRequest),
    "NUL": (with_fields(b"A: b\x00c"), BadRequest),
    "a control character": (with_fields(b"A: b\x01c"), BadRequest),
    "DEL": (with_fields(b"A: b\x7f"), BadRequest),
    "a vertical tab": (with_fields(b"A: b", b"\x0bTransfer-Encoding: chunked"), BadRequest),
    "bare LF": (b"GET / HTTP/1.1\nHost: h\n\n", BadRequest),
    "bare LF in a value": (with_fields(b"A: b\nC: d"), BadRequest),
    "bare CR in a value": (with_fields(b"A: b\rC: d"), BadRequest),
    "bare CR at the end of a line": (with_fields(b"A: b\r"), BadRequest),
    "both lengths": (
        with_fields(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        BadRequest,
    ),
    "a length twice": (with_fields(b"Content-Length: 5", b"content-length: 5"), BadRequest),
    "a list of lengths": (with_fields(b"Content-Length: 5, 5"), BadRequest),
    "a length with a sign": (with_fields(b"Content-Length: +5"), BadRequest),
    "a negative length": (with_fields(b"Content-Length: -5"), BadRequest),
    "a length in hex": (with_fields(b"Content-Length: 0x5"), BadRequest),
    "a length with an underscore": (with_fields(b"Content-Length: 1_0"), BadRequest),
    "a length with a space": (with_fields(b"Content-Length: 1 0"), BadRequest),
    "an empty length": (with_fields(b"Content-Length:"), BadRequest),
    "a length in other digits": (with_fields(b"Content-Length: \xb2"), BadRequest),
    "a length of 21 digits": (with_fields(b"Content-Length: " + b"0" * 21), BadRequest),
    "chunked on 1.0": (
        with_fields(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"),
        BadRequest,
    ),
    "chunked twice": (with_fields(b"Transfer-Encoding: chunked, chunked"), BadRequest),
    "chunked in two fields": (
        with_fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        BadRequest,
    ),
    "chunked not last": (with_fields(b"Transfer-Encoding: chunked, gzip"), BadRequest),
    "no coding": (with_fields(b"Transfer-Encoding:"), BadRequest),
    "an empty coding": (with_fields(b"Transfer-Encoding: ,chunked"), BadRequest),
    "a quoted coding": (with_fields(b'Transfer-Encoding: "chunked"'), BadRequest),
    "a coding with a parameter": (with_fields(b"Transfer-Encoding: chunked;a=b"), BadRequest),
    "a coding of two words": (with_fields(b"Transfer-Encoding: x chunked"), BadRequest),
    "gzip": (with_fields(b"Transfer-Encoding: gzip"), NotImplementedByServer),
    "gzip, chunked": (with_fields(b"Transfer-Encoding: gzip, chunked"), NotImplementedByServer),
    "identity": (with_fields(b"Transfer-Encoding: identity"), NotImplementedByServer),
    "an unknown coding": (with_fields(b"Transfer-Encoding: xchunked"), NotImplementedByServer),
    "a tunnel with a length": (
        with_fields(b"Content-Length: 5", line=b"CONNECT h:1 HTTP/1.1"),
        BadRequest,
    ),
    "a chunked tunnel": (
        with_fields(b"Transfer-Encoding: chunked", line=b"CONNECT h:1 HTTP/1.1"),
        BadRequest,
    ),
    "an unknown expectation": (with_fields(b"Expect: 200-ok"), ExpectationFailed),
    "one unknown expectation": (with_fields(b"Expect: 100-continue, a"), ExpectationFailed),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    data, error = REFUSED[case]
    with pytest.raises(error) as whole:
        read_head(data, LIMITS)
    with pytest.raises(error) as bytewise:
        read_in_steps(data, range(1, len(data) + 1))
    assert str(bytewise.value) == str(whole.value)
    assert str(whole.value).isprintable(), "it goes to the log"


@pytest.mark.parametrize(
    ("data", "certain"),
    [
        (b"GET / HTTP/1.1\nHost", 15),
        (b"GET /\rHost", 7),
        (b"\x16\x03\x01\x02", 1),
        (b"\n", 1),
        (b"GET / HTTP/1.1\r\nA: \x00", 20),
    ],
)
def test_bytes_that_are_never_legal_are_refused_at_once(data: bytes, certain: int) -> None:
    assert read_head(data[: certain - 1], LIMITS) is None
    with pytest.raises(BadRequest):
        read_head(data[:certain], LIMITS)


def test_the_size_of_a_head_is_limited() -> None:
    limits = HeadLimits(max_head_bytes=len(PLAIN))
    assert read(PLAIN, limits)
    too_large = PLAIN.replace(b"h\r\n", b"hh\r\n")
    for end in range(len(PLAIN)):
        assert read_head(too_large[:end], limits) is None
    for data in (too_large[: len(PLAIN) + 1], too_large, too_large + PLAIN):
        with pytest.raises(HeaderFieldsTooLarge, match="bytes"):
            read_head(data, limits)
    # The skipped line does not count.
    assert read_head(b"\r\n" + PLAIN, limits)


def test_the_number_of_fields_is_limited() -> None:
    limits = HeadLimits(max_headers=3)
    assert read(with_fields(b"A: 1", b"B: 2"), limits)
    assert read_head(with_fields(b"A: 1", b"B: 2")[:-2], limits) is None
    data = with_fields(b"A: 1", b"B: 2", b"C: 3", b"D: 4")
    certain = data.index(b"D: 4")
    assert read_head(data[: certain - 1], limits) is None
    for end in (certain, len(data)):
        with pytest.raises(HeaderFieldsTooLarge, match="fields"):
            read_head(data[:end], limits)


def test_the_target_is_limited() -> None:
    limits = HeadLimits(max_target_bytes=10)
    exact = b"GET /123456789 HTTP/1.1\r\nHost: h\r\n\r\n"
    for end in range(len(exact)):
        assert read_head(exact[:end], limits) is None
    assert read(exact, limits).target == "/123456789"
    for data in (b"GET /1234567890", exact.replace(b"9 ", b"90 ")):
        with pytest.raises(UriTooLong):
            read_head(data, limits)
    # A line that ends there has no longer target.
    assert read_head(b"GET /123456789\r", limits) is None


def test_the_first_fault_is_the_one_that_is_told() -> None:
    limits = HeadLimits(max_head_bytes=60, max_target_bytes=10, max_headers=2)
    long_target = b"GET /1234567890"
    cases = {
        long_target + b"\x00" * 90: UriTooLong,
        b"GET /\x00" + b"1" * 90: BadRequest,
        b"GET /1234567\x00" + b"1" * 90: BadRequest,
        # The CR is one byte too many before it is a bare one.
        b"GET / HTTP/1.1\r\n" + b"A" * 44 + b"\rB": HeaderFieldsTooLarge,
        b"GET / HTTP/1.1\r\n" + b"A" * 60 + b"\x00": HeaderFieldsTooLarge,
        b"GET / HTTP/1.1\r\nA:\x00\r\nB:\r\nC:\r\nD:\r\n\r\n": BadRequest,
        b"GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nD:\x00\r\n\r\n": HeaderFieldsTooLarge,
    }
    for data, error in cases.items():
        for ends in ([len(data)], range(1, len(data) + 1)):
            with pytest.raises(error):
                read_in_steps(data, ends, limits)


def test_bytes_behind_a_head_are_not_looked_at() -> None:
    for behind in (b"\x00", b"\n", b"\r\r", b"x" * 20_000):
        result = read_head(PLAIN + behind, LIMITS)
        assert result is not None
        assert result[1] == len(PLAIN)
