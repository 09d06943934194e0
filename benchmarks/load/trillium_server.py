"""Our server. Run as ``python -m benchmarks.load.trillium_server [PORT [tls]]``.

Without a port it serves the listening sockets that it inherits (``LISTEN_FDS``).
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import trio

import trillium_trio as tt
from benchmarks.load.payload import (
    BLOCK_SECONDS,
    DOWNLOAD_BYTES,
    HELLO,
    MEBIBYTE,
    PIECE,
    SLOW_SECONDS,
)
from tests.unit.transport._tls import server_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# What it says when it has the sockets that it inherits.
READY = "ready"


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok(HELLO).with_response_header("content-type", "text/plain")


async def echo(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.read())


async def upload(conn: tt.Conn) -> tt.Conn:
    size = 0
    async for piece in conn.request_body:
        size += len(piece)
    return conn.ok(str(size))


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(DOWNLOAD_BYTES // len(PIECE)):
        yield PIECE


async def download(conn: tt.Conn) -> tt.Conn:
    return conn.ok(tt.Body.streaming(pieces(), length=DOWNLOAD_BYTES))


async def mebibyte(conn: tt.Conn) -> tt.Conn:
    return conn.ok(MEBIBYTE)


async def slow(conn: tt.Conn) -> tt.Conn:
    await trio.sleep(SLOW_SECONDS)
    return await hello(conn)


async def block(conn: tt.Conn) -> tt.Conn:
    time.sleep(BLOCK_SECONDS)
    return await hello(conn)


ROUTES = {
    "/": hello,
    "/echo": echo,
    "/upload": upload,
    "/download": download,
    "/mebibyte": mebibyte,
    "/slow": slow,
    "/block": block,
}


async def by_path(conn: tt.Conn) -> tt.Conn:
    handler = ROUTES.get(conn.path)
    return conn if handler is None else await handler(conn)


async def announce(info: tt.Info) -> None:
    print(READY, flush=True)


def main(arguments: list[str]) -> None:
    # Uploads are larger than what a request may bring by default.
    config = tt.config().with_http(tt.HttpConfig(max_body_bytes=2 * DOWNLOAD_BYTES))
    match arguments:
        case [port, "tls"]:
            config.bind_tls(f"127.0.0.1:{port}", server_context("http/1.1")).run(by_path)
        case [port]:
            config.with_address("127.0.0.1", int(port)).run(by_path)
        case _:
            config.bind_env().run((tt.Init(announce), by_path))


if __name__ == "__main__":
    main(sys.argv[1:])
