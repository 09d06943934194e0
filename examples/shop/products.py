"""What the shop sells."""

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import class_row

import trillium_trio as tt
from trillium_trio.handlers import Params, Router, Templates

from .database import db


class Product(Struct):
    """A product. The price is in cents."""

    id: int
    name: str
    price: int
    stock: int
    picture: str | None


@db.prepare
def create(connection: Connection) -> None:
    connection.execute("""
        CREATE TABLE IF NOT EXISTS product (
            id int PRIMARY KEY, name text NOT NULL, price int NOT NULL,
            stock int NOT NULL CHECK (stock >= 0), picture text
        )""")
    connection.execute("""
        INSERT INTO product VALUES
            (1, 'Tea', 450, 1000), (2, 'Pot', 2900, 200), (3, 'Cup', 700, 500)
        ON CONFLICT DO NOTHING""")


def all_products(connection: Connection) -> list[Product]:
    with connection.cursor(row_factory=class_row(Product)) as cursor:
        return cursor.execute("SELECT * FROM product ORDER BY id").fetchall()


def find_product(connection: Connection, number: int) -> Product:
    with connection.cursor(row_factory=class_row(Product)) as cursor:
        cursor.execute("SELECT * FROM product WHERE id = %s", [number])
        product = cursor.fetchone()
    if product is None:
        raise tt.HttpError(404, f"there is no product {number}")
    return product


async def front(conn: tt.Conn) -> tt.Conn:
    products = await db.transact(all_products)
    return await Templates.of(conn).render("front.html", products=products)


async def show(conn: tt.Conn) -> tt.Conn:
    product = await db.transact(find_product, Params.of(conn)["number"])
    return await Templates.of(conn).render("product.html", product=product)


router = Router().get("/", front).get("/products/{number:int}", show)
