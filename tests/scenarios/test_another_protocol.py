"""A second protocol on the exchange: lines instead of HTTP, and everything else the same.

``GET /x`` and a line break is a request, the status and the body in one line is a response. Guards,
notice, cut, error table, hooks and report come with `Connection` and `Exchange`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio
from trio.testing import memory_stream_pair

import trillium_trio as tt
from tests.unit.driver._service import make_service
from tests.wire import settled
from trillium_trio.driver import Connection, Exchange, Phase, Service, State
from trillium_trio.exceptions import ClientDisconnected, HttpError
from trillium_trio.http import Headers, RequestHead
from trillium_trio.transport import Listener, StreamTransport, Woken

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock


class NoBody:
    length = 0
    is_complete = True
    trailers = Headers()

    async def receive(self, max_bytes: int) -> bytes:
        return b""


class LineExchange(Exchange):
    """One line there, one line back."""

    async def send(self) -> bool:
        body = self.conn.response_body.data or b""
        self.phase = Phase.SENDING
        line = b"%d %b\n" % (self.conn.status or 404, body.strip())
        await self.carrier.transport.send_all(line)
        return self.carrier.service.swansong.is_running

    def sever(self) -> None:
        if self.phase is Phase.SENDING:
            self.carrier.transport.abort()


class LineConnection(Connection):
    """One line after another."""

    async def serve(self) -> None:
        while (line := await self.next_line()) is not None:
            head = RequestHead(*line.decode().split(" "), "1.1", Headers())  # type: ignore[call-arg, arg-type]  # a line has two words
            self.state = State.EXCHANGE
            guard = self.take_guard(head)
            self.exchange = LineExchange(self, head, NoBody(), trio.current_time(), guard)
            if not await self.exchange.run():
                break
            self.exchange = None
        await self.close_politely()

    async def next_line(self) -> bytes | None:
        while b"\n" not in self.wire.buffer:
            self.state = State.HEAD if self.wire.buffer else State.IDLE
            if self.state is State.IDLE and self.service.is_draining:
                return None
            try:
                data = await self.wire.receive(trio.current_time() + 10)
            except ClientDisconnected:
                return None
            except Woken:
                continue
            if not data:
                return None
            self.wire.buffer += data
        line, _, self.wire.buffer = self.wire.buffer.partition(b"\n")
        return line

    async def refuse(self, error: HttpError) -> None:
        self.state = State.REFUSING
        await self.transport.send_all(b"%d\n" % error.status)
        self.state = State.REFUSED


def connect(
    nursery: trio.Nursery, service: Service
) -> tuple[
    trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream],
    LineConnection,
]:
    near, far = memory_stream_pair()
    transport = StreamTransport(near, Listener(kind="unix", address="lines"))
    connection = LineConnection(service, transport)
    nursery.start_soon(service.watchdog.run)
    nursery.start_soon(connection.run)
    return far, connection


async def handler(conn: tt.Conn) -> tt.Conn:
    match conn.path:
        case "/slow":
            await trio.sleep(60)
        case "/taken":
            raise tt.HttpError(409)
        case "/broken":
            raise ValueError("boom")
    return conn.ok(f"you asked for {conn.path}")


async def test_requests_and_errors_are_answered_in_turn(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    far, _ = connect(nursery, make_service(handler))
    for path, answer in [
        ("/a", b"200 you asked for /a\n"),
        ("/taken", b"409 Conflict\n"),
        ("/broken", b"500 Internal Server Error\n"),
        ("/b", b"200 you asked for /b\n"),
    ]:
        await far.send_all(f"GET {path}\n".encode())
        assert (await far.receive_some()) == answer
    [failure] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "unix: GET /broken: ValueError: boom" in failure.getMessage()


async def test_a_request_is_guarded_and_reported(nursery: trio.Nursery) -> None:
    service = make_service(handler)
    far, connection = connect(nursery, service)
    await far.send_all(b"GET /slow\n")
    await settled()
    report = service.swansong.guard_report(stacks=True)
    assert report.guard_count == 1
    assert report.entries[0].labels == ("GET /slow",)
    assert "in handler" in str(report)
    connection.cut("enough", linger=1)
    assert await far.receive_some() == b"503 Service Unavailable\n"
    assert service.swansong.guard_count == 0


async def test_a_notice_ends_an_idle_connection_and_lets_a_request_finish(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    service = make_service(handler)
    idle, _ = connect(nursery, service)
    busy, _ = connect(nursery, service)
    await busy.send_all(b"GET /slow\n")
    await settled()
    service.swansong.shut_down()
    service.begin_drain(trio.current_time())
    service.notify()
    assert await idle.receive_some() == b""
    assert await busy.receive_some() == b"200 you asked for /slow\n"
    assert await busy.receive_some() == b""


async def test_hooks_run_and_a_cut_before_the_request_is_whole_is_refused(
    nursery: trio.Nursery,
) -> None:
    sent: list[str] = []

    async def noting(conn: tt.Conn) -> tt.Conn:
        async def note(conn: tt.Conn) -> None:
            sent.append(conn.path)

        return conn.after_send(note).ok("noted")

    service = make_service(noting)
    far, connection = connect(nursery, service)
    await far.send_all(b"GET /a\n")
    assert await far.receive_some() == b"200 noted\n"
    await far.send_all(b"GET /h")
    await settled()
    assert sent == ["/a"]
    connection.cut("enough", linger=1)
    assert await far.receive_some() == b"503\n"
