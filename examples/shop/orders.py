"""Orders: each is stored once, however often it is sent."""

from uuid import UUID

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import class_row

import trillium_trio as tt
from trillium_trio.handlers import Forms, Params, Router, Sessions, Templates

from .accounts import require_user
from .database import db
from .products import find_product


class Order(Struct):
    """An order."""

    id: int
    product: str
    quantity: int
    buyer: str


@db.prepare
def create(connection: Connection) -> None:
    connection.execute("""
        CREATE TABLE IF NOT EXISTS purchase (
            id serial PRIMARY KEY, key uuid UNIQUE NOT NULL, buyer text NOT NULL,
            product int NOT NULL REFERENCES product, quantity int NOT NULL CHECK (quantity > 0)
        )""")


def add_order(connection: Connection, key: UUID, buyer: str, product: int, quantity: int) -> int:
    """Store an order, unless there is one of this key; return its number."""
    # One at a time, so that numbers become visible in order: readers ask for what comes after one.
    connection.execute("LOCK TABLE purchase IN SHARE ROW EXCLUSIVE MODE")
    known = connection.execute("SELECT id FROM purchase WHERE key = %s", [key]).fetchone()
    if known is not None:
        return int(known[0])
    if find_product(connection, product).stock < quantity:
        raise tt.HttpError(409, f"there are not {quantity} of product {product} left")
    connection.execute("UPDATE product SET stock = stock - %s WHERE id = %s", [quantity, product])
    cursor = connection.execute(
        "INSERT INTO purchase (key, buyer, product, quantity) VALUES (%s, %s, %s, %s) RETURNING id",
        [key, buyer, product, quantity],
    )
    [(number,)] = cursor.fetchall()
    connection.execute("NOTIFY news")
    return int(number)


def orders_after(connection: Connection, number: int, buyer: str | None = None) -> list[Order]:
    """Return at most 50 orders, the oldest first."""
    with connection.cursor(row_factory=class_row(Order)) as cursor:
        return cursor.execute(
            """SELECT purchase.id, product.name AS product, quantity, buyer
               FROM purchase JOIN product ON product.id = product
               WHERE purchase.id > %s AND (%s::text IS NULL OR buyer = %s)
               ORDER BY purchase.id LIMIT 50""",
            [number, buyer, buyer],
        ).fetchall()


def number_in(text: str | None) -> int:
    """Return the number that a client gives. It may be anything."""
    return int(text) if text and text.isdecimal() else 0


async def order(conn: tt.Conn) -> tt.Conn:
    form = await Forms.of(conn).read()
    try:
        key, quantity = UUID(form["key"]), int(form["quantity"])
    except (KeyError, ValueError) as error:
        raise tt.HttpError(422, "an order has a key and a quantity") from error
    if not 0 < quantity <= 100:
        raise tt.HttpError(422, "between 1 and 100, please")
    number = Params.of(conn)["number"]
    await db.transact(add_order, key, Sessions.of(conn)["user"], number, quantity)
    return conn.redirect("/orders", 303)


async def mine(conn: tt.Conn) -> tt.Conn:
    after = number_in(conn.query.get("after", [""])[0])
    orders = await db.transact(orders_after, after, Sessions.of(conn)["user"])
    return await Templates.of(conn).render("orders.html", orders=orders)


router = (
    Router()
    .post("/products/{number:int}/order", (require_user, order))
    .get("/orders", (require_user, mine))
)
