"""What compressing a response costs: microseconds of CPU time, and beside Starlette's middleware.

Run it with ``python benchmarks/micro/compression.py``; Starlette has to be installed. Each row runs
a handler behind `Compression`, or an application behind ``GZipMiddleware``, and discards the
response. Both use zlib at the same level.
"""

from __future__ import annotations

import gc
import json
import sys
import timeit
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

import trio
from starlette.middleware.gzip import GZipMiddleware

from benchmarks.micro.handlers import finish, make_service
from trillium_trio import Conn
from trillium_trio.codec import HeadLimits, read_head
from trillium_trio.conn import Link, RequestSource
from trillium_trio.handlers import Compression

if TYPE_CHECKING:
    from collections.abc import Callable

    from trillium_trio.conn import HandlerLike

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %b\r\n\r\n"
LEVEL = 6
BURSTS = 40
BODIES = {
    "100 B": b"x" * 100,
    "2 KiB": json.dumps([{"id": n, "name": f"tea {n * 7919}"} for n in range(60)]).encode()[:2048],
    "20 KiB": json.dumps([{"id": n, "name": f"tea {n * 7919}"} for n in range(600)]).encode()[
        :20_480
    ],
}


async def discard(message: object) -> None:
    pass


async def receive() -> dict[str, object]:
    raise AssertionError("the applications read nothing")


def ours(body: bytes, coding: bytes | None) -> Callable[[], object]:
    """Return a request that is answered in this coding; None: without `Compression`."""

    async def answer(conn: Conn) -> Conn:
        return conn.ok(body).with_response_header("content-type", "application/json")

    handler: HandlerLike = (Compression(gzip_level=LEVEL), answer) if coding else answer
    service = make_service(handler)
    hook = service.before_send
    parsed = read_head(REQUEST % (coding or b"gzip"), HeadLimits())
    assert parsed is not None
    # Nothing here asks the connection or the request body for anything.
    link, source = cast(Link, None), cast(RequestSource, None)

    async def run() -> None:
        conn = Conn(link, parsed[0], source, 0.0)
        await service.handler.run(conn)
        if hook is not None:
            await hook(conn)

    return lambda: finish(run())


def theirs(body: bytes) -> Callable[[], object]:
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    start = {"type": "http.response.start", "status": 200}

    # Any: messages and scopes of ASGI.
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({**start, "headers": [*fields]})
        await send({"type": "http.response.body", "body": body})

    app = GZipMiddleware(answer, minimum_size=500, compresslevel=LEVEL)
    scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", b"gzip")]}
    return lambda: finish(app(scope, receive, discard))


def microseconds(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the best of many short bursts, in turns, so that the load of others meets all."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(BURSTS):
        for name, work in works.items():
            gc.disable()
            best[name] = min(best[name], timeit.timeit(work, number=20) / 20 * 1e6)
            gc.enable()
    return best


async def main() -> None:
    print(f"{'body':10}{'':24}{'us':>10}{'ratio':>9}")
    for size, body in BODIES.items():
        rows = microseconds(
            {
                "GZipMiddleware": theirs(body),
                "Compression, gzip": ours(body, b"gzip"),
                "Compression, br": ours(body, b"br"),
                "Compression, zstd": ours(body, b"zstd"),
                "Compression, identity": ours(body, b"identity"),
                "no Compression": ours(body, None),
            }
        )
        base = rows["GZipMiddleware"]
        for name, cost in rows.items():
            print(f"{size:10}{name:24}{cost:10.1f}{cost / base:9.2f}")


if __name__ == "__main__":
    trio.run(main)
