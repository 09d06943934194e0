"""What a request head, a body and a response head cost: microseconds, beside h11 and httptools.

Run it with ``python benchmarks/micro/codec.py``. The ratio to h11 in the same row of work is what
can be compared between runs and machines. httptools, a C parser, is measured where installed; it
splits all fields at once, which the regular lane leaves until somebody asks (the row "and a
field").
"""

from __future__ import annotations

import importlib.util
import timeit
from typing import TYPE_CHECKING

import h11

from trillium_trio.codec import (
    BodyFraming,
    ChunkedReader,
    HeadLimits,
    LengthReader,
    read_head,
    render_chunk,
    render_head,
)
from trillium_trio.codec._irregular import read_irregular
from trillium_trio.codec._lane import read_regular
from trillium_trio.http import Headers

HAS_HTTPTOOLS = importlib.util.find_spec("httptools") is not None
if HAS_HTTPTOOLS:
    import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBER = 5_000
REPEAT = 15

LIMITS = HeadLimits()
SMALL = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
BROWSER = (
    b"GET /a/path?x=1 HTTP/1.1\r\nHost: example.com\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/120.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
    b"Connection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    b"Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
    b"Cache-Control: max-age=0\r\n\r\n"
)
DATE, SERVER = b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", b"server: trillium-trio\r\n"
PIECE = bytes(65_536)


class Events:
    """What httptools calls; it keeps what a server would have to keep."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))


def microseconds(work: Callable[[], object], number: int = NUMBER) -> float:
    """Return the best of several runs, without the cost of the call around the work."""
    runs = timeit.repeat(work, number=number, repeat=REPEAT)
    calls = timeit.repeat(lambda: None, number=number, repeat=REPEAT)
    return (min(runs) - min(calls)) / number * 1e6


def h11_head(data: bytes) -> object:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    return connection.next_event()


def httptools_head(data: bytes) -> object:
    events = Events()
    httptools.HttpRequestParser(events).feed_data(data)
    return events.fields


def read_and_look(data: bytes) -> object:
    head = read_regular(data, 0, len(data), 8192, 100)
    assert head is not None
    return head.headers.get("accept")


def heads(name: str, data: bytes) -> None:
    """Print what one head costs each way."""
    base = microseconds(lambda: h11_head(data), 500)
    rows: dict[str, Callable[[], object]] = {
        "read_head": lambda: read_head(data, LIMITS),
        "regular lane alone": lambda: read_regular(data, 0, len(data), 8192, 100),
        "regular lane, and a field": lambda: read_and_look(data),
    }
    if HAS_HTTPTOOLS:
        rows["httptools"] = lambda: httptools_head(data)
    row(f"{name}: h11", base, base)
    for label, work in rows.items():
        row(f"{name}: {label}", microseconds(work), base)
    row(f"{name}: irregular, h11 included", microseconds(lambda: read_irregular(data), 500), base)


def responses() -> None:
    """Print what a response head costs, beside the same rendered by h11."""
    headers = Headers({"content-type": "application/json"})

    def ours(headers: Headers | None) -> object:
        return render_head(
            200,
            headers,
            date_line=DATE,
            server_line=SERVER,
            framing=BodyFraming.LENGTH,
            length=13,
            close=False,
            version="1.1",
        )

    def theirs() -> object:
        connection = h11.Connection(h11.SERVER)
        fields = [("date", "x"), ("server", "y"), ("content-type", "z"), ("content-length", "13")]
        return connection.send(h11.Response(status_code=200, headers=fields))

    base = microseconds(theirs, 500)
    row("response head: h11", base, base)
    row("response head: no fields", microseconds(lambda: ours(None)), base)
    row("response head: one field", microseconds(lambda: ours(headers)), base)
    row("set one field", microseconds(lambda: Headers({"content-type": "text/html"})), base)


def bodies() -> None:
    """Print what 64 KiB of body cost, beside copying them."""
    tiny = b"1\r\nx\r\n" * 1000
    mixed = b"1\r\nx\r\n2\r\nxy\r\n" * 500
    medium = render_chunk(bytes(16)) * 1000
    chunk = render_chunk(PIECE)
    cut = memoryview(chunk)
    base = microseconds(lambda: bytes(cut))
    row("64 KiB: copy", base, base)
    row("64 KiB: length", microseconds(lambda: LengthReader(1 << 20).feed(PIECE)), base)
    row("64 KiB: one chunk", microseconds(lambda: ChunkedReader().feed(chunk)), base)
    inside = ChunkedReader()
    inside.feed(b"ffffffffffff\r\n")
    row("64 KiB: inside a chunk", microseconds(lambda: inside.feed(PIECE)), base)
    row("1000 chunks of a byte", microseconds(lambda: in_steps(tiny), 50), base)
    row("1000 chunks of 1 and 2 bytes", microseconds(lambda: in_steps(mixed), 50), base)
    row("1000 chunks of 16 bytes", microseconds(lambda: in_steps(medium), 50), base)


def in_steps(data: bytes) -> object:
    reader = ChunkedReader()
    pieces = [reader.feed(data)]
    while reader.is_paused:
        pieces.append(reader.feed(b""))
    return pieces


def row(label: str, cost: float, base: float) -> None:
    print(f"{label:44}{cost:10.2f}{cost / base:9.2f}")


def main() -> None:
    print(f"{'work':44}{'us':>10}{'ratio':>9}")
    heads("1 field", SMALL)
    heads("11 fields", BROWSER)
    responses()
    bodies()


if __name__ == "__main__":
    main()
