"""Responses: what we render, an h11 client reads back as meant."""

from __future__ import annotations

import h11
from hypothesis import given
from hypothesis import strategies as st

from trillium_trio.codec import (
    BodyFraming,
    render_chunk,
    render_error,
    render_head,
    render_last_chunk,
    response_framing,
)
from trillium_trio.http import Headers, reason_phrase

NAMES = st.sampled_from(
    ["X-A", "x-a", "Content-Type", "Date", "server", "Content-Length", "Transfer-Encoding"]
)
# h11 is stricter than the RFC on 0x1c to 0x1f only, and those are refused here as well.
VALUES = st.text("aZ09 ,;=\t\xe9\x85", max_size=10)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=5).map(Headers)


def client(method: str, version: str = "1.1") -> h11.Connection:
    """An h11 client that has sent its request."""
    connection = h11.Connection(h11.CLIENT)
    target = "h:1" if method == "CONNECT" else "/"
    request = h11.Request(
        method=method, target=target, headers=[("Host", "h")], http_version=version
    )
    connection.send(request)
    connection.send(h11.EndOfMessage())
    return connection


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "CONNECT"]),
    status=st.integers(200, 599) | st.sampled_from([200, 204, 304]),
    headers=FIELDS,
    pieces=st.lists(st.binary(max_size=20), max_size=4),
    is_length_known=st.booleans(),
    close=st.booleans(),
    options=st.sampled_from([None, "close", "keep-alive", "x, Upgrade"]),
)
def test_an_h11_client_reads_what_was_meant(
    method: str,
    status: int,
    headers: Headers,
    pieces: list[bytes],
    is_length_known: bool,
    close: bool,
    options: str | None,
) -> None:
    body = b"".join(pieces)
    length = len(body) if is_length_known else None
    framing = response_framing(method=method, status=status, version="1.1", length=length)
    if options is not None:
        headers.set("Connection", options)
    data = render_head(
        status,
        headers,
        date_line=b"date: D\r\n",
        server_line=b"server: S\r\n",
        framing=framing,
        length=length,
        close=close,
        version="1.1",
        method=method,
    )
    match framing:
        case BodyFraming.LENGTH:
            data += body
        case BodyFraming.CHUNKED:
            data += b"".join(map(render_chunk, pieces)) + render_last_chunk()
        case _:
            body = b""

    connection = client(method)
    connection.receive_data(data)
    response = connection.next_event()
    assert isinstance(response, h11.Response)
    assert response.status_code == status
    assert response.reason.decode() == reason_phrase(status)

    got = [(name.decode(), value.decode("latin-1")) for name, value in response.headers]
    for name in ("x-a", "content-type"):
        assert [value for key, value in got if key == name] == headers.get_all(name)
    for name, ours in (("date", "D"), ("server", "S")):
        values = [value for key, value in got if key == name]
        assert values == (headers.get_all(name) or [ours])

    if method == "CONNECT" and status < 300:
        return  # h11 has switched protocols
    read = b""
    while isinstance(event := connection.next_event(), h11.Data):
        read += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert read == body
    closes = close or options == "close"
    assert connection.their_state is (h11.MUST_CLOSE if closes else h11.DONE)


@given(st.integers(400, 599), st.sampled_from(["GET", "HEAD"]))
def test_an_error_is_read_whole(status: int, method: str) -> None:
    connection = client(method)
    connection.receive_data(render_error(status, date_line=b"", server_line=b"", method=method))
    assert isinstance(connection.next_event(), h11.Response)
    if method == "GET":
        assert isinstance(connection.next_event(), h11.Data)
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    assert connection.their_state is h11.MUST_CLOSE
