"""The upstream for large bodies: 1 GiB down, or however much up. Argument: the port."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import trillium_trio as tt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LARGE_BYTES = 1 << 30
PIECE = bytes(65_536)


async def pieces() -> AsyncIterator[bytes]:
    """Yield 1 GiB."""
    for _ in range(LARGE_BYTES // len(PIECE)):
        yield PIECE


async def serve(conn: tt.Conn) -> tt.Conn:
    """Answer with 1 GiB, or with the size of what was posted."""
    if conn.method == "POST":
        size = 0
        async for piece in conn.request_body:
            size += len(piece)
        return conn.ok(str(size))
    if conn.path == "/large":
        return conn.ok(tt.Body.streaming(pieces(), LARGE_BYTES))
    return conn.ok("hello\n")


def main() -> None:
    """Serve until the end."""
    http = tt.HttpConfig(max_body_bytes=1 << 40)
    tt.config().bind_tcp(f"127.0.0.1:{sys.argv[1]}").with_http(http).run(serve)


if __name__ == "__main__":
    main()
