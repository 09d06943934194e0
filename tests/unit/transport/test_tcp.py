"""The socket transport: what it reads and writes, how it is woken, how it ends."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.unit.transport._waits import collect
from trillium_trio.exceptions import ClientDisconnected
from trillium_trio.transport import Listener, SocketTransport, Woken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

UNIX = Listener(kind="unix", address="/run/x")
TCP = Listener(kind="tcp", address=("127.0.0.1", 8080))


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket() as peer:
        yield peer


@pytest.fixture
async def tcp(peer: socket.socket) -> AsyncIterator[SocketTransport]:
    """A TCP transport, connected to ``peer``."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer.connect(server.getsockname())
        sock, address = server.accept()
    transport = SocketTransport(sock, TCP, address)
    yield transport
    await transport.aclose()


@pytest.fixture
async def pair() -> AsyncIterator[tuple[SocketTransport, socket.socket]]:
    near, far = socket.socketpair()
    transport = SocketTransport(near, UNIX)
    with far:
        yield transport, far
    await transport.aclose()


Pair = tuple[SocketTransport, socket.socket]


def fill(transport: SocketTransport) -> int:
    """Send until nothing more fits; returns how many bytes did."""
    total = 0
    while sent := transport.send_nowait(bytes(65536)):
        total += sent
    return total


def empty(peer: socket.socket, total: int) -> None:
    while total:
        total -= len(peer.recv(total))


async def test_receive_waits_again_if_woken_for_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport, peer = pair
    waits = []

    async def wait_readable(sock: socket.socket) -> None:
        waits.append(sock)
        if len(waits) == 2:
            peer.sendall(b"x")
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr("trillium_trio.transport._tcp.wait_readable", wait_readable)
    assert await transport.receive_some() == b"x"
    assert len(waits) == 2


async def test_receive_nowait(pair: Pair) -> None:
    transport, peer = pair
    assert transport.receive_nowait() is None
    peer.sendall(b"ab")
    assert transport.receive_nowait(1) == b"a"
    assert transport.receive_nowait() == b"b"
    assert transport.receive_nowait() is None
    peer.shutdown(socket.SHUT_WR)
    assert transport.receive_nowait() == b""


async def test_sends_at_once_what_fits_and_waits_for_the_rest(
    pair: Pair, nursery: trio.Nursery
) -> None:
    transport, peer = pair
    assert transport.send_nowait(b"abc") == 3
    assert peer.recv(10) == b"abc"
    total = fill(transport)
    assert total > 0
    assert transport.send_nowait(b"more") == 0

    sent = collect(nursery, lambda: transport.send_some(memoryview(b"more")))
    await wait_all_tasks_blocked()
    assert sent == []
    empty(peer, total)
    await wait_all_tasks_blocked()
    assert sent == [4]
    assert peer.recv(10) == b"more"


async def test_half_close(pair: Pair) -> None:
    transport, peer = pair
    await transport.send_eof()
    assert peer.recv(1) == b""
    peer.sendall(b"still here")
    assert await transport.receive_some() == b"still here"


async def test_cn_15_a_wake_ends_both_waits_and_leaves_the_socket_usable(
    pair: Pair, nursery: trio.Nursery
) -> None:
    transport, peer = pair
    total = fill(transport)
    waits = [
        collect(nursery, transport.receive_some),
        collect(nursery, lambda: transport.send_some(b"x")),
    ]
    await wait_all_tasks_blocked()
    transport.wake("timeout")
    await wait_all_tasks_blocked()
    assert [repr(exc) for (exc,) in waits] == ["Woken('timeout')"] * 2

    transport.clear_wake()
    peer.sendall(b"and on")
    assert await transport.receive_some() == b"and on"
    empty(peer, total)
    assert await transport.send_some(b"and on") == 6


async def test_cn_15_a_wake_is_nothing_to_what_does_not_wait(pair: Pair) -> None:
    transport, peer = pair
    peer.sendall(b"bytes")
    transport.wake("stop")
    assert transport.send_nowait(b"x") == 1
    assert transport.receive_nowait() == b"bytes"


async def test_cn_15_bytes_that_came_before_the_wake_are_delivered(
    pair: Pair, nursery: trio.Nursery
) -> None:
    transport, peer = pair
    received = collect(nursery, transport.receive_some)
    # A second descriptor becomes readable in the same turn of the loop as the first.
    with transport._sock.dup() as twin:

        @nursery.start_soon
        async def wake_when_readable() -> None:
            await trio.lowlevel.wait_readable(twin)
            transport.wake("late")

        await wait_all_tasks_blocked()
        peer.sendall(b"in time")
        await wait_all_tasks_blocked()
    assert received == [b"in time"]
    with pytest.raises(Woken, match="late"):
        await transport.receive_some()


async def test_cn_14_closing_ends_parked_waits(pair: Pair, nursery: trio.Nursery) -> None:
    transport, peer = pair
    total = fill(transport)
    waits = [
        collect(nursery, transport.receive_some),
        collect(nursery, lambda: transport.send_some(b"x")),
    ]
    await wait_all_tasks_blocked()
    await transport.aclose()
    await wait_all_tasks_blocked()
    for (exc,) in waits:
        assert isinstance(exc, ClientDisconnected)
        assert isinstance(exc.__cause__, trio.ClosedResourceError)
    empty(peer, total)
    assert peer.recv(1) == b""


