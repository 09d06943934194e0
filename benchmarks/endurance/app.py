"""What the soak's servers serve: one handler for each thing a server may do or suffer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import trio

import trillium_trio as tt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["FILE_BYTES", "HELLO", "STREAM_BYTES", "App"]

HELLO: Final = b"Hello, World!"
PIECE: Final = bytes(64 * 1024)
# Several times what the sockets of both sides hold, so that a response has to wait for its reader.
STREAM_BYTES: Final = 16 * len(PIECE)
FILE_BYTES: Final = 1024 * 1024


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok(HELLO)


async def echo(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.read())


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(STREAM_BYTES // len(PIECE)):
        yield PIECE


async def stream(conn: tt.Conn) -> tt.Conn:
    return conn.ok(tt.Body.streaming(pieces()))


async def endless(conn: tt.Conn) -> tt.Conn:
    async def zeros() -> AsyncIterator[bytes]:
        while True:
            yield PIECE

    return conn.ok(tt.Body.streaming(zeros()))


async def fail(conn: tt.Conn) -> tt.Conn:
    raise ValueError(f"{conn.path} always fails")


async def hang(conn: tt.Conn) -> tt.Conn:
    await trio.sleep_forever()
    return conn


async def watch(conn: tt.Conn) -> tt.Conn:
    """Wait until the client leaves, as a long poll does."""
    async with conn.cancel_on_disconnect():
        await conn.swansong.shutting_down()
    return conn.ok(HELLO)


async def background(conn: tt.Conn) -> tt.Conn:
    """Answer now, work later."""

    async def work() -> None:
        await trio.sleep(0.05)

    async def note(conn: tt.Conn) -> None:
        await trio.lowlevel.checkpoint()

    conn.start_soon(work)
    return conn.after_send(note).ok(HELLO)


def in_thread(conn: tt.Conn) -> tt.Conn:
    return conn.ok(HELLO)


async def upgrade(conn: tt.Conn) -> tt.Conn:
    conn.with_response_header("connection", "upgrade").with_response_header("upgrade", "echo")
    return conn.upgrade()


Route = Callable[[tt.Conn], Awaitable[tt.Conn]]

ROUTES: dict[str, Route] = {
    "/": hello,
    "/background": background,
    "/echo": echo,
    "/endless": endless,
    "/fail": fail,
    "/hang": hang,
    "/stream": stream,
    "/thread": tt.sync_handler(in_thread).run,
    "/upgrade": upgrade,
    "/watch": watch,
}


class App(tt.Handler):
    """The routes, a file, and a protocol to upgrade to that sends back what it gets.

    Args:
      path: The file at ``/file``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def run(self, conn: tt.Conn) -> tt.Conn:
        if conn.path == "/file":
            return conn.ok(tt.Body.from_path(self._path))
        route = ROUTES.get(conn.path)
        return conn if route is None else await route(conn)

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        return upgrade.path == "/upgrade"

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        with upgrade.swansong.interrupt():
            data = upgrade.leftover
            while data := data or await upgrade.transport.receive_some():
                await upgrade.transport.send_all(data)
                data = b""
