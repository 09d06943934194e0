"""The poller: every event in every state of a connection, and where receives wait."""

from __future__ import annotations

import errno
import os
import random
import select
import socket
from typing import TYPE_CHECKING, final

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.unit.transport._waits import collect
from tests.unit.transport.conftest import NoRow
from trillium_trio.exceptions import ClientDisconnected
from trillium_trio.transport import Listener, Poller, SocketTransport, Woken, _poller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.transport.conftest import RunPoller

pytestmark = pytest.mark.needs_poller

LISTENER = Listener(kind="tcp", address=("127.0.0.1", 8080))
# SO_TIMESTAMPING, with a notice on the error queue for each send: of software, without its payload.
TIMESTAMPS = 37, (1 << 1) | (1 << 4) | (1 << 7) | (1 << 11)


@final
class Pair:
    """A transport at the poller, and its peer."""

    def __init__(self, poller: Poller) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.peer = socket.create_connection(server.getsockname())
            self.sock, _ = server.accept()
        self.poller = poller
        self.transport = SocketTransport(self.sock, LISTENER)
        self.transport.join(poller)

    @property
    def is_registered(self) -> bool:
        """Whether the poller's epoll has the socket."""
        return self.sock.fileno() in self.poller._registered

    async def register(self) -> None:
        """Receive once, so that the socket is registered and nobody waits."""
        self.peer.sendall(b".")
        assert await self.transport.receive_some() == b"."
        assert self.is_registered

    def happen(self, event: str) -> None:
        """Make an event."""
        match event:
            case "data":
                self.peer.sendall(b"data")
            case "eof":
                self.peer.shutdown(socket.SHUT_WR)
            case "data and eof":
                self.peer.sendall(b"data")
                self.peer.shutdown(socket.SHUT_WR)
            case "reset":
                self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.peer.close()
            case "hang-up":
                self.sock.shutdown(socket.SHUT_WR)
                self.peer.close()
            case "notice of an error queue":
                number, flags = TIMESTAMPS
                self.sock.setsockopt(socket.SOL_SOCKET, number, flags)
                assert self.sock.send(b"answer") == 6
                poll = select.poll()
                poll.register(self.sock, 0)
                assert poll.poll(0) == [(self.sock.fileno(), select.POLLERR)]

    async def received(self, event: str, received: list[object]) -> None:
        """Expect what a receive makes of an event, and that the connection goes on."""
        match event:
            case "data" | "data and eof":
                assert received == [b"data"]
            case "eof" | "hang-up":
                assert received == [b""]
            case "reset":
                [error] = received
                assert isinstance(error, ClientDisconnected)
                assert isinstance(error.__cause__, ConnectionResetError)
            case _:
                assert received == []
                self.peer.sendall(b"late")
                await wait_all_tasks_blocked()
                assert received == [b"late"]
        if event == "data and eof":
            assert await self.transport.receive_some() == b""


EVENTS = ("data", "eof", "data and eof", "reset", "hang-up", "notice of an error queue")
every_event = pytest.mark.parametrize("event", EVENTS)


@pytest.fixture
async def pair(run_poller: RunPoller) -> AsyncIterator[Pair]:
    pair = Pair(await run_poller())
    with pair.peer:
        yield pair
        await pair.transport.aclose()
        assert not pair.poller._registered


# An event meets a state


@every_event
async def test_cn_31_while_a_task_waits(pair: Pair, event: str, nursery: trio.Nursery) -> None:
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    assert pair.is_registered
    pair.happen(event)
    await wait_all_tasks_blocked()
    await pair.received(event, received)


@every_event
async def test_cn_31_before_a_task_waits(pair: Pair, event: str, nursery: trio.Nursery) -> None:
    pair.happen(event)
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    await pair.received(event, received)


@every_event
async def test_cn_31_in_the_handler(pair: Pair, event: str, nursery: trio.Nursery) -> None:
    await pair.register()
    pair.happen(event)
    await wait_all_tasks_blocked()  # with an event that is reported for ever, it never would
    assert not pair.is_registered
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    await pair.received(event, received)


