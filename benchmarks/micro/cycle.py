"""What a whole request costs without a kernel: microseconds per cycle, and where they go.

Run it with ``python benchmarks/micro/cycle.py``. The real connection code serves a transport that
has always received the next request and takes everything at once, so what is left is our own work:
no wait, no system call, no turn of trio's loop. The parts are measured one by one, on the same
request; what is not in them is the loop around them. ``--profile`` prints what cProfile sees, whose
figures are only good to compare functions with one another.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

import trio

from benchmarks.load.asgi_app import app as asgi_app
from benchmarks.micro.handlers import FACTS, finish, make_service
from benchmarks.micro.timing import nanoseconds
from trillium_trio import Conn
from trillium_trio.asgi import Asgi
from trillium_trio.codec import HeadLimits, read_head, render_whole
from trillium_trio.conn import Link, RequestSource
from trillium_trio.driver import Http1Connection
from trillium_trio.swansong import claim
from trillium_trio.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from trillium_trio.driver import Service

CYCLES = 20_000
REPEAT = 12

SMALL = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
BROWSER = (
    b"GET / HTTP/1.1\r\nHost: example.com\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
    b"Connection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    b"Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
    b"Cache-Control: max-age=0\r\n\r\n"
)
POST = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 1024\r\n\r\n" + bytes(1024)


async def hello(conn: Conn) -> Conn:
    return conn.ok(b"Hello, World!")


async def echo(conn: Conn) -> Conn:
    return conn.ok(await conn.request_body.read())


class Eager(Transport):
    """Has received the next request already, so many times, and takes everything at once."""

    __slots__ = ("_left", "_request")

    def __init__(self, request: bytes, times: int) -> None:
        super().__init__(FACTS)
        self._request = request
        self._left = times

    async def receive_some(self, max_bytes: int = 65536) -> bytes:
        self._left -= 1
        return self._request if self._left >= 0 else b""

    def receive_nowait(self, max_bytes: int = 65536) -> bytes | None:
        return None

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        return len(data)

    async def send_some(self, data: bytes | bytearray | memoryview) -> int:
        return len(data)

    async def send_eof(self) -> None:
        pass

    def abort(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def is_disconnected_now(self) -> bool:
        return False

    def _end_waits(self) -> None:
        pass


async def serve(
    service: Service, request: bytes, transport: type[Eager] = Eager, cycles: int = CYCLES
) -> float:
    """Serve one connection to its end; return the seconds of CPU time that a cycle took."""
    connection = Http1Connection(service, transport(request, cycles))
    start = time.process_time()
    await connection.run()
    return (time.process_time() - start) / cycles


def parts(service: Service, request: bytes) -> dict[str, Callable[[], object]]:
    """Return the work of which a cycle of `hello` is made, piece by piece."""
    limits = HeadLimits()
    parsed = read_head(request, limits)
    assert parsed is not None
    head, _ = parsed
    link, source = cast(Link, None), cast(RequestSource, None)  # nothing asks them for anything
    code = parts.__code__
    answered = Conn(link, head, source, 0.0).ok(b"Hello, World!")

    def render() -> object:
        plain = answered.plain_response()
        assert plain is not None
        status, fields, body = plain
        return render_whole(status, fields, body, service.date_line(), service.server_line)

    return {
        "head: lane, RequestHead": lambda: read_head(request, limits),
        "guard: claim and release": lambda: claim(service.swansong, head, None, code).release(),
        "conn and handler": lambda: finish(service.handler.run(Conn(link, head, source, 0.0))),
        "response: date, head and body": render,
    }


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--profile", action="store_true", help="of the small head, by cProfile")
    is_profiled = options.parse_args().profile
    plain, echoing = make_service(hello), make_service(echo)
    asgi = make_service(Asgi(asgi_app))
    cases = {
        "small head": (plain, SMALL),
        "11 headers": (plain, BROWSER),
        "POST of 1 KiB, echoed": (echoing, POST),
        "small head, ASGI": (asgi, SMALL),
        "11 headers, ASGI": (asgi, BROWSER),
    }
    costs: dict[str, float] = {}
    # In turn, so that a disturbance meets them alike.
    for _ in range(REPEAT):
        for label, (service, request) in cases.items():
            cost = await serve(service, request)
            costs[label] = min(cost, costs.get(label, cost))
    base = costs["small head"]
    print(f"{'cycle':40}{'us':>8}{'ratio':>8}")
    for label, cost in costs.items():
        print(f"{label:40}{cost * 1e6:8.2f}{cost / base:8.2f}")
    for label in ("small head", "11 headers"):
        service, request = cases[label]
        rest = costs[label] * 1e6
        print(f"\n{'of which, ' + label:40}{'us':>8}{'part':>8}")
        for name, work in parts(service, request).items():
            us = nanoseconds(work) / 1e3
            rest -= us
            print(f"{name:40}{us:8.2f}{us / costs[label] / 1e6:8.0%}")
        print(f"{'loop: stamps, phases, calls':40}{rest:8.2f}{rest / costs[label] / 1e6:8.0%}")
    if is_profiled:
        with cProfile.Profile() as profile:
            await serve(plain, SMALL)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    trio.run(main)
