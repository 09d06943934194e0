"""Responses: whatever a handler sets, an h11 client reads back as meant, and nothing else."""

from __future__ import annotations

import re

import h11

from tests.fuzz._splits import check_message
from tests.property.test_codec_responses import client
from trillium_trio.codec import (
    CHUNK_END,
    BodyFraming,
    chunk_prefix,
    render_head,
    render_last_chunk,
    response_framing,
)
from trillium_trio.http import Headers, reason_phrase

# The first line of an input: the request's method and version, the status, whether the length of
# the body is known, and whether the connection stays open.
_LINE = re.compile(
    rb"(GET|HEAD|CONNECT) (1\.[01]) ([2-9][0-9][0-9]) (known|unknown) (open|close)\n"
)
_DEFAULTS = (b"GET", b"1.1", b"200", b"known", b"open")
_DECIDED = ("content-length", "transfer-encoding", "connection", "date", "server")


def responses(data: bytes) -> None:
    r"""Set fields and render a response: ``GET 1.1 200 known open\nname:value\n...\n\nbody``."""
    line = _LINE.match(data)
    method, version, status, known, end = line.groups() if line else _DEFAULTS
    lines, _, body = data[line.end() if line else 0 :].partition(b"\n\n")
    headers = _set_fields(lines)
    framing = response_framing(
        method=method.decode(),
        status=int(status),
        version=version.decode(),
        length=len(body) if known == b"known" else None,
    )
    before = headers.items()
    rendered = render_head(
        int(status),
        headers,
        date_line=b"date: D\r\n",
        server_line=b"server: S\r\n",
        framing=framing,
        length=len(body) if known == b"known" else None,
        close=end == b"close" or framing is BodyFraming.CLOSE,
        version=version.decode(),
        method=method.decode(),
    )
    assert headers.items() == before
    trailers = None
    match framing:
        case BodyFraming.LENGTH | BodyFraming.CLOSE:
            rendered += body
        case BodyFraming.CHUNKED:
            trailers = _trailers(headers)
            chunk = chunk_prefix(len(body)) + body + CHUNK_END if body else b""
            rendered += chunk + render_last_chunk(trailers)
        case BodyFraming.NONE:
            body = b""

    # It asks with 1.1 whatever the version: a response is always read as one of 1.1.
    connection = client(method.decode())
    connection.receive_data(rendered)
    if framing is BodyFraming.CLOSE:
        connection.receive_data(b"")
    response = connection.next_event()
    assert isinstance(response, h11.Response)
    assert response.status_code == int(status)
    assert bytes(response.reason).decode() == reason_phrase(int(status))
    got = [(name.lower(), value) for name, value in response.headers.raw_items()]
    meant = [(name.lower(), value) for name, value in headers.raw]
    decided = [name.encode() for name in _DECIDED]
    assert [pair for pair in got if pair[0] not in decided] == [
        pair for pair in meant if pair[0] not in decided
    ]
    names = [name for name, _ in got]
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    for name, ours in ((b"date", b"D"), (b"server", b"S")):
        values = [value for key, value in got if key == name]
        assert values == ([value for key, value in meant if key == name] or [ours])

    if method == b"CONNECT" and int(status) < 300:
        return  # h11 has switched protocols
    read = b""
    while isinstance(event := connection.next_event(), h11.Data):
        read += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert read == body
    assert Headers(_as_text(event.headers.raw_items())) == (trailers or Headers())
    # Nothing is left over, which would be read as another response.
    assert connection.trailing_data[0] == b""


def _set_fields(lines: bytes) -> Headers:
    """Set what can be set. As latin-1 and as UTF-8, for a handler's strings are any."""
    headers = Headers()
    for number, line in enumerate(lines.split(b"\n")):
        text = line.decode("utf-8", "replace") if number % 2 else line.decode("latin-1")
        name, _, value = text.partition(":")
        before = headers.items()
        try:
            headers.append(name, value)
        except ValueError as error:
            check_message(error, repr(name))
            assert headers.items() == before
        else:
            assert headers.items() == [*before, (name, value.strip(" \t"))]
    return headers


def _trailers(headers: Headers) -> Headers | None:
    """Send the same fields as trailers, if they may be."""
    try:
        render_last_chunk(headers)
    except ValueError as error:
        check_message(error, "in a trailer")
        return None
    return headers


def _as_text(pairs: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("ascii"), value.decode("latin-1")) for name, value in pairs]
