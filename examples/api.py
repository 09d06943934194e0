"""A shop: ``POST /items`` adds one, ``GET /items`` lists, ``GET /items/0`` reads, ``GET /ticks``.

Try ``curl --json '{"name": "lamp", "price": 12}' http://localhost:8080/items``, leave the price out
for a problem document, and open http://localhost:8080/docs.
"""

from collections.abc import AsyncIterator
from typing import Annotated

import trio
from msgspec import Meta, Struct

import trillium_trio as tt
from trillium_trio.handlers import OpenApi, Problem, Router, api


class Item(Struct):
    """Something to sell."""

    name: str
    price: Annotated[float, Meta(ge=0, description="In euros")]
    tags: list[str] = []


items: list[Item] = []


@api(status=201, tags=["items"])
async def add(body: Item) -> Item:
    """Add an item."""
    items.append(body)
    return body


@api(tags=["items"])
async def find(tag: str | None = None, limit: int = 10) -> list[Item]:
    """List items, or those with a tag."""
    return [each for each in items if tag is None or tag in each.tags][:limit]


@api(tags=["items"])
async def read(number: int) -> Item:
    """Read an item by its number; the first is 0."""
    if number >= len(items):
        raise Problem(404, f"there are {len(items)} items")
    return items[number]


@api
async def ticks() -> AsyncIterator[int]:
    """Count, until the server is stopped."""
    for n in range(1_000_000):
        yield n
        await trio.sleep(1)


if __name__ == "__main__":
    router = Router().post("/items", add).get("/items", find).get("/items/{number:int}", read)
    router.get("/ticks", ticks)
    tt.config().run((OpenApi(router, title="Shop", version="1"), router))
