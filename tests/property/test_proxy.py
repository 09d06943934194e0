"""Whatever head we accept goes out as one that can be read in one way only."""

from __future__ import annotations

import h11
from hypothesis import example, given
from hypothesis import strategies as st

from trillium_trio.codec import HeadLimits, read_head
from trillium_trio.exceptions import HttpError
from trillium_trio.handlers.proxy._fields import forwarded_fields, request_fields, response_fields

LIMITS = HeadLimits(
    max_head_bytes=16_384, max_headers=100, max_target_bytes=8_192, takes_connect=False
)
NAMES = [
    *(b"Content-Length", b"Transfer-Encoding", b"Connection", b"Host", b"Expect", b"TE", b"Via"),
    *(b"Upgrade", b"X-Forwarded-For", b"Forwarded", b"Trailer", b"X-A", b"content-length", b"x"),
]
VALUES = [
    *(b"0", b"5", b"+5", b"5, 5", b"chunked", b"Chunked", b"gzip, chunked", b"identity", b"close"),
    *(b"content-length", b"transfer-encoding, host", b"keep-alive, upgrade", b"websocket", b"h2c"),
    *(
        b"100-continue",
        b"trailers",
        b"a\r\n b",
        b"a\nb",
        b"a\rb",
        b"a\x00b",
        b"\xff",
        b"",
        b" ",
        b"x",
    ),
]
LINES = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from([b": ", b":", b" : ", b":\t"]),
        st.sampled_from(VALUES),
    ).map(b"".join),
    max_size=6,
)


@given(
    st.sampled_from([b"GET", b"POST", b"OPTIONS", b"x"]),
    st.sampled_from([b"/", b"*", b"/a?b", b"http://h/x", b"//e", b"/\xff", b"/a b"]),
    st.sampled_from([b"1.1", b"1.0", b"2.0"]),
    LINES,
)
@example(b"POST", b"/", b"1.1", [b"Transfer-Encoding: chunked", b"Connection: transfer-encoding"])
@example(b"POST", b"/", b"1.1", [b"Content-Length: 5", b"Connection: content-length, host"])
def test_px_7_what_goes_out_is_read_in_one_way(
    method: bytes, target: bytes, version: bytes, lines: list[bytes]
) -> None:
    start = b"%b %b HTTP/%b" % (method, target, version)
    raw = b"\r\n".join([start, b"Host: shop", *lines, b"", b""])
    try:
        parsed = read_head(raw, LIMITS)
    except HttpError:
        return
    if parsed is None:
        return
    head, _ = parsed
    fields = request_fields(
        head,
        host="up",
        via="us",
        forwarded=forwarded_fields("x-forwarded", ["192.0.2.1"], host=head.host, scheme="http"),
        upgrade="websocket" if head.wants_upgrade else "",
    )
    names = [name.lower() for name, _ in fields]
    framing = [each for each in names if each in {b"content-length", b"transfer-encoding"}]
    assert len(framing) <= 1
    for name in (b"host", b"via", b"x-forwarded-for", b"connection", b"upgrade", b"expect"):
        assert names.count(name) <= 1, name
    assert not {b"forwarded", b"keep-alive"} & set(names)

    line = "*" if head.path == "*" else f"{head.path}?x"
    sent = h11.Connection(h11.CLIENT).send(
        h11.Request(method=head.method, target=line, headers=fields)
    )
    assert sent is not None
    again = read_head(sent, LIMITS)
    assert again is not None
    received, used = again
    assert used == len(sent)
    assert (received.content_length, received.is_chunked) == (
        head.content_length,
        head.is_chunked,
    )
    assert received.host == "up"
    assert received.headers.get("x-forwarded-for") == "192.0.2.1"


@given(LINES)
def test_px_4_what_comes_back_is_about_no_connection(lines: list[bytes]) -> None:
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    http.receive_data(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""]))
    try:
        event = http.next_event()
    except h11.RemoteProtocolError:
        return
    assert isinstance(event, h11.Response)
    fields = response_fields(event.headers.raw_items(), via="1.1 us", has_length=False)
    if fields is None:
        keys = {key for key, _ in event.headers}
        assert {b"content-length", b"transfer-encoding"} <= keys
        return
    names = {name.lower() for name, _ in fields}
    framing = {b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"te"}
    assert not framing & names
    assert (b"via", b"1.1 us") in fields
