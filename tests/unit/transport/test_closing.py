"""The polite close."""

from __future__ import annotations

import socket

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.unit.transport._waits import collect
from trillium_trio.transport import Listener, SocketTransport, StreamTransport, close_politely
from trillium_trio.transport._closing import _MAX_DISCARDED_BYTES

LISTENER = Listener(kind="tcp", address=("127.0.0.1", 8080))


async def test_cn_13_it_half_closes_and_waits_for_the_peer(nursery: trio.Nursery) -> None:
    near, far = memory_stream_pair()
    closed = collect(nursery, lambda: close_politely(StreamTransport(near, LISTENER)))
    assert await far.receive_some() == b""
    await far.send_all(b"late bytes")
    await wait_all_tasks_blocked()
    assert closed == []
    await far.send_eof()
    await wait_all_tasks_blocked()
    assert closed == [None]


async def test_cn_13_a_wake_ends_it(nursery: trio.Nursery) -> None:
    near, _ = memory_stream_pair()
    transport = StreamTransport(near, LISTENER)
    closed = collect(nursery, lambda: close_politely(transport))
    await wait_all_tasks_blocked()
    assert closed == []
    transport.wake("linger")
    await wait_all_tasks_blocked()
    assert closed == [None]
    with pytest.raises(trio.ClosedResourceError):
        await near.receive_some()


async def test_cn_13_a_cancellation_closes() -> None:
    near, far = memory_stream_pair()
    with trio.move_on_after(0) as scope:
        await close_politely(StreamTransport(near, LISTENER))
    assert scope.cancelled_caught
    assert await far.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await far.send_all(b"x")


async def test_cn_13_a_peer_that_is_gone_is_no_error() -> None:
    near, far = memory_stream_pair()
    await far.aclose()
    await close_politely(StreamTransport(near, LISTENER))


async def test_cn_13_it_does_not_read_for_ever() -> None:
    class Endless(trio.abc.ReceiveStream):
        taken = 0

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            assert max_bytes is not None
            self.taken += max_bytes
            return bytes(max_bytes)

        async def aclose(self) -> None:
            pass

    endless = Endless()
    near = trio.StapledStream(trio.testing.MemorySendStream(), endless)
    await close_politely(StreamTransport(near, LISTENER))
    assert endless.taken == _MAX_DISCARDED_BYTES


async def test_cn_13_a_response_survives_unread_input(nursery: trio.Nursery) -> None:
    """Over TCP a plain close here would reset the connection and destroy the response."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        transport = SocketTransport(server.accept()[0], LISTENER)
    with peer:
        peer.sendall(bytes(100_000))
        transport.send_nowait(b"the response")
        closed = collect(nursery, lambda: close_politely(transport))
        await wait_all_tasks_blocked()
        peer.sendall(bytes(100_000))
        assert peer.recv(100) == b"the response"
        assert peer.recv(100) == b""
    await wait_all_tasks_blocked()
    assert closed == [None]
