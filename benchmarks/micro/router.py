"""What a match costs: nanoseconds, by the number of routes, hit and miss.

Run it with ``python benchmarks/micro/router.py``. Every fifth route has no parameter, the others
have one or two. The last rows run a request through a router, without reading or sending anything.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

import trio

from benchmarks.micro.handlers import finish, make_service
from benchmarks.micro.timing import print_rows
from trillium_trio import Conn
from trillium_trio.conn import Link, RequestSource
from trillium_trio.handlers import Params, Router
from trillium_trio.http import RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from trillium_trio.conn import HandlerLike

SHAPES = ("", "/{id}", "/{id:int}/items", "/{id}/items/{item}", "/about/{page}.html")
PATHS = {
    "literal": "",
    "parameter": "/abc",
    "int": "/5/items",
    "two parameters": "/5/items/7",
    "encoded parameter": "/a%20c",
    "miss, deep": "/5/items/7/8",
}


async def answer(conn: Conn) -> Conn:
    return conn.ok(b"Hello, World!")


async def answer_with_parameter(conn: Conn) -> Conn:
    return conn.ok(Params.of(conn)["id"])


def make_router(count: int) -> Router:
    router = Router()
    for index in range(count // len(SHAPES)):
        for shape in SHAPES:
            router.get(f"/resource{index}{shape}", answer)
    return router


def rows() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    found: dict[str, Callable[[], object]] = {}
    for count in (10, 100, 10_000):
        find = make_router(count)._table.find
        for name, path in PATHS.items():
            whole = f"/resource{count // 10}{path}"
            found[f"{count:,} routes: {name}"] = partial(find, "GET", whole)
        found[f"{count:,} routes: miss"] = partial(find, "GET", "/nothing")
    link, source = cast(Link, None), cast(RequestSource, None)

    def running(handler: HandlerLike, path: str) -> Callable[[], object]:
        run = make_service(handler).handler.run
        head = RequestHead("GET", path, "1.1", b"")
        return lambda: finish(run(Conn(link, head, source, 0.0)))

    found["request: function alone"] = running(answer, "/a/b")
    found["request: router of 100, literal"] = running(make_router(100), "/resource10")
    one = Router().get("/a/{id}", answer_with_parameter)
    found["request: router, parameter read"] = running(one, "/a/b")
    return found


async def main() -> None:
    print_rows(rows())


if __name__ == "__main__":
    trio.run(main)
