"""What `Transport` promises, held by every kind of it.

What only sockets can do is in test_tcp.py, what a wrapped stream may do to us in test_stream.py.
"""

from __future__ import annotations

import socket
from array import array
from typing import TYPE_CHECKING, NamedTuple

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.unit.transport._tls import client_context, server_context
from tests.unit.transport._waits import collect
from trillium_trio.exceptions import ClientDisconnected
from trillium_trio.transport import (
    Listener,
    SocketTransport,
    StreamTransport,
    TlsTransport,
    Transport,
    Woken,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.transport.conftest import RunPoller

TCP = Listener(kind="tcp", address=("127.0.0.1", 8080))
UNIX = Listener(kind="unix", address="/run/x")
TLS = Listener(kind="tcp", address=("127.0.0.1", 8443), is_tls=True)


class Pair(NamedTuple):
    transport: Transport
    peer: trio.abc.Stream


KINDS = [
    "socket",
    pytest.param("polled socket", marks=pytest.mark.needs_poller),
    "stream",
    "tls",
    pytest.param("polled tls", marks=pytest.mark.needs_poller),
]


@pytest.fixture(params=KINDS)
async def pair(request: pytest.FixtureRequest, run_poller: RunPoller) -> AsyncIterator[Pair]:
    transport: Transport
    ends: tuple[trio.abc.Stream, trio.abc.Stream] = memory_stream_pair()
    near, peer = ends
    match request.param:
        case "socket" | "polled socket":
            sock, far = socket.socketpair()
            transport = SocketTransport(sock, UNIX)
            peer = trio.SocketStream(trio.socket.from_stdlib_socket(far))
        case "stream":
            transport = StreamTransport(near, TCP)
        case "tls" | "polled tls":
            sock, far = socket.socketpair()
            peer = client = trio.SSLStream[trio.abc.Stream](
                trio.SocketStream(trio.socket.from_stdlib_socket(far)),
                client_context(),
                server_hostname="localhost",
                https_compatible=True,
            )
            transport = TlsTransport(SocketTransport(sock, TLS), server_context())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(transport.handshake)
                nursery.start_soon(client.do_handshake)
            # A session ticket that the client leaves unread would make a reset of its close.
            await transport.send_all(b".")
            assert await client.receive_some() == b"."
    if request.param.startswith("polled"):
        transport.join(await run_poller())
    yield Pair(transport, peer)
    transport.abort()
    await transport.aclose()
    await trio.aclose_forcefully(peer)


async def test_only_one_receives_at_a_time(pair: Pair, nursery: trio.Nursery) -> None:
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    with pytest.raises(trio.BusyResourceError):
        await pair.transport.receive_some()
    await pair.peer.send_all(b"for the first")
    await wait_all_tasks_blocked()
    assert received == [b"for the first"]


async def test_receives_what_is_there_and_then_the_end(pair: Pair) -> None:
    await pair.peer.send_all(b"hello")
    received = await pair.transport.receive_some(2)
    assert received == b"he"
    assert type(received) is bytes
    assert await pair.transport.receive_some() == b"llo"
    await pair.peer.aclose()
    assert await pair.transport.receive_some() == b""


WIDE = array("I", range(50_000))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(memoryview(WIDE), id="wide"),
        pytest.param(memoryview(WIDE)[::2], id="with-gaps"),
        pytest.param(memoryview(bytes(80_000)).cast("H", (200, 200)), id="of-two-dimensions"),
        pytest.param(bytearray(100_000), id="mutable"),
    ],
)
async def test_cn_20_views_are_sent_byte_by_byte(
    pair: Pair, data: bytearray | memoryview, nursery: trio.Nursery
) -> None:
    expected = memoryview(data).tobytes()
    nursery.start_soon(pair.transport.send_all, data)
    received = b""
    while len(received) < len(expected):
        received += await pair.peer.receive_some(100_000)
    assert received == expected


async def test_cn_20_send_some_counts_bytes(pair: Pair) -> None:
    assert await pair.transport.send_some(memoryview(WIDE)[:3]) == 3 * WIDE.itemsize
    assert await pair.transport.send_some(memoryview(WIDE)) >= 4_096


