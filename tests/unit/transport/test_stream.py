"""The transport over a wrapped stream."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.unit.transport._waits import collect
from trillium_trio.exceptions import ClientDisconnected
from trillium_trio.transport import Listener, StreamTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LISTENER = Listener(kind="tcp", address=("127.0.0.1", 8080))


class Scripted(trio.abc.HalfCloseableStream):
    """A stream that does what the test says."""

    def __init__(self, error: Exception | None = None, *, slow_close: bool = False) -> None:
        self.error = error
        self.slow_close = slow_close
        self.log: list[str] = []

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._do("receive"))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._do(f"send {len(data)}")

    async def wait_send_all_might_not_block(self) -> None:
        raise AssertionError("a transport has no use for it")

    async def send_eof(self) -> None:
        await self._do("eof")

    async def aclose(self) -> None:
        try:
            await (trio.sleep_forever() if self.slow_close else self._do("closing"))
        finally:
            self.log.append("closed")

    async def _do(self, what: str) -> bytes:
        await trio.lowlevel.checkpoint()
        self.log.append(what)
        if self.error is not None:
            raise self.error
        return b"bytes"


Pair = tuple[StreamTransport, trio.abc.Stream]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    near, far = memory_stream_pair()
    transport = StreamTransport(near, LISTENER)
    yield transport, far
    await transport.aclose()


async def test_nothing_happens_without_waiting(pair: Pair) -> None:
    transport, peer = pair
    await peer.send_all(b"hello")
    assert transport.receive_nowait() is None
    assert transport.send_nowait(b"hello") == 0


async def test_sends_pieces() -> None:
    stream = Scripted()
    transport = StreamTransport(stream, LISTENER)
    assert await transport.send_some(bytes(65536)) == 65536
    assert await transport.send_some(bytes(65537)) == 65536
    assert await transport.send_some(memoryview(b"abc")) == 3
    assert stream.log == ["send 65536", "send 65536", "send 3"]


async def test_half_close(pair: Pair) -> None:
    transport, peer = pair
    await transport.send_eof()
    assert await peer.receive_some() == b""
    await peer.send_all(b"still here")
    assert await transport.receive_some() == b"still here"


async def test_a_stream_without_half_close_is_left_alone() -> None:
    class Whole(trio.abc.Stream):
        receive_some = Scripted.receive_some
        send_all = Scripted.send_all
        wait_send_all_might_not_block = Scripted.wait_send_all_might_not_block

        async def aclose(self) -> None:
            raise AssertionError("only its end is told")

    await StreamTransport(Whole(), LISTENER).send_eof()


async def test_cn_15_bytes_that_came_before_the_wake_are_delivered(
    pair: Pair, nursery: trio.Nursery
) -> None:
    transport, peer = pair
    received = collect(nursery, transport.receive_some)
    await wait_all_tasks_blocked()
    await peer.send_all(b"in time")
    # Now the reader is about to run, and has not yet.
    transport.wake("late")
    await wait_all_tasks_blocked()
    assert received == [b"in time"]


async def test_cn_15_a_wake_is_never_taken_for_a_cancellation_from_outside(
    nursery: trio.Nursery,
) -> None:
    transport = StreamTransport(memory_stream_pair()[0], LISTENER)
    with trio.CancelScope() as scope:

        @nursery.start_soon
        async def wake_and_cancel() -> None:
            await wait_all_tasks_blocked()
            transport.wake("both at once")
            scope.cancel()

        await transport.receive_some()
    assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (trio.BrokenResourceError("why"), "why"),
        (trio.BrokenResourceError(), "the stream is broken"),
        (trio.ClosedResourceError("why"), "why"),
        (OSError(errno.ECONNRESET, "why"), "why"),
    ],
)
async def test_errors_of_a_lost_peer_are_translated(error: Exception, message: str) -> None:
    transport = StreamTransport(Scripted(error), LISTENER)
    assert not transport.is_disconnected_now()
    for wait in (transport.receive_some, lambda: transport.send_some(b"x"), transport.send_eof):
        with pytest.raises(ClientDisconnected, match=message) as gone:
            await wait()
        assert gone.value.__cause__ is error
    assert transport.is_disconnected_now()
    await transport.aclose()


async def test_other_errors_pass() -> None:
    error = OSError(errno.EIO, "why")
    transport = StreamTransport(Scripted(error), LISTENER)
    with pytest.raises(OSError, match="why") as passed:
        await transport.receive_some()
    assert passed.value is error
    assert not transport.is_disconnected_now()
    with pytest.raises(OSError, match="why"):
        await transport.aclose()


async def test_a_stream_is_closed_once() -> None:
    stream = Scripted()
    transport = StreamTransport(stream, LISTENER)
    await transport.aclose()
    await transport.aclose()
    transport.abort()
    assert stream.log == ["closing", "closed"]


async def test_a_slow_close_can_be_woken(nursery: trio.Nursery) -> None:
    stream = Scripted(slow_close=True)
    transport = StreamTransport(stream, LISTENER)
    closed = collect(nursery, transport.aclose)
    await wait_all_tasks_blocked()
    assert stream.log == []
    transport.wake("timeout")
    await wait_all_tasks_blocked()
    assert closed == [None]
    assert stream.log == ["closed"]


async def test_who_was_woken_does_not_wait_to_close() -> None:
    stream = Scripted(slow_close=True)
    transport = StreamTransport(stream, LISTENER)
    transport.wake("timeout")
    await transport.aclose()
    assert stream.log == ["closed"]


async def test_the_close_behind_an_abort_is_abrupt() -> None:
    near, far = memory_stream_pair()
    transport = StreamTransport(near, LISTENER)
    transport.abort()
    await transport.aclose()
    assert await far.receive_some() == b""


async def test_abort_does_not_wait() -> None:
    stream = Scripted(slow_close=True)
    transport = StreamTransport(stream, LISTENER)
    transport.abort()
    await transport.aclose()
    assert stream.log == ["closed"]


async def test_a_socket_below_is_reset_and_watched() -> None:
    (server,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with server:
        client = await trio.open_tcp_stream("127.0.0.1", server.socket.getsockname()[1])
        transport = StreamTransport(await server.accept(), LISTENER)
    assert not transport.is_disconnected_now()
    transport.abort()
    with pytest.raises(trio.BrokenResourceError) as broken:
        await client.receive_some()
    assert isinstance(broken.value.__cause__, ConnectionResetError)
    await transport.aclose()
    await client.aclose()


async def test_facts() -> None:
    transport = StreamTransport(Scripted(), LISTENER, ("192.0.2.1", 5))
    assert (transport.peer, transport.peer_ip) == ("192.0.2.1:5", "192.0.2.1")
    assert not transport.is_secure
    assert transport.alpn is None
    await transport.handshake()
    assert repr(transport) == "<StreamTransport 192.0.2.1:5 on http://127.0.0.1:8080>"
