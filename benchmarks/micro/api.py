"""What `api` adds to a request that carries JSON: nanoseconds, beside handlers written by hand.

Run it with ``python benchmarks/micro/api.py``. Nothing is received or sent: the body is there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast, final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

import msgspec
import trio

from benchmarks.micro.handlers import finish, make_service
from benchmarks.micro.timing import print_rows
from trillium_trio import Conn, Headers, HttpConfig
from trillium_trio.handlers import Params, Router, api
from trillium_trio.http import RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from trillium_trio.conn import HandlerLike, Link

BODY = b'{"name":"lamp","price":12.5,"tags":["red","new"]}'
FIELDS = (
    b"host: localhost\r\naccept: */*\r\naccept-encoding: gzip, deflate\r\nuser-agent: bench\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n" % len(BODY)
)


class Item(msgspec.Struct):
    name: str
    price: float
    tags: list[str]


@final
class Source:
    """A body that has been received."""

    length = len(BODY)
    is_complete = True
    trailers = Headers()

    def __init__(self) -> None:
        self.rest = BODY

    async def receive(self, max_bytes: int) -> bytes:
        rest, self.rest = self.rest, b""
        return rest


decode = msgspec.json.Decoder(Item).decode
encode = msgspec.json.Encoder().encode


async def by_hand(conn: Conn) -> Conn:
    """Echo an item, without looking at any header field."""
    item = decode(await conn.request_body.read())
    return conn.with_response_header("content-type", "application/json").ok(encode(item))


async def by_hand_with_checks(conn: Conn) -> Conn:
    """Echo an item, after the checks that a careful handler makes."""
    headers = conn.request_headers
    if headers.get("accept") not in {None, "*/*", "application/json"}:
        return conn.with_status(406).halt()
    if headers.get("content-type") != "application/json":
        return conn.with_status(415).halt()
    try:
        item = decode(await conn.request_body.read(1024 * 1024))
    except ValueError:
        return conn.with_status(422).halt()
    return conn.with_response_header("content-type", "application/json").ok(encode(item))


@api
async def echo(body: Item) -> Item:
    return body


@api
async def echo_with_arguments(item: int, body: Item, notify: bool = False, page: int = 1) -> Item:
    return body


async def by_hand_with_arguments(conn: Conn) -> Conn:
    """Read the same arguments."""
    item = Params.of(conn)["item"]
    query = conn.query
    notify = query.get("notify", ["0"])[0] == "1"
    page = int(query.get("page", ["1"])[0])
    assert (item, notify, page) == (5, True, 2)
    return await by_hand_with_checks(conn)


def rows() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    info = SimpleNamespace(config=SimpleNamespace(http=HttpConfig()))
    link = cast("Link", SimpleNamespace(info=info))

    def running(handler: HandlerLike, target: str = "/") -> Callable[[], object]:
        run = make_service(handler).handler.run

        def once() -> None:
            # A head of its own, because splitting its fields is a part of the cost.
            head = RequestHead("POST", target, "1.1", FIELDS, len(BODY))
            finish(run(Conn(link, head, Source(), 0.0)))

        return once

    target = "/items/5?notify=1&page=2"
    return {
        "JSON there and back, by hand": running(by_hand),
        "the same with checks": running(by_hand_with_checks),
        "api": running(echo),
        "router, path and query, by hand": running(
            Router().post("/items/{item:int}", by_hand_with_arguments), target
        ),
        "router, path and query, api": running(
            Router().post("/items/{item:int}", echo_with_arguments), target
        ),
    }


async def main() -> None:
    print_rows(rows())


if __name__ == "__main__":
    trio.run(main)
