"""What the pages show without being loaded again: new orders, and a chat."""

from collections.abc import AsyncGenerator
from typing import Annotated
from uuid import UUID

import msgspec
import trio
from psycopg import Connection

import trillium_trio as tt
from trillium_trio.handlers import (
    Event,
    EventStream,
    Router,
    Sessions,
    Templates,
    WebSocket,
    WebSocketConn,
)

from .accounts import require_user
from .database import db
from .orders import number_in, orders_after

Text = Annotated[str, msgspec.Meta(max_length=1000)]


@db.prepare
def create(connection: Connection) -> None:
    connection.execute("""
        CREATE TABLE IF NOT EXISTS message (
            id serial PRIMARY KEY, key uuid UNIQUE NOT NULL,
            author text NOT NULL, text text NOT NULL
        )""")


def add_message(connection: Connection, key: UUID, author: str, text: str) -> None:
    # As for orders: numbers become visible in order.
    connection.execute("LOCK TABLE message IN SHARE ROW EXCLUSIVE MODE")
    connection.execute(
        "INSERT INTO message (key, author, text) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        [key, author, text],
    )
    connection.execute("NOTIFY news")


def messages_after(connection: Connection, number: int) -> list[tuple[int, str, str]]:
    return connection.execute(
        "SELECT id, author, text FROM message WHERE id > %s ORDER BY id", [number]
    ).fetchall()


class News(tt.Handler):
    """Wakes those who wait when something is new, in whichever process it was stored."""

    def __init__(self) -> None:
        self._came = trio.Event()

    async def init(self, info: tt.Info) -> None:
        """Listen as long as the server serves."""
        info.start_service(self._listen)

    async def _listen(self) -> None:
        async for _ in db.listen("news"):
            self._came.set()
            self._came = trio.Event()

    async def __aiter__(self) -> AsyncGenerator[None, None]:
        """Yield at once, and then whenever something has come since."""
        while True:
            came = self._came
            yield
            await came.wait()


news = News()


async def orders(conn: tt.Conn) -> AsyncGenerator[Event, None]:
    """Send each new order. A browser that reconnects says which was its last."""
    last = number_in(EventStream.last_id(conn))
    async for _ in conn.swansong.interrupt(aiter(news)):
        while found := await db.transact(orders_after, last):
            for order in found:
                last = order.id
                text = f"{order.buyer}: {order.quantity} x {order.product}"
                yield Event(data=text, id=str(last))


async def chat(ws: WebSocketConn) -> None:
    """Store what a client sends, tell it so, and send it what all have written."""
    author = Sessions.of(ws)["user"]

    async def send_news(last: int) -> None:
        async for _ in news:
            for number, name, text in await db.transact(messages_after, last):
                await ws.send_json({"id": number, "author": name, "text": text})
                last = number

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_news, number_in(ws.querystring))
        async for message in ws:
            try:
                key, text = msgspec.json.decode(message, type=tuple[UUID, Text])
            except ValueError as error:
                await ws.close(1008, str(error)[:100])
                break
            await db.transact(add_message, key, author, text.replace("\0", ""))
            await ws.send_json({"stored": str(key)})
        nursery.cancel_scope.cancel()


async def page(conn: tt.Conn) -> tt.Conn:
    return await Templates.of(conn).render("live.html")


router = (
    Router()
    .get("/live", (require_user, page))
    .get("/live/orders", (require_user, EventStream(orders, retry=(0.1, 0.5))))
    .get("/live/chat", (require_user, WebSocket(chat)))
)
