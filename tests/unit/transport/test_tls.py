"""The transport over TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tests.unit.transport._tls import client_context, server_context
from tests.unit.transport._waits import collect
from trillium_trio.exceptions import ClientDisconnected
from trillium_trio.transport import Listener, TlsTransport, Woken, close_politely

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LISTENER = Listener(kind="tcp", address=("127.0.0.1", 8443), is_tls=True)
Client = trio.SSLStream[trio.abc.Stream]
Pair = tuple[TlsTransport, Client]


def tls_pair(near: trio.abc.Stream, far: trio.abc.Stream) -> Pair:
    server = trio.SSLStream(
        near, server_context("http/1.1"), server_side=True, https_compatible=True
    )
    client = trio.SSLStream(
        far, client_context("h2", "http/1.1"), server_hostname="localhost", https_compatible=True
    )
    return TlsTransport(server, LISTENER), client


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    transport, client = tls_pair(*memory_stream_pair())
    yield transport, client
    transport.abort()
    await transport.aclose()


async def shake_hands(pair: Pair) -> None:
    async with trio.open_nursery() as nursery:
        for end in pair:
            nursery.start_soon(end.handshake if isinstance(end, TlsTransport) else end.do_handshake)


async def test_handshake_and_alpn(pair: Pair) -> None:
    transport, client = pair
    assert transport.is_secure
    assert transport.alpn is None
    await shake_hands(pair)
    assert transport.alpn == "http/1.1"
    await client.send_all(b"hello")
    assert await transport.receive_some() == b"hello"
    assert await transport.send_some(b"answer") == 6
    assert await client.receive_some() == b"answer"


async def test_what_is_no_tls_is_a_disconnect() -> None:
    near, far = memory_stream_pair()
    transport, _ = tls_pair(near, far)
    await far.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(ClientDisconnected) as gone:
        await transport.handshake()
    assert "HTTP_REQUEST" in str(gone.value)
    await transport.aclose()


async def test_cn_15_the_handshake_can_be_woken(pair: Pair, nursery: trio.Nursery) -> None:
    transport, _ = pair
    shaken = collect(nursery, transport.handshake)
    await wait_all_tasks_blocked()
    transport.wake("timeout")
    await wait_all_tasks_blocked()
    assert [repr(exc) for exc in shaken] == ["Woken('timeout')"]


async def test_an_end_without_close_notify_is_an_end(pair: Pair) -> None:
    transport, client = pair
    await shake_hands(pair)
    await client.transport_stream.aclose()
    assert await transport.receive_some() == b""


async def test_cn_13_the_polite_close_says_goodbye_and_waits_for_the_answer(
    pair: Pair, nursery: trio.Nursery
) -> None:
    transport, client = pair
    await shake_hands(pair)
    await transport.send_some(b"answer")
    closed = collect(nursery, lambda: close_politely(transport))
    assert await client.receive_some() == b"answer"
    assert await client.receive_some() == b"", "close_notify, before the peer has said anything"
    await wait_all_tasks_blocked()
    assert closed == []
    await client.aclose()
    await wait_all_tasks_blocked()
    assert closed == [None]


async def test_cn_13_the_polite_close_discards_what_still_comes(
    pair: Pair, nursery: trio.Nursery
) -> None:
    transport, client = pair
    await shake_hands(pair)
    await client.send_all(bytes(100_000))
    closed = collect(nursery, lambda: close_politely(transport))
    await wait_all_tasks_blocked()
    assert closed == []
    await client.transport_stream.send_all(bytes(100_000))
    await wait_all_tasks_blocked()
    assert closed == []
    await client.transport_stream.aclose()
    await wait_all_tasks_blocked()
    assert closed == [None]


async def test_cn_13_the_polite_close_can_be_woken(pair: Pair, nursery: trio.Nursery) -> None:
    transport, client = pair
    await shake_hands(pair)
    closed = collect(nursery, lambda: close_politely(transport))
    await wait_all_tasks_blocked()
    assert closed == []
    transport.wake("linger")
    await wait_all_tasks_blocked()
    assert closed == [None]
    assert await client.receive_some() == b""


async def test_the_end_is_told_once(pair: Pair, nursery: trio.Nursery) -> None:
    transport, client = pair
    await shake_hands(pair)
    told = collect(nursery, transport.send_eof)
    await client.aclose()
    await wait_all_tasks_blocked()
    assert told == [None]
    await transport.send_eof()


async def test_a_wake_before_the_end_leaves_it_untold(pair: Pair) -> None:
    transport, _ = pair
    await shake_hands(pair)
    transport.wake("stop")
    with pytest.raises(Woken):
        await transport.send_eof()


async def test_the_socket_below_is_reset_and_watched() -> None:
    (server,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with server:
        far = await trio.open_tcp_stream("127.0.0.1", server.socket.getsockname()[1])
        transport, client = tls_pair(await server.accept(), far)
    await shake_hands((transport, client))
    assert not transport.is_disconnected_now()
    transport.abort()
    assert transport.is_disconnected_now()
    with pytest.raises(trio.BrokenResourceError):
        await far.receive_some()
    await transport.aclose()
    await far.aclose()
