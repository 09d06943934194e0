"""What running handlers costs: nanoseconds per request, beside a bare function that is awaited.

Run it with ``python benchmarks/micro/handlers.py``. Each row makes a conn and runs one handler on
it, as a connection does, without reading or sending anything.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

import trio

from benchmarks.micro.timing import print_rows
from trillium_trio import Conn, Handler, State, Swansong, config
from trillium_trio.codec import HeadLimits, read_head
from trillium_trio.conn import Info, Link, RequestSource, as_handler
from trillium_trio.driver import Service
from trillium_trio.http import TypeMap
from trillium_trio.transport import Listener

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from trillium_trio.conn import HandlerLike
    from trillium_trio.http import RequestHead

FACTS = Listener(kind="tcp", address=("127.0.0.1", 8080))
REQUEST = b"GET /a/path?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\n\r\n"


class NoStarter:
    """Starts nothing: these handlers ask for nothing."""

    def start_background(
        self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        raise AssertionError(fn)

    def start_service(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        raise AssertionError(fn)


class User:
    """A value to leave for the next handler."""


async def hello(conn: Conn) -> Conn:
    return conn.ok(b"Hello, World!")


async def pass_on(conn: Conn) -> Conn:
    return conn


async def with_field(conn: Conn) -> Conn:
    return conn.ok(b"{}").with_response_header("content-type", "application/json")


async def use_state(conn: Conn) -> Conn:
    assert conn.state(User) is not None
    return conn.ok(b"Hello, World!")


class Stamp(Handler):
    """Touches every response up."""

    async def before_send(self, conn: Conn) -> Conn:
        return conn.with_response_header("x-stamp", "1")


def make_service(handler: HandlerLike) -> Service:
    """Return what a server makes of a handler; for use within a trio run."""
    # As deep as a server's own node, which is a child of the one that it was given.
    swansong = Swansong().child()
    info = Info(
        config=config(),
        swansong=swansong,
        listeners=(FACTS,),
        shared=TypeMap(),
        starter=NoStarter(),
    )
    return Service(
        as_handler(handler),
        info=info,
        keepalive_grace=0.5,
        on_exit=lambda _: None,
        on_idle=lambda: None,
    )


def finish(coroutine: Coroutine[object, object, object]) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError(f"{coroutine} waits")


def make_head() -> RequestHead:
    parsed = read_head(REQUEST, HeadLimits())
    assert parsed is not None
    return parsed[0]


def rows() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    # Nothing here asks the connection or the request body for anything.
    link, source = cast(Link, None), cast(RequestSource, None)
    head = make_head()

    def conn() -> Conn:
        return Conn(link, head, source, 0.0)

    def running(handler: HandlerLike) -> Callable[[], object]:
        service = make_service(handler)
        run, hook = service.handler.run, service.before_send

        async def both() -> None:
            made = conn()
            await run(made)
            if hook is not None:
                await hook(made)

        return lambda: finish(both() if hook is not None else run(conn()))

    return {
        "bare: conn made, function awaited": lambda: finish(hello(conn())),
        "conn made, nothing run": conn,
        "function": running(hello),
        "constant": running(b"Hello, World!"),
        "function that sets a field": running(with_field),
        "3 functions": running((pass_on, pass_on, hello)),
        "State and the function that asks for it": running((State(User()), use_state)),
        "function and before_send": running((Stamp(), hello)),
    }


async def main() -> None:
    print_rows(rows())


if __name__ == "__main__":
    trio.run(main)
