"""Timed reads and writes, on a pair of real sockets where it matters."""

from __future__ import annotations

import socket
import tempfile
from math import inf
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

import trillium_trio as tt
from trillium_trio.driver import Watchdog
from trillium_trio.driver._wire import READ_AHEAD_BYTES, Stalled, Wake, Wire, allowance
from trillium_trio.exceptions import ClientDisconnected
from trillium_trio.transport import Listener, SocketTransport, StreamTransport, Woken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FACTS = Listener(kind="tcp", address=("127.0.0.1", 1))


@pytest.mark.parametrize(
    ("moved", "waited", "allowed"),
    [
        (0, 0, 30),
        (0, 20, 10),
        (0, 31, 0),
        (2560, 20, 20),
        (2560, 35, 5),
        (256_000, 35, 30),
    ],
)
def test_allowance(moved: int, waited: float, allowed: float) -> None:
    assert allowance(30, 256, moved, waited) == allowed
    assert allowance(30, 0, moved, waited) == 30


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Wire, socket.socket, Watchdog]]:
    near, far = socket.socketpair()
    transport = SocketTransport(near, FACTS)
    dog = Watchdog()
    wire = Wire(transport, dog, tt.HttpConfig(write_timeout=7))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dog.run)
        with far:
            yield wire, far, dog
        nursery.cancel_scope.cancel()
    await transport.aclose()


Pair = tuple[Wire, socket.socket, Watchdog]


async def test_a_timeout_and_bytes_in_one_turn(autojump_clock: MockClock, pair: Pair) -> None:
    wire, far, _ = pair
    far.send(b"first")
    # Whichever is looked at first: woken, or served, but the next wait knows nothing of it.
    try:
        assert await wire.receive(trio.current_time()) == b"first"
    except Woken:
        assert await wire.receive(inf) == b"first"
    far.send(b"second")
    assert await wire.receive(inf) == b"second"
    assert wire.deadline == inf


@pytest.mark.parametrize("reason", Wake)
async def test_a_wake_before_the_wait_is_seen(pair: Pair, reason: Wake) -> None:
    wire, far, _ = pair
    wire.transport.wake(reason)
    far.send(b"x")
    with pytest.raises(Woken):
        await wire.receive(inf)
    assert await wire.receive(inf) == b"x"


async def test_the_end_of_input_is_remembered(pair: Pair) -> None:
    wire, far, _ = pair
    far.shutdown(socket.SHUT_WR)
    assert await wire.receive(inf) == b""
    assert wire.is_eof
    assert await wire.receive_more(inf) == b""
    wire.look()
    assert not wire.is_gone


async def test_look_takes_what_is_there(pair: Pair) -> None:
    wire, far, _ = pair
    wire.look()
    assert wire.buffer == b""
    far.send(b"ahead")
    wire.look()
    far.send(b" of it")
    wire.look()
    assert wire.buffer == b"ahead of it"
    assert await wire.receive_more(inf) == b"ahead of it"
    assert "0 bytes ahead" in repr(wire)
    far.close()
    wire.look()
    assert (wire.is_eof, wire.is_gone) == (True, True)


async def test_look_stops_far_enough_ahead(pair: Pair) -> None:
    wire, far, _ = pair
    wire.buffer = b"x" * READ_AHEAD_BYTES
    far.send(b"more")
    wire.look()
    assert len(wire.buffer) == READ_AHEAD_BYTES


async def test_look_survives_a_lost_transport(pair: Pair) -> None:
    wire, _, _ = pair
    await wire.transport.aclose()
    wire.look()
    assert wire.is_gone
    with pytest.raises(ClientDisconnected):
        await wire.send(b"x")
    with pytest.raises(ClientDisconnected):
        await wire.receive(inf)


async def test_a_reader_that_stopped_is_told_apart(autojump_clock: MockClock, pair: Pair) -> None:
    wire, far, _ = pair
    data = b"x" * 1_000_000
    start = trio.current_time()
    with pytest.raises(Stalled, match="none for 7"):
        await wire.send(data)
    assert trio.current_time() - start == 7
    assert wire.is_gone
    assert len(far.recv(10_000_000)) > 0


