"""CN-11 of docs/spec/connection.md: a TLS handshake at the moment of the stop, in memory."""

from __future__ import annotations

import ssl

import pytest
import trio
from trio.testing import memory_stream_pair

import trillium_trio as tt
from tests.unit.transport._tls import client_context, server_context
from tests.wire import App, Pair, Peer, request, serving, settled

GRACE = 0.5


def tls_pair() -> Pair:
    far, near = memory_stream_pair()
    return (
        trio.SSLStream(far, client_context(), server_hostname="localhost", https_compatible=True),
        trio.SSLStream(near, server_context(), server_side=True, https_compatible=True),
    )


async def begin_handshake(app: App) -> Peer:
    """Return a client that the server waits for."""
    client = app.connect()
    await settled()
    assert app.guards == 0
    return client


async def finish_handshake(client: Peer) -> None:
    assert isinstance(client.stream, trio.SSLStream)
    await client.stream.do_handshake()
    await settled()


def below(client: Peer) -> Peer:
    """Look under the TLS of a client: what comes is not to be decrypted."""
    assert isinstance(client.stream, trio.SSLStream)
    return Peer(client.stream.transport_stream)


@pytest.mark.parametrize("grace", [0, GRACE])
async def test_cn_11_a_request_right_behind_the_handshake_is_answered(
    grace: float, autojump_clock: object
) -> None:
    async with serving("hello", tt.config().with_keepalive_grace(grace), pair=tls_pair) as app:
        client = below(await begin_handshake(app))
        received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(received, to_send, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        await client.send(to_send.read())
        received.write(await client.receive())
        app.handle.shut_down()
        await trio.sleep(9)
        # The last message of the handshake and the request behind it, in one piece.
        tls.do_handshake()
        tls.write(request())
        await client.send(to_send.read())
        received.write(await client.rest())
        response = tls.read(10_000)
        assert response.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in response.lower()


async def test_cn_11_then_it_has_the_grace_of_a_new_connection(autojump_clock: object) -> None:
    async with serving("hello", pair=tls_pair) as app:
        silent, late = await begin_handshake(app), await begin_handshake(app)
        app.handle.shut_down()
        await trio.sleep(9)
        for client in (silent, late):
            await finish_handshake(client)
        done = trio.current_time()
        await trio.sleep(GRACE / 2)
        assert (await late.get()).closes
        assert await silent.ends()
        assert trio.current_time() - done == GRACE


@pytest.mark.parametrize(("drain_timeout", "ends"), [(30, 10), (4, 4)])
async def test_cn_11_a_handshake_that_does_not_end_is_bounded(
    drain_timeout: float, ends: float, autojump_clock: object
) -> None:
    config = tt.config().with_drain_timeout(drain_timeout)
    async with serving("hello", config, pair=tls_pair) as app:
        client = await begin_handshake(app)
        start = trio.current_time()
        await below(client).send(b"\x16\x03\x01")  # the first bytes of a record
        app.handle.shut_down()
        assert await below(client).ends()
        report = await app.handle
        assert trio.current_time() - start == ends
        # Nothing was promised, so nothing was cut off.
        assert report.is_clean


async def test_cn_11_each_handshake_is_told_the_stop_afterwards(autojump_clock: object) -> None:
    """A stop between the handshake and the first byte finds a new connection."""
    async with serving("hello", pair=tls_pair) as app:
        client = await begin_handshake(app)
        await finish_handshake(client)
        await trio.sleep(GRACE / 2)
        app.handle.shut_down()
        await client.send(request())
        assert (await client.response()).closes
        assert await client.ends()