async def test_receive_waits(pair: Pair, nursery: trio.Nursery) -> None:
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    assert received == []
    await pair.peer.send_all(b"late")
    await wait_all_tasks_blocked()
    assert received == [b"late"]


async def test_sends_all(pair: Pair, nursery: trio.Nursery) -> None:
    sent = collect(nursery, lambda: pair.transport.send_all(memoryview(bytes(1_000_000))))
    received = 0
    while received < 1_000_000:
        received += len(await pair.peer.receive_some())
    await wait_all_tasks_blocked()
    assert sent == [None]


async def test_cn_15_a_wake_ends_the_wait_and_leaves_the_rest_usable(
    pair: Pair, nursery: trio.Nursery
) -> None:
    transport, peer = pair
    received = collect(nursery, transport.receive_some)
    await wait_all_tasks_blocked()
    transport.wake("timeout")
    await wait_all_tasks_blocked()
    assert [repr(exc) for exc in received] == ["Woken('timeout')"]
    transport.clear_wake()
    await peer.send_all(b"and on")
    assert await transport.receive_some() == b"and on"
    assert await transport.send_some(b"and on") == 6


async def test_cn_15_a_wake_is_seen_by_who_looks_late(pair: Pair) -> None:
    transport, peer = pair
    await peer.send_all(b"bytes")
    transport.wake("first")
    transport.wake("second")
    assert transport.wake_reason == "second"
    for wait in (transport.receive_some, lambda: transport.send_some(b"x")):
        with pytest.raises(Woken, match="second"):
            await wait()
    transport.clear_wake()
    assert await transport.receive_some() == b"bytes", "nothing was lost"


async def test_cn_15_a_woken_wait_raises_even_if_the_wake_is_cleared_first(
    pair: Pair, nursery: trio.Nursery
) -> None:
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    pair.transport.wake("stop")
    pair.transport.clear_wake()
    await wait_all_tasks_blocked()
    assert [repr(exc) for exc in received] == ["Woken('stop')"]


async def test_cn_15_a_wake_cancels_nothing(pair: Pair, nursery: trio.Nursery) -> None:
    with trio.CancelScope() as scope:

        @nursery.start_soon
        async def wake() -> None:
            await wait_all_tasks_blocked()
            pair.transport.wake("now")

        with pytest.raises(Woken):
            await pair.transport.receive_some()
        await trio.lowlevel.checkpoint()
    assert not scope.cancelled_caught


async def test_a_cancelled_receive_loses_nothing(pair: Pair) -> None:
    with trio.move_on_after(0) as scope:
        await pair.transport.receive_some()
    assert scope.cancelled_caught
    await pair.peer.send_all(b"kept")
    assert await pair.transport.receive_some() == b"kept"


@pytest.mark.parametrize("how", ["closing", "abort"])
async def test_cn_14_the_end_of_it_ends_parked_waits(
    how: str, pair: Pair, nursery: trio.Nursery
) -> None:
    transport = pair.transport
    received = collect(nursery, transport.receive_some)
    await wait_all_tasks_blocked()
    if how == "abort":
        transport.abort()
        transport.abort()
    else:
        nursery.start_soon(transport.aclose)
    await wait_all_tasks_blocked()
    assert [type(exc) for exc in received] == [ClientDisconnected]
    assert transport.is_disconnected_now()


async def test_cn_14_a_cancelled_close_closes(pair: Pair) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await pair.transport.aclose()
    assert pair.transport.is_disconnected_now()
    assert await pair.peer.receive_some() == b""


async def test_a_closed_transport_stays_closed(pair: Pair) -> None:
    transport = pair.transport
    await transport.aclose()
    await transport.aclose()
    transport.abort()
    transport.wake("too late")
    assert transport.is_disconnected_now()
    for wait in (transport.receive_some, lambda: transport.send_some(b"x"), transport.send_eof):
        with pytest.raises(ClientDisconnected):
            await wait()
