"""Files through a socket without being read: what is taken, how it waits, how it ends."""

from __future__ import annotations

import socket
import tempfile
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.unit.transport._waits import collect
from trillium_trio.exceptions import ClientDisconnected
from trillium_trio.transport import Listener, SocketTransport, StreamTransport, Woken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

UNIX = Listener(kind="unix", address="/run/x")
Pair = tuple[SocketTransport, socket.socket]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    near, far = socket.socketpair()
    transport = SocketTransport(near, UNIX)
    with far:
        yield transport, far
    await transport.aclose()


@pytest.fixture
def file() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        yield cast(BinaryIO, file)


def fill(transport: SocketTransport) -> int:
    """Send until nothing more fits; returns how many bytes did."""
    total = 0
    while sent := transport.send_nowait(bytes(65536)):
        total += sent
    return total


@pytest.mark.parametrize(
    ("offset", "count", "sent"),
    [(0, 10, b"0123456789"), (3, 4, b"3456"), (8, 100, b"89"), (10, 1, b"")],
)
async def test_sends_what_the_file_has(
    pair: Pair, file: BinaryIO, offset: int, count: int, sent: bytes
) -> None:
    transport, peer = pair
    assert transport.sends_files
    assert await transport.send_file(file, offset, count) == len(sent)
    transport.send_nowait(b".")
    assert peer.recv(100) == sent + b"."


async def test_waits_for_the_peer(pair: Pair, file: BinaryIO) -> None:
    transport, peer = pair
    total = fill(transport)
    async with trio.open_nursery() as nursery:
        taken = collect(nursery, lambda: transport.send_file(file, 0, 10))
        await wait_all_tasks_blocked()
        assert taken == []
        while total:
            total -= len(peer.recv(total))
    assert taken == [10]
    assert peer.recv(100) == b"0123456789"


async def test_takes_part_of_what_is_offered(pair: Pair) -> None:
    transport, peer = pair
    with tempfile.TemporaryFile() as sparse:
        sparse.truncate(100_000_000)
        taken = await transport.send_file(cast(BinaryIO, sparse), 0, 100_000_000)
    assert 0 < taken < 100_000_000
    while taken:
        taken -= len(peer.recv(taken))


async def test_waits_again_if_woken_for_nothing(
    pair: Pair, file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport, peer = pair
    total = fill(transport)
    waits = []

    async def wait_writable(sock: socket.socket) -> None:
        waits.append(sock)
        if len(waits) == 2:
            left = total
            while left:
                left -= len(peer.recv(left))
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr("trillium_trio.transport._tcp.wait_writable", wait_writable)
    assert await transport.send_file(file, 0, 10) == 10
    assert len(waits) == 2


@pytest.mark.parametrize("is_parked", [True, False])
async def test_cn_15_a_wake_ends_the_wait_and_takes_nothing(
    pair: Pair, file: BinaryIO, is_parked: bool
) -> None:
    transport, peer = pair
    total = fill(transport) if is_parked else 0
    async with trio.open_nursery() as nursery:
        outcome = collect(nursery, lambda: transport.send_file(file, 0, 10))
        if is_parked:
            await wait_all_tasks_blocked()
        transport.wake("time")
    [woken] = outcome
    assert isinstance(woken, Woken)
    assert woken.reason == "time"
    transport.clear_wake()
    while total:
        total -= len(peer.recv(total))
    assert await transport.send_file(file, 0, 10) == 10
    assert peer.recv(100) == b"0123456789"


async def test_a_peer_that_has_gone(pair: Pair, file: BinaryIO) -> None:
    transport, peer = pair
    peer.close()
    with pytest.raises(ClientDisconnected) as caught:
        await transport.send_file(file, 0, 10)
    assert isinstance(caught.value.__cause__, BrokenPipeError)


async def test_a_transport_that_is_closed(pair: Pair, file: BinaryIO) -> None:
    transport, _ = pair
    fill(transport)
    async with trio.open_nursery() as nursery:
        outcome = collect(nursery, lambda: transport.send_file(file, 0, 10))
        await wait_all_tasks_blocked()
        await transport.aclose()
    assert isinstance(outcome[0], ClientDisconnected)
    with pytest.raises(ClientDisconnected):
        await transport.send_file(file, 0, 10)


async def test_a_wrapped_stream_cannot(file: BinaryIO) -> None:
    transport = StreamTransport(memory_stream_pair()[0], UNIX)
    assert not transport.sends_files
    with pytest.raises(NotImplementedError):
        await transport.send_file(file, 0, 10)