@pytest.mark.parametrize("event", ["data", "eof", "data and eof"])
async def test_cn_31_while_another_task_sends(
    pair: Pair, event: str, nursery: trio.Nursery
) -> None:
    transport = pair.transport
    received = collect(nursery, transport.receive_some)
    while transport.send_nowait(bytes(65536)):
        pass
    sent = collect(nursery, lambda: transport.send_some(b"x"))
    await wait_all_tasks_blocked()
    pair.happen(event)
    await wait_all_tasks_blocked()
    assert sent == []
    await pair.received(event, received)
    while pair.peer.recv(1_000_000) and not sent:
        await wait_all_tasks_blocked()
    assert sent == [1]


async def test_cn_31_a_reset_ends_both_waits(pair: Pair, nursery: trio.Nursery) -> None:
    transport = pair.transport
    received = collect(nursery, transport.receive_some)
    while transport.send_nowait(bytes(65536)):
        pass
    sent = collect(nursery, lambda: transport.send_some(b"x"))
    await wait_all_tasks_blocked()
    pair.happen("reset")
    await wait_all_tasks_blocked()
    # The kernel says why to whoever asks first; to a receive after that, that nothing comes.
    assert isinstance(sent[0], ClientDisconnected)
    assert received == [b""] or isinstance(received[0], ClientDisconnected)


@every_event
async def test_cn_31_when_woken(pair: Pair, event: str, nursery: trio.Nursery) -> None:
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    pair.happen(event)
    pair.transport.wake("stop")
    await wait_all_tasks_blocked()
    assert [repr(each) for each in received] == ["Woken('stop')"], "nothing was taken"
    pair.transport.clear_wake()
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    await pair.received(event, received)


async def test_cn_31_what_was_received_before_a_wake_is_delivered(
    pair: Pair, nursery: trio.Nursery
) -> None:
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    pair.happen("data")
    assert pair.poller._epoll is not None
    assert pair.poller._receive(pair.poller._epoll) == 1
    pair.transport.wake("late")
    await wait_all_tasks_blocked()
    assert received == [b"data"]


@every_event
async def test_cn_31_when_cancelled(pair: Pair, event: str, nursery: trio.Nursery) -> None:
    with trio.CancelScope() as scope:

        @nursery.start_soon
        async def cancel() -> None:
            await wait_all_tasks_blocked()
            pair.happen(event)
            scope.cancel()

        await pair.transport.receive_some()
    assert scope.cancelled_caught
    await wait_all_tasks_blocked()
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    await pair.received(event, received)


async def test_cn_31_what_was_received_before_a_cancellation_is_delivered(pair: Pair) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            received = collect(nursery, pair.transport.receive_some)
            await wait_all_tasks_blocked()
            pair.happen("data")
            assert pair.poller._epoll is not None
            assert pair.poller._receive(pair.poller._epoll) == 1
            scope.cancel()
    assert received == [b"data"]


@every_event
@pytest.mark.parametrize("how", ["close", "abort"])
async def test_cn_31_when_closed_its_number_is_the_next_socket_s(
    pair: Pair, event: str, how: str, nursery: trio.Nursery
) -> None:
    number = pair.sock.fileno()
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    pair.happen(event)
    if how == "abort":
        pair.transport.abort()
    else:
        await pair.transport.aclose()
    near, far = socket.socketpair()
    if far.fileno() == number:
        near, far = far, near
    elif near.fileno() != number:
        with near:
            near = socket.socket(fileno=os.dup2(near.fileno(), number))
    with far:
        successor = SocketTransport(near, LISTENER)
        successor.join(pair.poller)
        next_received = collect(nursery, successor.receive_some)
        await wait_all_tasks_blocked()
        assert [type(each) for each in received] == [ClientDisconnected]
        assert next_received == []
        far.sendall(b"for the next")
        await wait_all_tasks_blocked()
        assert next_received == [b"for the next"]
        await successor.aclose()


