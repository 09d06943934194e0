"""How long a drain with many event streams and WebSockets takes, under a virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from trillium_trio.handlers import Event, EventStream, WebSocket, WebSocketConn
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    import trillium_trio as tt

MANY = 500
SECONDS = 3.0


async def test_ws_5_a_drain_takes_as_long_as_the_goodbyes(autojump_clock: MockClock) -> None:
    """No timer of ours makes it longer: no grace, heartbeat, Ping or Close timeout."""

    async def say(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        yield "hello"
        await conn.swansong.shutting_down()
        await trio.sleep(SECONDS)
        yield Event(event="goodbye", data="bye")

    async def chat(ws: WebSocketConn) -> None:
        async for _ in ws:
            pass
        await trio.sleep(SECONDS)
        await ws.send("bye")

    stream = EventStream(say)

    async def events(conn: tt.Conn) -> tt.Conn:
        return await stream.run(conn) if conn.path == "/events" else conn

    async def read_events() -> None:
        reader = app.events("/events")
        goodbyes.append(repr([event.data async for event in reader]))
        assert reader.is_whole

    async def read_messages() -> None:
        async with app.websocket("/chat") as ws:
            goodbyes.append(repr([message async for message in ws]))
            assert ws.close_code == 1001

    goodbyes: list[str] = []
    async with TestServer((events, WebSocket(chat))) as app, trio.open_nursery() as clients:
        for _ in range(MANY):
            clients.start_soon(read_events)
            clients.start_soon(read_messages)
        await wait_all_tasks_blocked()
        assert app.swansong.guard_count == 2 * MANY
        start = trio.current_time()
        report = await app.shut_down()
        # The connection of an event stream is kept: its client may send one more request.
        assert trio.current_time() - start == SECONDS + app.config.keepalive_grace
    assert (report.is_clean, report.finished) == (True, 2 * MANY)
    assert sorted(goodbyes) == ["['bye']"] * MANY + ["['hello', 'bye']"] * MANY
