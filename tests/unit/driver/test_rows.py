"""Answers that wait for their row, and what may meet them there (SV-20)."""

from __future__ import annotations

import socket
from functools import partial
from math import inf
from typing import TYPE_CHECKING, final

import pytest
import trio

import trillium_trio as tt
from tests.unit.driver._service import make_service
from tests.wire import request, settled
from trillium_trio.conn import as_handler
from trillium_trio.driver import Http1Connection
from trillium_trio.driver._outbox import Outbox
from trillium_trio.transport import Listener, SocketTransport, _poller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trio.testing import MockClock

    from trillium_trio.conn import HandlerLike

LISTENER = Listener(kind="unix", address="/run/x")
OK = b"HTTP/1.1 200 OK\r\n"
BIG = b"x" * 60_000


@final
class Rows:
    """Connections and their clients. The row is open until the test closes it."""

    def __init__(self, size: int = 6, *, in_front: HandlerLike = None) -> None:
        self.seen: list[str] = []
        self.gate = trio.Event()
        self.service = make_service((in_front, self.handle))
        self.connections: list[Http1Connection] = []
        self.clients: list[socket.socket] = []
        self.scopes: list[trio.CancelScope] = []
        self.everything = trio.CancelScope()
        for _ in range(size):
            near, far = socket.socketpair()
            far.setblocking(False)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
            self.clients.append(far)
            self.connections.append(Http1Connection(self.service, SocketTransport(near, LISTENER)))
            self.scopes.append(trio.CancelScope())

    async def handle(self, conn: tt.Conn) -> tt.Conn:
        self.seen.append(conn.path)
        match conn.path:
            case "/big":
                return conn.ok(BIG)
            case "/gate":
                await self.gate.wait()
            case "/early":
                await conn.ok("hello").send_now()
                await self.gate.wait()
            case "/early-big":
                await conn.ok(BIG).send_now()
                await self.gate.wait()
        return conn.ok("hello")

    async def run(self, *, poller: bool) -> None:
        async def run_one(connection: Http1Connection, scope: trio.CancelScope) -> None:
            with scope:
                await connection.run()

        with self.everything:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.service.watchdog.run)
                if poller:
                    nursery.start_soon(self.service.poller.run)
                    await settled()
                for connection, scope in zip(self.connections, self.scopes, strict=True):
                    nursery.start_soon(run_one, connection, scope)

    @property
    def guards(self) -> int:
        return self.service.swansong.guard_count

    async def ask(self, *paths: str) -> None:
        """Send a request of each client, and let all be handled with the row open."""
        self.service.outbox.open()
        for client, path in zip(self.clients, paths or ["/"] * len(self.clients), strict=True):
            client.send(request(path))
        await settled()

    async def leave(self) -> None:
        self.service.outbox.close()
        await settled()

    def get(self, index: int) -> bytes:
        """Return what a client has got; with ``<EOF>`` at the end of the input."""
        got = b""
        try:
            while piece := self.clients[index].recv(1_000_000):
                got += piece
        except BlockingIOError:
            return got
        return got + b"<EOF>"

    def get_all(self) -> list[bytes]:
        return [self.get(each) for each in range(len(self.clients))]


class Looks(tt.Handler):
    """Has a ``before_send``, which waits for nothing."""

    async def before_send(self, conn: tt.Conn) -> tt.Conn:
        return conn


@pytest.fixture(params=["no hook", "before_send"])
def in_front(request: pytest.FixtureRequest) -> HandlerLike:
    return Looks() if request.param == "before_send" else None


@pytest.fixture(params=["alone", pytest.param("poller", marks=pytest.mark.needs_poller)])
async def rows(
    request: pytest.FixtureRequest,
    in_front: HandlerLike,
    monkeypatch: pytest.MonkeyPatch,
    nursery: trio.Nursery,
) -> AsyncIterator[Rows]:
    for name in ("_TRIAL_AFTER", "_TO_BEGIN", "_TO_GO_ON"):
        monkeypatch.setattr(_poller, name, 0)
    # The poller opens no row: the test does.
    monkeypatch.setattr(_poller, "_TO_OPEN", inf)
    rows = Rows(in_front=in_front)
    nursery.start_soon(partial(rows.run, poller=request.param == "poller"))
    await settled()
    yield rows
    rows.service.outbox.close()
    rows.gate.set()
    for each in rows.clients:
        each.close()
    await settled()
    assert rows.guards == 0
    assert not rows.service.connections
    rows.everything.cancel()