async def test_cn_31_the_end_of_the_poller_loses_nobody(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    monkeypatch.setattr(_poller, "_TRIAL_AFTER", 0)
    poller = Poller(NoRow())
    async with trio.open_nursery() as inner:
        inner.start_soon(poller.run)
        await wait_all_tasks_blocked()
        pair = Pair(poller)
        received = collect(nursery, pair.transport.receive_some)
        await wait_all_tasks_blocked()
        assert pair.is_registered
        inner.cancel_scope.cancel()
    await wait_all_tasks_blocked()
    with pair.peer:
        pair.happen("data")
        await wait_all_tasks_blocked()
        assert received == [b"data"]
        await pair.transport.aclose()


@pytest.mark.needs_trials
@pytest.mark.parametrize("call", ["epoll", "register"])
async def test_cn_31_without_room_in_the_system_receives_wait_with_trio(
    call: str, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    class Full:
        def __init__(self) -> None:
            if call == "epoll":
                raise OSError(errno.EMFILE, "too many open files")
            self._epoll = select.epoll()
            self.fileno = self._epoll.fileno
            self.close = self._epoll.close

        def register(self, fd: int, events: int) -> None:
            raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(_poller, "_make_epoll", Full)
    poller = Poller(NoRow())
    nursery.start_soon(poller.run)
    await wait_all_tasks_blocked()
    pair = Pair(poller)
    poller.direct = 0
    with pair.peer:
        received = collect(nursery, pair.transport.receive_some)
        await wait_all_tasks_blocked()
        assert poller.direct > 0
        pair.happen("data")
        await wait_all_tasks_blocked()
        assert received == [b"data"]
        await pair.transport.aclose()


# Many


async def test_cn_23_one_turn_receives_for_64(run_poller: RunPoller, nursery: trio.Nursery) -> None:
    poller = await run_poller()
    pairs = [Pair(poller) for _ in range(150)]
    received = [collect(nursery, each.transport.receive_some) for each in pairs]
    await wait_all_tasks_blocked()
    for each in pairs:
        each.happen("data")
    assert poller._epoll is not None
    # A task that waits again at once does not get its second turn before others have their first.
    turns = []
    while any(each.task is not None for each in poller._registered.values()):
        turns.append(poller._receive(poller._epoll))
        for each in pairs[:10]:
            each.peer.sendall(b"more")
    assert turns == [64, 64, 22]
    await wait_all_tasks_blocked()
    assert all(each[0] in (b"data", b"datamore") for each in received)
    for each in pairs:
        each.peer.close()
        await each.transport.aclose()


async def test_cn_31_thousands_come_and_go(run_poller: RunPoller) -> None:
    """Connections that end in every way, at random, while others get their numbers."""
    poller = await run_poller()
    chance = random.Random(31)
    echoed = 0
    scopes: list[trio.CancelScope] = []

    async def serve(transport: SocketTransport) -> None:
        try:
            with trio.CancelScope() as scope:
                scopes.append(scope)
                while data := await transport.receive_some(chance.choice((1, 7, 65536))):
                    if chance.random() < 0.3:
                        await trio.lowlevel.checkpoint()
                    await transport.send_all(data)
        except (ClientDisconnected, Woken):
            pass
        finally:
            await transport.aclose()

    async def echo(far: socket.socket, sent: bytes) -> bool:
        """Have bytes echoed; return False if the connection ends instead."""
        far.sendall(sent)
        got = b""
        while len(got) < len(sent):
            await trio.lowlevel.wait_readable(far)
            more = far.recv(100)
            if not more:
                return False
            got += more
            assert sent.startswith(got), "bytes of another connection"
        return True

    async def use(number: int) -> None:
        nonlocal echoed
        near, far = socket.socketpair()
        far.setblocking(False)
        transport = SocketTransport(near, LISTENER)
        transport.join(poller)
        async with trio.open_nursery() as inner:
            inner.start_soon(serve, transport)
            try:
                for turn in range(chance.randrange(4)):
                    if not await echo(far, f"{number}/{turn};".encode()):
                        break
                    echoed += 1
                match chance.randrange(6):
                    case 0:
                        far.shutdown(socket.SHUT_WR)
                    case 1:
                        far.sendall(b"unread")
                        transport.abort()
                    case 2:
                        transport.wake("stop")
                    case 3:
                        far.sendall(b"unread")
                        transport.wake("stop")
                    case 4 if scopes:
                        chance.choice(scopes).cancel()
            except (BrokenPipeError, ConnectionResetError):
                pass
            far.close()

    for start in range(0, 3_000, 100):
        async with trio.open_nursery() as users:
            for number in range(start, start + 100):
                users.start_soon(use, number)
        scopes.clear()
    assert echoed > 2_000
    assert not poller._registered


# Where receives wait


@pytest.fixture
async def poller(nursery: trio.Nursery) -> Poller:
    poller = Poller(NoRow())
    nursery.start_soon(poller.run)
    await wait_all_tasks_blocked()
    return poller


@final
class Load:
    """Connections that receive over and over; each turn some of them get a byte."""

    def __init__(self, poller: Poller, size: int, nursery: trio.Nursery) -> None:
        self.poller = poller
        self.pairs = [Pair(poller) for _ in range(size)]
        self.received = 0
        for each in self.pairs:
            nursery.start_soon(self._receive, each.transport)

    async def _receive(self, transport: SocketTransport) -> None:
        while await transport.receive_some():
            self.received += 1

    async def turn(self, ready: int) -> None:
        for each in self.pairs[:ready]:
            each.peer.sendall(b".")
        await wait_all_tasks_blocked()

    async def end(self) -> None:
        for each in self.pairs:
            each.peer.close()
        await wait_all_tasks_blocked()
        for each in self.pairs:
            await each.transport.aclose()


@pytest.mark.needs_trials
async def test_cn_31_with_few_ready_a_trial_is_short(poller: Poller, nursery: trio.Nursery) -> None:
    load = Load(poller, 2, nursery)
    polled = []
    for _ in range(3 * _poller._TRIAL_AFTER):
        await load.turn(1)
        polled.append(poller.direct <= 0)
    assert load.received == 3 * _poller._TRIAL_AFTER, "none was lost on the way"
    assert 2 <= polled.count(True) / _poller._TURNS <= 3
    await load.end()


@pytest.mark.needs_trials
async def test_cn_31_with_many_ready_receives_wait_at_the_poller(
    poller: Poller, nursery: trio.Nursery
) -> None:
    load = Load(poller, 32, nursery)
    while poller.direct > 0:
        await load.turn(32)
    assert load.received <= _poller._TRIAL_AFTER + 32
    for _ in range(20 * _poller._TURNS):
        await load.turn(32)
        assert poller.direct <= 0
    await load.end()


@pytest.mark.needs_trials
async def test_cn_31_a_load_in_between_does_not_go_to_and_fro(
    poller: Poller, nursery: trio.Nursery
) -> None:
    load = Load(poller, 32, nursery)
    between = (_poller._TO_BEGIN + _poller._TO_GO_ON) // 2

    async def changes() -> int:
        """Count how often receives begin to wait elsewhere, but for trials."""
        count, before = 0, poller.direct <= 0
        for _ in range(20 * _poller._TURNS):
            await load.turn(between)
            now = poller.direct <= 0
            count += now is not before
            before = now
        return count

    poller.direct = 1_000_000
    assert await changes() == 0
    poller.direct = 0
    while poller._least != _poller._TO_GO_ON:
        await load.turn(32)
    assert await changes() == 0
    assert poller.direct <= 0
    # And back, when there are few.
    for _ in range(2 * _poller._TURNS):
        await load.turn(2)
    assert poller.direct > 0
    await load.end()
