"""Listeners that the application made."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import memory_stream_pair, open_stream_to_socket_listener, wait_all_tasks_blocked

from tests.unit.transport._tls import client_context, server_context
from trillium_trio.exceptions import BindError, ConfigError
from trillium_trio.listeners import (
    BoundListener,
    BoundSocket,
    BoundStream,
    PreboundBind,
    TcpBind,
    TlsBind,
    accept_loop,
    open_listeners,
)
from trillium_trio.transport import SocketTransport, StreamTransport, TlsTransport, Transport

if TYPE_CHECKING:
    from pathlib import Path

    from trillium_trio.transport import Transport


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Yields one end of a memory stream pair per call of `connect`."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](10)
        self.is_closed = False

    def connect(self) -> trio.abc.Stream:
        near, far = memory_stream_pair()
        self._send.send_nowait(near)
        return far

    async def accept(self) -> trio.abc.Stream:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self.is_closed = True
        self._receive.close()
        self._send.close()


async def open_one(listener: trio.abc.Listener[trio.abc.Stream] | socket.socket) -> BoundListener:
    (bound,) = await open_listeners([PreboundBind(listener)])
    assert not bound.is_owned
    return bound


async def test_streams_of_any_kind() -> None:
    memory = MemoryListener()
    bound = await open_one(memory)
    assert isinstance(bound, BoundStream)
    assert bound.facts.name == "MemoryListener"
    client = memory.connect()
    transport = await bound.accept()
    assert isinstance(transport, StreamTransport)
    assert transport.listener is bound.facts
    await client.send_all(b"hello")
    assert await transport.receive_some() == b"hello"
    assert bound.accept_nowait() is None
    await bound.aclose()
    assert memory.is_closed


async def test_a_name_for_the_log() -> None:
    (bound,) = await open_listeners([PreboundBind(MemoryListener(), "memory")])
    assert bound.facts.name == "memory"


@pytest.mark.parametrize("end", ["close", "drain_and_close"])
async def test_the_accept_loop_ends_and_closes_it(end: str) -> None:
    memory = MemoryListener()
    bound = await open_one(memory)
    started: list[Transport] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_loop, bound, started.append)
        memory.connect()
        await wait_all_tasks_blocked()
        assert len(started) == 1
        getattr(bound, end)()
    assert memory.is_closed
    with pytest.raises(trio.ClosedResourceError, match="MemoryListener is closing"):
        await bound.accept()


async def test_a_stream_that_was_accepted_when_the_end_came_is_kept() -> None:
    memory = MemoryListener()
    bound = await open_one(memory)
    started: list[Transport] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_loop, bound, started.append)
        await wait_all_tasks_blocked()
        memory.connect()
        bound.close()
    assert len(started) == 1


async def test_cancellation_from_outside_passes() -> None:
    memory = MemoryListener()
    bound = await open_one(memory)
    with trio.move_on_after(0) as scope:
        await bound.accept()
    assert scope.cancelled_caught
    assert not memory.is_closed


async def test_a_trio_socket_listener_takes_the_lean_transport() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    bound = await open_one(listener)
    assert isinstance(bound, BoundSocket)
    # Whoever made it may still ask it for its port.
    address = listener.socket.getsockname()
    assert bound.facts.address == address
    client = await open_stream_to_socket_listener(listener)
    transport = await bound.accept()
    assert isinstance(transport, SocketTransport)
    await transport.aclose()
    await client.aclose()
    assert bound.drain_and_close() == []
    assert listener.socket.fileno() == -1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


async def test_sv_6_a_socket_is_neither_emptied_nor_shut_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        successor = server.dup()
        bound = await open_one(server)
        assert server.gettimeout() == 0
        with successor, socket.create_connection(server.getsockname()) as client:
            assert bound.drain_and_close() == []
            assert server.fileno() == -1
            near, _ = successor.accept()
            with near:
                near.sendall(b"from the successor")
                assert client.recv(100) == b"from the successor"


async def test_sv_6_a_socket_file_is_kept(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "app.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    bound = await open_one(server)
    assert bound.facts.name == f"unix:{path}"
    bound.drain_and_close()
    assert os.path.exists(path)


async def test_a_socket_that_does_not_listen_is_refused() -> None:
    with socket.socket() as sock:
        with pytest.raises(BindError, match=r"a prebound socket.*does not listen"):
            await open_one(sock)
        assert sock.fileno() >= 0


async def shake_hands(bound: BoundListener, far: trio.abc.Stream) -> Transport:
    """Handshake with a client of the listener and exchange a greeting."""
    client = trio.SSLStream(
        far, client_context("http/1.1"), server_hostname="localhost", https_compatible=True
    )
    transport = await bound.accept()
    assert transport.is_secure
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(transport.handshake)
    assert transport.alpn == "http/1.1"
    await client.send_all(b"hello")
    assert await transport.receive_some() == b"hello"
    transport.abort()
    await transport.aclose()
    await far.aclose()
    return transport


async def test_tls_on_an_address() -> None:
    context = server_context("http/1.1")
    (bound,) = await open_listeners([TlsBind(TcpBind("127.0.0.1", 0), context)])
    assert isinstance(bound.facts.address, tuple)
    port = bound.facts.address[1]
    assert bound.facts.url == f"https://127.0.0.1:{port}"
    transport = await shake_hands(bound, await trio.open_tcp_stream("127.0.0.1", port))
    assert isinstance(transport, TlsTransport)
    assert isinstance(transport.below, SocketTransport)
    assert transport.peer_ip == "127.0.0.1"
    assert context.options & ssl.OP_NO_RENEGOTIATION
    bound.close()


async def test_tls_by_a_trio_listener() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    bound = await open_one(
        trio.SSLListener(listener, server_context("http/1.1"), https_compatible=True)
    )
    assert bound.facts.name == f"https://127.0.0.1:{port}"
    transport = await shake_hands(bound, await trio.open_tcp_stream("127.0.0.1", port))
    assert isinstance(transport, StreamTransport)
    assert transport.peer_ip == "127.0.0.1"
    await bound.aclose()
    assert listener.socket.fileno() == -1


async def test_tls_on_other_streams() -> None:
    listener = MemoryListener()
    bind = TlsBind(PreboundBind(listener), server_context("http/1.1"))
    (bound,) = await open_listeners([bind])
    assert bound.facts.is_tls
    transport = await shake_hands(bound, listener.connect())
    assert isinstance(transport, TlsTransport)
    assert isinstance(transport.below, StreamTransport)
    await bound.aclose()


async def test_tls_on_tls_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listener = trio.SSLListener(MemoryListener(), context)
    with pytest.raises(ConfigError, match="already has TLS"):
        await open_listeners([TlsBind(PreboundBind(listener), context)])


async def test_sv_22_what_waits_to_be_accepted_is_counted(tmp_path: Path) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    clients = [socket.create_connection(server.getsockname()) for _ in range(3)]
    tcp = await open_one(server)
    is_known = sys.platform == "linux"
    assert tcp.queued() == (3 if is_known else None)
    await (await tcp.accept()).aclose()
    assert tcp.queued() == (2 if is_known else None)
    await tcp.aclose()
    assert tcp.queued() is None
    for each in clients:
        each.close()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.listen()
        unix = await open_one(sock)
        assert unix.queued() is None
        await unix.aclose()