async def test_sv_20_answers_wait_for_their_row(rows: Rows) -> None:
    await rows.ask()
    assert rows.get_all() == [b""] * 6
    assert rows.guards == 6, "a guard is held until the answer has been taken"
    assert rows.connections[0].label == "GET /"
    assert "about to send" in repr(rows.connections[0])
    await rows.leave()
    assert all(each.startswith(OK) and each.endswith(b"hello") for each in rows.get_all())
    assert rows.guards == 0
    assert all(each.exchange is None for each in rows.connections)


async def test_sv_20_a_handler_that_waits_delays_nobody(rows: Rows) -> None:
    await rows.ask("/", "/gate", "/", "/gate", "/", "/")
    await rows.leave()
    is_answered = [each.startswith(OK) for each in rows.get_all()]
    assert is_answered == [True, False, True, False, True, True]
    assert rows.guards == 2
    rows.gate.set()
    await settled()
    assert [each.startswith(OK) for each in rows.get_all()].count(True) == 2


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(request(method="HEAD"), id="HEAD"),
        pytest.param(request("/", "Connection: close"), id="close"),
        pytest.param(request(version="1.0"), id="HTTP/1.0"),
        pytest.param(request(method="POST", body=b"unread"), id="unread"),
    ],
)
async def test_sv_20_what_is_not_plain_does_not_wait(rows: Rows, message: bytes) -> None:
    rows.service.outbox.open()
    rows.clients[0].send(message)
    await settled()
    assert OK[8:] in rows.get(0)
    assert rows.service.outbox.is_empty


async def test_sv_20_a_large_answer_does_not_wait(rows: Rows) -> None:
    async def large(conn: tt.Conn) -> tt.Conn:
        return conn.ok(2 * BIG)

    rows.service.handler = as_handler(large)
    rows.service.outbox.open()
    rows.clients[0].send(request())
    await settled()
    assert rows.get(0).startswith(OK)
    assert rows.service.outbox.is_empty
    rows.connections[0].cut("the test", linger=0)


async def test_sv_20_a_pipelined_request_is_answered_in_its_order(rows: Rows) -> None:
    rows.service.outbox.open()
    rows.clients[0].send(request("/first") + request("/second"))
    await settled()
    assert rows.get(0).count(OK) == 1, "behind the first there is more, so it is sent at once"
    await rows.leave()
    assert rows.get(0).count(OK) == 1
    assert rows.seen == ["/first", "/second"]


@pytest.mark.parametrize("how", ["cut", "cancel", "cancel everything", "stop", "timeout", "wake"])
async def test_sv_20_what_comes_in_between_comes_after_the_answer(rows: Rows, how: str) -> None:
    await rows.ask()
    match how:
        case "cut":
            rows.connections[2].cut("the test", linger=1)
        case "cancel":
            rows.scopes[2].cancel()
        case "cancel everything":
            rows.everything.cancel()
        case "stop":
            rows.service.swansong.shut_down()
            rows.service.begin_drain(trio.current_time() + 1)  # the grace of all is over
            rows.service.notify()
        case "timeout":
            rows.connections[2].wire.expire()
        case "wake":
            rows.connections[2].notice()
    await settled()  # the row is still open
    got = rows.get(2)
    assert got.startswith(OK)
    assert got.endswith(b"hello" if how == "wake" else b"hello<EOF>")
    assert rows.guards == 0, "the row leaves as a whole"
    await rows.leave()
    if how not in ("cancel everything", "stop"):
        rows.clients[1].send(request("/next"))
        await settled()
        assert rows.get(1).count(OK) == 2


async def test_sv_20_the_next_request_is_answered_behind_the_one_in_the_row(rows: Rows) -> None:
    await rows.ask()
    rows.clients[2].send(request("/second", method="HEAD"))
    await settled()
    first, _, second = rows.get(2).partition(b"hello")
    assert first.startswith(OK)
    assert second.startswith(OK)
    assert rows.seen[-1] == "/second"


async def test_sv_20_a_half_closed_client_gets_its_answer(rows: Rows) -> None:
    await rows.ask()
    rows.clients[2].shutdown(socket.SHUT_WR)
    await settled()
    assert rows.get(2).endswith(b"hello<EOF>")


