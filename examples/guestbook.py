"""A guest book in PostgreSQL: ``POST /`` writes an entry, ``/`` shows the last ones.

Needs ``pip install 'trillium-trio[postgres]' 'psycopg[binary]'`` and a database, named by libpq's
variables: ``PGDATABASE=guests python guestbook.py``. Several processes may share it.
"""

from typing import Any

import trillium_trio as tt
from trillium_trio.handlers import Postgres, Router

TABLE = """CREATE TABLE IF NOT EXISTS entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry text NOT NULL
)"""
LAST = "SELECT entry FROM entries ORDER BY id DESC LIMIT 20"


def schema(connection: Any) -> None:
    connection.execute(TABLE)


def add(connection: Any, entry: str) -> None:
    connection.execute("INSERT INTO entries (entry) VALUES (%s)", [entry])


def last(connection: Any) -> list[str]:
    return [entry for (entry,) in connection.execute(LAST)]


async def write(conn: tt.Conn) -> tt.Conn:
    entry = await conn.request_body.text(max_bytes=1000)
    await Postgres.of(conn).transact(add, entry)
    return conn.redirect("/", 303)


async def read(conn: tt.Conn) -> tt.Conn:
    entries = await Postgres.of(conn).transact(last)
    return conn.ok("".join(f"{entry}\n" for entry in entries))


if __name__ == "__main__":
    db = Postgres()
    db.prepare(schema)
    tt.config().run((db, Router().get("/", read).post("/", write)))
