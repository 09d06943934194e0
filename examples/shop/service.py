"""The JSON API, and its description at /openapi.json and /docs."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

import trillium_trio as tt
from trillium_trio.handlers import OpenApi, Problem, Router, Sessions, api

from .database import db
from .orders import Order, add_order, orders_after
from .products import Product, all_products, find_product


class NewOrder(Struct):
    """An order to be made. Send the same key again if you have got no answer."""

    key: UUID
    product: int
    quantity: Annotated[int, Meta(gt=0, le=100)]


@api
async def products() -> list[Product]:
    """List what there is."""
    return await db.transact(all_products)


@api
async def product(number: int) -> Product:
    """Show one product."""
    return await db.transact(find_product, number)


@api(status=201, responses={401: "Nobody is logged in", 409: "There are not so many left"})
async def order(conn: tt.Conn, body: NewOrder) -> dict[str, int]:
    """Order a product."""
    number = await db.transact(add_order, body.key, user_of(conn), body.product, body.quantity)
    return {"id": number}


@api(responses={401: "Nobody is logged in"})
async def orders(conn: tt.Conn, after: int = 0) -> list[Order]:
    """List your orders, 50 at a time."""
    return await db.transact(orders_after, after, user_of(conn))


def user_of(conn: tt.Conn) -> str:
    user: str | None = Sessions.of(conn).get("user")
    if user is None:
        raise Problem(401, "log in first")
    return user


router = (
    Router()
    .get("/api/products", products)
    .get("/api/products/{number:int}", product)
    .post("/api/orders", order)
    .get("/api/orders", orders)
)
docs = OpenApi(router, title="Shop", version="1")
