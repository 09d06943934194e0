"""A drain with many event streams and WebSockets open: each sees its goodbye, or is named."""

from __future__ import annotations

import re
import resource
from collections import Counter
from math import inf
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.e2e._net import Net, peer_at, serving
from tests.spec._websockets import HANDSHAKE, close
from trillium_trio.handlers import Event, EventStream, WebSocket, WebSocketConn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from tests.wire import Response
    from trillium_trio.conn import HandlerLike

MANY = 500
BYE, GOING_AWAY = b"\x81\x03bye", b"\x88\x02\x03\xe9"
SWITCHED = re.compile(rb"HTTP/1\.1 101 .*?\r\n\r\n", re.DOTALL)
GOODBYE = re.compile(rb"data: hello\n\nevent: goodbye\ndata: bye\n\nretry: \d+\n\n")


@pytest.fixture(autouse=True)
def enough_descriptors() -> Iterator[None]:
    """Allow both ends of every connection to be in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 5 * MANY
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Streams:
    """A handler of event streams and WebSockets, and clients that keep what they receive.

    Whose path begins with ``/asleep`` sleeps through the stop.
    """

    def __init__(self) -> None:
        self._opened = trio.Semaphore(0)
        self.events: list[Response] = []
        self.messages: list[tuple[str, bytes]] = []

    def handler(self, *, close_timeout: float) -> HandlerLike:
        stream = EventStream(self._send_events, grace=inf)

        async def events(conn: tt.Conn) -> tt.Conn:
            return await stream.run(conn) if conn.path.endswith("/events") else conn

        return events, WebSocket(self._converse, close_timeout=close_timeout)

    async def _send_events(self, conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        self._opened.release()
        yield "hello"
        if conn.path.startswith("/asleep"):
            await trio.sleep_forever()
        await conn.swansong.shutting_down()
        yield Event(event="goodbye", data="bye")

    async def _converse(self, ws: WebSocketConn) -> None:
        self._opened.release()
        if ws.path.startswith("/asleep"):
            await trio.sleep_forever()
        async for _ in ws:
            pass
        await ws.send("bye")

    async def wait_open(self, count: int) -> None:
        for _ in range(count):
            await self._opened.acquire()

    async def read_events(self, net: Net, path: str) -> None:
        peer = await peer_at(net.handle.port)
        self.events.append(await peer.get(path))
        await peer.stream.aclose()

    async def read_messages(self, net: Net, path: str, *, answers: bool) -> None:
        peer = await peer_at(net.handle.port)
        await peer.send(HANDSHAKE.replace(b"/chat", path.encode()))
        received = b""
        while data := await peer.receive():
            received += data
            if received.endswith(GOING_AWAY) and answers:
                await peer.send(close(1001))
        self.messages.append((path, SWITCHED.sub(b"", received)))
        await peer.stream.aclose()


async def test_ws_5_a_thousand_drain_and_each_sees_its_goodbye() -> None:
    streams = Streams()
    config = tt.Config(max_connections=2 * MANY)
    async with (
        serving(streams.handler(close_timeout=inf), config=config) as net,
        trio.open_nursery() as clients,
    ):
        for _ in range(MANY):
            clients.start_soon(streams.read_events, net, "/events")
            clients.start_soon(lambda: streams.read_messages(net, "/chat", answers=True))
        await streams.wait_open(2 * MANY)
        report = await net.handle.shut_down()
    assert (report.is_clean, report.finished) == (True, 2 * MANY)
    assert len(streams.events) == MANY
    assert all(each.is_whole and GOODBYE.fullmatch(each.body) for each in streams.events)
    assert streams.messages == [("/chat", BYE + GOING_AWAY)] * MANY


async def test_ws_8_five_hundred_that_ignore_the_stop_are_cut_and_named() -> None:
    """Peers that never answer the Close, and functions of both kinds that sleep through the stop.

    The peers of these are still sent a Close; an event stream breaks off instead.
    """
    silent, asleep, events = 200, 200, 100
    streams = Streams()
    async with (
        serving(streams.handler(close_timeout=inf), timeout=1) as net,
        trio.open_nursery() as clients,
    ):
        for _ in range(silent):
            clients.start_soon(lambda: streams.read_messages(net, "/silent", answers=False))
        for _ in range(asleep):
            clients.start_soon(lambda: streams.read_messages(net, "/asleep/chat", answers=True))
        for _ in range(events):
            clients.start_soon(streams.read_events, net, "/asleep/events")
        await streams.wait_open(MANY)
        report = await net.handle.shut_down()
    named = Counter(label for entry in report.cancelled.entries for label in entry.labels)
    assert named == {
        "GET /silent": silent,
        "GET /asleep/chat": asleep,
        "GET /asleep/events": events,
    }
    assert Counter(streams.messages) == {
        ("/silent", BYE + GOING_AWAY): silent,
        ("/asleep/chat", GOING_AWAY): asleep,
    }
    assert [(each.is_whole, each.body) for each in streams.events] == [
        (False, b"data: hello\n\n")
    ] * events