async def test_a_closed_transport_does_nothing_at_once_either(pair: Pair) -> None:
    transport, _ = pair
    await transport.aclose()
    for act in (transport.receive_nowait, lambda: transport.send_nowait(b"x")):
        with pytest.raises(ClientDisconnected):
            act()


async def test_cn_14_closing_does_not_wait(pair: Pair) -> None:
    transport, peer = pair
    with trio.CancelScope() as scope:
        scope.cancel()
        await transport.aclose()
    assert not scope.cancelled_caught
    assert peer.recv(1) == b""


async def test_abort_sends_a_reset(tcp: SocketTransport, peer: socket.socket) -> None:
    tcp.abort()
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


async def test_cn_22_a_reset_is_a_disconnect(tcp: SocketTransport, peer: socket.socket) -> None:
    assert not tcp.is_disconnected_now()
    reset(peer)
    assert tcp.is_disconnected_now()
    assert tcp.is_disconnected_now(), "looking must not clear the error"
    with pytest.raises(ClientDisconnected) as gone:
        await tcp.receive_some()
    assert isinstance(gone.value.__cause__, ConnectionResetError)
    with pytest.raises(ClientDisconnected):
        tcp.send_nowait(b"x")
    with pytest.raises(ClientDisconnected):
        await tcp.send_eof()


async def test_cn_22_a_half_close_is_none(tcp: SocketTransport, peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)
    assert await tcp.receive_some() == b""
    assert not tcp.is_disconnected_now()
    assert tcp.send_nowait(b"answer") == 6
    assert peer.recv(10) == b"answer"


async def test_a_hang_up_of_a_unix_peer_is_a_disconnect(pair: Pair) -> None:
    transport, peer = pair
    peer.close()
    assert transport.is_disconnected_now()
    with pytest.raises(ClientDisconnected) as gone:
        await transport.send_some(b"x")
    assert isinstance(gone.value.__cause__, BrokenPipeError)


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()


@pytest.mark.parametrize(
    "number",
    [
        errno.ECONNRESET,
        errno.EPIPE,
        errno.ECONNABORTED,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
    ],
)
async def test_errors_of_a_lost_peer_are_translated(pair: Pair, number: int) -> None:
    transport, _ = pair
    error = OSError(number, "why")
    broken = with_socket(transport, Failing(error))
    for act in (broken.receive_nowait, lambda: broken.send_nowait(b"x")):
        with pytest.raises(ClientDisconnected, match="why") as gone:
            act()
        assert gone.value.__cause__ is error


async def test_other_errors_pass(pair: Pair) -> None:
    transport, peer = pair
    error = OSError(errno.EIO, "why")
    broken = with_socket(transport, Failing(error))
    for act in (broken.receive_nowait, lambda: broken.send_nowait(b"x")):
        with pytest.raises(OSError, match="why") as passed:
            act()
        assert passed.value is error
    peer.sendall(b"readable")
    with pytest.raises(OSError, match="why") as passed:
        await broken.receive_some()
    assert passed.value is error


class Failing:
    """A socket whose calls fail."""

    def __init__(self, error: OSError) -> None:
        self.error = error
        self.fd = -1

    def fileno(self) -> int:
        return self.fd

    def recv(self, _: int) -> bytes:
        raise self.error

    def send(self, _: object) -> int:
        raise self.error

    def setblocking(self, _: bool) -> None:
        pass


def with_socket(transport: SocketTransport, failing: Failing) -> SocketTransport:
    failing.fd = transport._sock.fileno()
    return SocketTransport(cast("socket.socket", failing), UNIX)


@pytest.mark.parametrize(
    ("address", "peer", "peer_ip"),
    [
        (("127.0.0.1", 5555), "127.0.0.1:5555", "127.0.0.1"),
        (("::1", 5555, 0, 0), "[::1]:5555", "::1"),
        (("::ffff:192.0.2.1", 5555, 0, 0), "192.0.2.1:5555", "192.0.2.1"),
        (("::ffff:1", 5555, 0, 0), "[::ffff:1]:5555", "::ffff:1"),
        ("", "unix", None),
        (None, "unix", None),
    ],
)
async def test_the_peer(address: object, peer: str, peer_ip: str | None) -> None:
    near, far = socket.socketpair()
    with far:
        transport = SocketTransport(near, UNIX, address)
        assert (transport.peer, transport.peer_ip) == (peer, peer_ip)
        await transport.aclose()


async def test_facts(tcp: SocketTransport, peer: socket.socket) -> None:
    host, port = peer.getsockname()
    assert tcp.listener is TCP
    assert tcp.peer == f"{host}:{port}"
    assert not tcp.is_secure
    assert tcp.alpn is None
    await tcp.handshake()
    assert repr(tcp) == f"<SocketTransport 127.0.0.1:{port} on http://127.0.0.1:8080>"
    tcp.wake("stop")
    assert repr(tcp).endswith(" woken by 'stop'>")