async def test_sv_20_a_peer_that_leaves_harms_nobody(
    rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    await rows.ask()
    rows.clients[2].close()
    await rows.leave()
    assert all(rows.get(each).endswith(b"hello") for each in (0, 1, 3, 4, 5))
    assert rows.guards == 0
    assert caplog.text == ""
    assert len(rows.service.connections) == 5


# Of slow peers


SLOW = ("/", "/big", "/", "/", "/", "/")


async def test_sv_20_what_is_not_taken_goes_back_to_its_connection(rows: Rows) -> None:
    await rows.ask(*SLOW)
    await rows.leave()
    assert all(rows.get(each).endswith(b"hello") for each in (0, 2, 3, 4, 5))
    assert rows.guards == 1
    assert "sending a response" in repr(rows.connections[1])
    # Nor does a request that comes meanwhile overtake it.
    rows.clients[1].send(request("/second"))
    got = b""
    while not got.endswith(b"hello"):
        got += rows.get(1)
        await settled()
    first, second = got.split(BIG)
    assert first.startswith(OK)
    assert second.startswith(OK)
    assert got.count(OK) == 2  # nothing was sent twice
    assert rows.guards == 0


async def test_sv_20_a_cut_severs_what_was_sent_in_part(rows: Rows) -> None:
    await rows.ask(*SLOW)
    await rows.leave()
    rows.connections[1].cut("the test", linger=1)
    await settled()
    assert rows.guards == 0
    assert rows.get(1).endswith(b"x<EOF>")


async def test_sv_20_a_cut_in_the_row_severs_it_too(rows: Rows) -> None:
    await rows.ask(*SLOW)
    rows.connections[1].cut("the test", linger=1)
    await settled()
    assert rows.guards == 0
    assert rows.get(1).endswith(b"x<EOF>")


async def test_sv_20_a_stop_in_the_row_lets_it_finish(rows: Rows) -> None:
    await rows.ask(*SLOW)
    rows.service.swansong.shut_down()
    rows.service.begin_drain(trio.current_time() + 1)
    rows.service.notify()
    got = b""
    while not got.endswith(b"<EOF>"):
        await settled()
        got += rows.get(1)
    assert got.endswith(BIG + b"<EOF>")


async def test_cn_15_the_write_timeout_counts_for_what_was_not_taken(
    mock_clock: MockClock, rows: Rows
) -> None:
    await rows.ask(*SLOW)
    await rows.leave()
    assert rows.guards == 1
    mock_clock.jump(60)
    await settled()
    assert rows.guards == 0
    assert rows.get(1).endswith(b"x<EOF>")


@pytest.mark.needs_poller
async def test_sv_20_the_poller_opens_a_row_for_those_that_go_on_in_one_turn(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    for name in ("_TRIAL_AFTER", "_TO_BEGIN", "_TO_GO_ON"):
        monkeypatch.setattr(_poller, name, 0)
    sizes = []

    def send(self: Outbox) -> None:
        sizes.append(len(self._row))
        send_row(self)

    send_row = Outbox.send
    monkeypatch.setattr(Outbox, "send", send)
    rows = Rows(32)
    nursery.start_soon(partial(rows.run, poller=True))
    await settled()
    for _ in range(20):
        for client in rows.clients:
            client.send(request())
        await settled()
        assert all(each.endswith(b"hello") for each in rows.get_all())
    assert len(sizes) == 20, "one a turn"
    # The order of tasks within a turn is random here, so that some come after their row.
    assert sum(sizes) > 20
    # Few are answered at once, each on its own.
    for client in rows.clients[:3]:
        client.send(request())
    await settled()
    assert len(sizes) == 20
    for each in rows.clients:
        each.close()
    await settled()
    rows.everything.cancel()


# The outbox itself


@final
class Answer:
    def __init__(self, sent: list[int], number: int) -> None:
        self._sent = sent
        self._number = number

    def send_queued(self) -> None:
        self._sent.append(self._number)


def test_sv_20_a_row_is_bounded() -> None:
    outbox, sent = Outbox(), list[int]()
    outbox.open()
    for number in range(100):
        outbox.add(Answer(sent, number), 1_000)
    assert sent == list(range(64))
    outbox.close()
    assert sent == list(range(100))
    assert not outbox.is_open

    outbox.open()
    for number in range(100, 106):
        outbox.add(Answer(sent, number), 60_000)
    assert sent[-1] == 103
    assert repr(outbox) == "<Outbox open, 2 answers>"
    outbox.close()
    assert sent == list(range(106))
    assert outbox.is_empty


async def test_hd_8_a_response_leaves_with_its_row_while_its_handler_continues(
    rows: Rows,
) -> None:
    await rows.ask("/", "/early", "/", "/", "/", "/")
    await rows.leave()
    assert all(each.endswith(b"hello") for each in rows.get_all())
    assert rows.guards == 1
    assert rows.connections[1].label == "GET /early"
    rows.clients[1].send(request("/second"))
    await settled()
    assert rows.get(1) == b""
    rows.gate.set()
    await settled()
    assert rows.get(1).endswith(b"hello")
    assert rows.guards == 0


async def test_hd_8_a_handler_that_is_over_leaves_its_response_to_the_row(rows: Rows) -> None:
    rows.gate.set()
    await rows.ask("/early", "/early", "/", "/", "/", "/")
    assert rows.guards == 6
    await rows.leave()
    assert all(each.endswith(b"hello") for each in rows.get_all())
    assert rows.guards == 0


@pytest.mark.parametrize("how", ["reads", "leaves", "is cut"])
async def test_hd_8_what_a_slow_peer_has_not_taken_is_sent_beside_the_handler(
    rows: Rows, how: str, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows.service.info, "_starter", Starts(nursery))
    await rows.ask("/", "/early-big", "/", "/", "/", "/")
    await rows.leave()
    assert rows.guards == 1
    got = b""
    if how == "leaves":
        rows.clients[1].close()
    elif how == "is cut":
        rows.connections[1].cut("the test", linger=1)
        await settled()
        assert rows.guards == 0
        return
    else:
        while not got.endswith(BIG):
            got += rows.get(1)
            await settled()
        assert rows.guards == 1, "the handler continues"
    rows.gate.set()
    await settled()
    assert rows.guards == 0
    if how == "reads":
        rows.clients[1].send(request("/second"))
        await settled()
        assert rows.get(1).endswith(b"hello")


class Starts:
    """Starts background work in a nursery."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start_background(
        self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        self._nursery.start_soon(fn, *args)

    def start_service(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        raise AssertionError(f"{fn} is started")


async def test_hd_10_an_answer_in_a_row_is_observed_when_it_has_left(
    rows: Rows, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows.service.info, "_starter", Starts(nursery))
    seen: list[tuple[str, tt.Sent, int]] = []

    def observe(conn: tt.Conn, sent: tt.Sent) -> None:
        seen.append((conn.path, sent, rows.guards))

    rows.service.after_send = observe
    await rows.ask("/", "/big", "/early", "/early-big", "/", "/")
    assert seen == [], "nothing has left"
    await rows.leave()
    assert [path for path, *_ in seen] == ["/", "/", "/"], "of the others something is left to do"
    assert seen[0][2] == rows.guards + 3, "before its guard is released"
    got = [0] * 6
    for _ in range(100):
        await settled()
        got = [size + len(rows.get(index)) for index, size in enumerate(got)]
    assert [path for path, *_ in seen] == ["/", "/", "/", "/big"], "the handlers still run"
    rows.gate.set()
    await settled()
    assert {path: sent.body_bytes for path, sent, _ in seen} == {
        "/": 5,
        "/big": len(BIG),
        "/early": 5,
        "/early-big": len(BIG),
    }
    assert {sent.outcome for _, sent, _ in seen} == {tt.Outcome.COMPLETE}
    assert {sent.status for _, sent, _ in seen} == {200}


async def test_hd_10_a_peer_that_leaves_before_the_rest_is_observed(
    rows: Rows, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows.service.info, "_starter", Starts(nursery))
    seen: list[tt.Sent] = []
    rows.service.after_send = lambda _, sent: seen.append(sent)
    await rows.ask("/big", "/early-big", "/", "/", "/", "/")
    await rows.leave()
    assert len(seen) == 4
    for client in rows.clients[:2]:
        client.close()
    rows.gate.set()
    await settled()
    assert [sent.outcome for sent in seen[4:]] == [tt.Outcome.DISCONNECTED] * 2
    assert all(0 < sent.body_bytes < len(BIG) for sent in seen[4:])


async def test_hd_8_a_handler_that_raises_after_an_answer_in_a_row(
    rows: Rows,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(rows.service.info, "_starter", Starts(nursery))
    seen: list[tt.Sent] = []
    rows.service.after_send = lambda conn, sent: seen.append(sent)

    async def handle(conn: tt.Conn) -> tt.Conn:
        await conn.ok(BIG if conn.path == "/big" else "hello").send_now()
        raise ValueError("afterwards")

    rows.service.handler = as_handler(handle)
    await rows.ask("/", "/big", "/", "/", "/", "/")
    await rows.leave()
    for _ in range(100):
        await settled()
        rows.get(1)
    assert [sent.outcome for sent in seen] == [tt.Outcome.COMPLETE] * 6
    assert sorted(sent.body_bytes for sent in seen) == [5] * 5 + [len(BIG)]
    assert sum("ValueError: afterwards" in each.getMessage() for each in caplog.records) == 6
    assert rows.guards == 0
