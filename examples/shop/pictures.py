"""Pictures of the products, uploaded by those who are logged in."""

import secrets

from psycopg import Connection

import trillium_trio as tt
from trillium_trio.handlers import CachingHeaders, Forms, Params, Router

from .accounts import require_user
from .database import db
from .products import find_product

# How files of a type begin. What a client says of its file may be anything.
TYPES = {b"\x89PNG\r\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


@db.prepare
def create(connection: Connection) -> None:
    connection.execute("""
        CREATE TABLE IF NOT EXISTS picture (
            name text PRIMARY KEY, type text NOT NULL, data bytea NOT NULL
        )""")


def add_picture(connection: Connection, product: int, kind: str, data: bytes) -> None:
    find_product(connection, product)  # or it is a 404
    name = secrets.token_urlsafe(16)
    connection.execute("INSERT INTO picture VALUES (%s, %s, %s)", [name, kind, data])
    connection.execute("UPDATE product SET picture = %s WHERE id = %s", [name, product])


def find_picture(connection: Connection, name: str) -> tuple[str, bytes]:
    row = connection.execute("SELECT type, data FROM picture WHERE name = %s", [name]).fetchone()
    if row is None:
        raise tt.HttpError(404, f"there is no picture {name}")
    return row


async def upload(conn: tt.Conn) -> tt.Conn:
    number = Params.of(conn)["number"]
    form = await Forms.of(conn).read()
    picture = form.files.get("picture")
    data = await picture.read() if picture is not None else b""
    kind = next((kind for start, kind in TYPES.items() if data.startswith(start)), None)
    if kind is None:
        raise tt.HttpError(422, "not a picture in PNG, JPEG or GIF")
    await db.transact(add_picture, number, kind, data)
    return conn.redirect(f"/products/{number}", 303)


async def show(conn: tt.Conn) -> tt.Conn:
    kind, data = await db.transact(find_picture, Params.of(conn)["name"])
    # A picture never changes: another one has another name.
    conn.with_response_header("cache-control", "public, max-age=31536000, immutable")
    return conn.with_response_header("content-type", kind).ok(data)


router = (
    Router()
    .post("/products/{number:int}/picture", (require_user, upload))
    .get("/pictures/{name}", (CachingHeaders(), show))
)
