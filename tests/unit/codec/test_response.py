"""Response heads, chunks and error answers as bytes."""

from __future__ import annotations

import pytest

from trillium_trio.codec import (
    CHUNK_END,
    LAST_CHUNK,
    BodyFraming,
    chunk_prefix,
    render_chunk,
    render_continue,
    render_error,
    render_head,
    render_last_chunk,
)
from trillium_trio.http import Headers


def render(
    headers: Headers | None = None,
    *,
    status: int = 200,
    framing: BodyFraming = BodyFraming.LENGTH,
    length: int | None = 5,
    close: bool = False,
    version: str = "1.1",
    method: str = "GET",
) -> list[str]:
    """Render a head and return its lines."""
    data = render_head(
        status,
        headers,
        date_line=b"date: D\r\n",
        server_line=b"server: S\r\n",
        framing=framing,
        length=length,
        close=close,
        version=version,
        method=method,
    )
    *lines, empty, rest = data.decode("latin-1").split("\r\n")
    assert (empty, rest) == ("", "")
    return lines


DEFAULT = ["HTTP/1.1 200 OK", "date: D", "server: S"]


def test_a_plain_head() -> None:
    assert render() == [*DEFAULT, "content-length: 5"]


def test_the_fields_of_the_handler_stand_in_the_middle() -> None:
    headers = Headers([("X-A", "1"), ("x-a", "caf\xe9")])
    assert render(headers, close=True) == [
        *DEFAULT,
        "X-A: 1",
        "x-a: caf\xe9",
        "content-length: 5",
        "connection: close",
    ]


def test_date_and_server_of_the_handler_replace_ours() -> None:
    assert render(Headers({"Date": "mine", "SERVER": "too"})) == [
        "HTTP/1.1 200 OK",
        "Date: mine",
        "SERVER: too",
        "content-length: 5",
    ]


def test_date_and_server_can_be_left_out() -> None:
    data = render_head(
        200,
        None,
        date_line=b"",
        server_line=b"",
        framing=BodyFraming.CLOSE,
        length=None,
        close=False,
        version="1.1",
    )
    assert data == b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (404, "HTTP/1.1 404 Not Found"),
        (100, "HTTP/1.1 100 Continue"),
        (299, "HTTP/1.1 299 "),
        (999, "HTTP/1.1 999 "),
    ],
)
def test_status_lines(status: int, line: str) -> None:
    assert render(status=status, version="1.0")[0] == line


@pytest.mark.parametrize("status", [99, 1000, 0, -200])
def test_a_status_that_is_none(status: int) -> None:
    with pytest.raises(ValueError, match="not a status code"):
        render(status=status)


@pytest.mark.parametrize(
    ("framing", "length", "line"),
    [
        (BodyFraming.LENGTH, 0, ["content-length: 0"]),
        (BodyFraming.CHUNKED, None, ["transfer-encoding: chunked"]),
        (BodyFraming.CLOSE, None, []),
        (BodyFraming.NONE, None, []),
    ],
)
def test_framing_is_ours(framing: BodyFraming, length: int | None, line: list[str]) -> None:
    assert render(framing=framing, length=length) == [*DEFAULT, *line]
    misleading = Headers({"Content-Length": "99", "Transfer-Encoding": "gzip", "A": "b"})
    if framing is not BodyFraming.NONE:
        assert render(misleading, framing=framing, length=length) == [*DEFAULT, "A: b", *line]
        assert len(misleading) == 3, "they are left as they are"


@pytest.mark.parametrize(
    ("method", "status", "told", "length", "shown"),
    [
        ("HEAD", 200, None, 5, "5"),
        ("HEAD", 200, "7", 0, "7"),
        ("HEAD", 200, "+7", 5, "5"),
        ("HEAD", 200, "seven", None, None),
        ("HEAD", 200, None, None, None),
        ("GET", 304, None, 0, None),
        ("GET", 304, "7", 0, "7"),
        ("HEAD", 304, None, 5, None),
        ("GET", 204, "7", 5, None),
        ("GET", 101, "7", 5, None),
        ("CONNECT", 200, "7", 5, None),
    ],
)
def test_the_length_of_a_body_that_is_not_sent(
    method: str, status: int, told: str | None, length: int | None, shown: str | None
) -> None:
    headers = Headers({"Transfer-Encoding": "chunked"})
    if told is not None:
        headers.set("Content-Length", told)
    lines = render(headers, method=method, status=status, framing=BodyFraming.NONE, length=length)
    assert lines[3:] == ([] if shown is None else [f"content-length: {shown}"])


@pytest.mark.parametrize(
    ("theirs", "close", "version", "ours"),
    [
        (None, False, "1.1", None),
        (None, True, "1.1", "close"),
        (None, False, "1.0", "keep-alive"),
        (None, True, "1.0", "close"),
        ("Upgrade", False, "1.1", "upgrade"),
        ("Upgrade", True, "1.1", "close, upgrade"),
        ("keep-alive", True, "1.1", "close"),
        ("keep-alive", False, "1.1", "keep-alive"),
        ("close", False, "1.1", "close"),
        ("close", False, "1.0", "close"),
        ("", False, "1.1", None),
    ],
)
def test_connection_is_merged(
    theirs: str | None, close: bool, version: str, ours: str | None
) -> None:
    headers = None if theirs is None else Headers({"Connection": theirs})
    lines = render(headers, close=close, version=version)
    assert lines[4:] == ([] if ours is None else [f"connection: {ours}"])


def test_chunks() -> None:
    assert render_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert chunk_prefix(26) + b"x" * 26 + CHUNK_END == render_chunk(b"x" * 26)
    assert render_chunk(b"") == b"", "an empty chunk would end the body"


def test_the_last_chunk() -> None:
    assert render_last_chunk() == LAST_CHUNK == b"0\r\n\r\n"
    assert render_last_chunk(Headers()) == LAST_CHUNK
    assert render_last_chunk(Headers({"Checksum": "a"})) == b"0\r\nChecksum: a\r\n\r\n"
    with pytest.raises(ValueError, match="content-length in a trailer"):
        render_last_chunk(Headers({"A": "b", "Content-Length": "5"}))


def test_continue() -> None:
    assert render_continue() == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_an_error_is_a_complete_response_that_closes() -> None:
    assert render_error(400, date_line=b"date: D\r\n", server_line=b"") == (
        b"HTTP/1.1 400 Bad Request\r\ndate: D\r\ncontent-type: text/plain; charset=utf-8\r\n"
        b"content-length: 12\r\nconnection: close\r\n\r\nBad Request\n"
    )


def test_an_error_may_have_fields_and_has_no_body_for_head() -> None:
    data = render_error(
        503, date_line=b"", server_line=b"", fields=[("retry-after", "3")], method="HEAD"
    )
    assert b"retry-after: 3\r\n" in data
    assert b"content-length: 20\r\n" in data
    assert data.endswith(b"\r\n\r\n")