async def test_a_large_body_goes_out_as_it_is_taken(pair: Pair) -> None:
    wire, far, _ = pair
    data = bytes(range(256)) * 20_000
    far.setblocking(False)
    far_stream = trio.SocketStream(trio.socket.from_stdlib_socket(far))
    got = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.send, data)
        while len(got) < len(data):
            got += await far_stream.receive_some()
    assert got == data


async def test_a_file_goes_out_as_it_is_taken(pair: Pair) -> None:
    wire, far, _ = pair
    data = bytes(range(256)) * 20_000
    far_stream = trio.SocketStream(trio.socket.from_stdlib_socket(far))
    got, sent = b"", []
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()

        async def send(count: int) -> None:
            sent.append(await wire.send_file(cast(BinaryIO, file), 1, count))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, len(data) - 1)
            while len(got) < len(data) - 1:
                got += await far_stream.receive_some()
        await send(0)
    assert got == data[1:]
    assert sent == [len(data) - 1, 0]
    assert wire.deadline == inf


async def test_a_file_has_no_more_than_it_has(pair: Pair) -> None:
    wire, far, _ = pair
    with tempfile.TemporaryFile() as file:
        file.write(b"short")
        file.flush()
        assert await wire.send_file(cast(BinaryIO, file), 0, 100) == 5
    assert far.recv(100) == b"short"


async def test_a_reader_that_takes_no_file(autojump_clock: MockClock, pair: Pair) -> None:
    wire, _, _ = pair
    while wire.transport.send_nowait(bytes(65_536)):
        pass
    start = trio.current_time()
    with tempfile.TemporaryFile() as file:
        file.truncate(100)
        with pytest.raises(Stalled, match="took 0 of 100 bytes, none for 7"):
            await wire.send_file(cast(BinaryIO, file), 0, 100)
    assert trio.current_time() - start == 7
    assert wire.is_gone


async def test_a_watcher_is_the_one_reader(autojump_clock: MockClock) -> None:
    near, far = memory_stream_pair()
    wire = Wire(StreamTransport(near, FACTS), Watchdog(), tt.HttpConfig())
    with trio.CancelScope() as gone:
        async with trio.open_nursery() as nursery:
            wire.begin_watch()

            async def watch() -> None:
                await wire.watch(gone, eof=True)

            nursery.start_soon(watch)
            with pytest.raises(Woken):
                await wire.receive_more(trio.current_time() + 3)
            await far.send_all(b"x" * 3 * READ_AHEAD_BYTES)
            await wait_all_tasks_blocked()
            assert READ_AHEAD_BYTES <= len(wire.buffer) < 3 * READ_AHEAD_BYTES
            got = 0
            while got < 3 * READ_AHEAD_BYTES:
                got += len(await wire.receive_more(inf))
            wire.look()  # nothing: it is the watcher's
            await far.aclose()
            await trio.sleep_forever()
    assert gone.cancelled_caught
    assert wire.is_eof


@pytest.mark.parametrize("how", ["reset", "woken"])
async def test_a_reader_hears_from_the_watcher(how: str, autojump_clock: MockClock) -> None:
    near, _far = lockstep_stream_pair()
    wire = Wire(StreamTransport(near, FACTS), Watchdog(), tt.HttpConfig())
    seen: list[bool] = []
    with trio.CancelScope() as gone:
        async with trio.open_nursery() as nursery:
            wire.begin_watch()

            async def watch() -> None:
                await wire.watch(gone, eof=False)

            async def read() -> None:
                try:
                    with trio.CancelScope(shield=True):
                        await wire.receive_more(inf)
                except (ClientDisconnected, Woken):
                    seen.append(True)

            nursery.start_soon(watch)
            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            if how == "reset":
                wire.transport.abort()
            else:
                wire.transport.wake(Wake.TIMEOUT)
    assert seen == [True]
    assert gone.cancel_called == (how == "reset")
