"""WebSockets over real sockets: other people's clients, and hostile ones."""

from __future__ import annotations

import logging
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest
import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import connect
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from tests.e2e._net import Net, serving, tls_over
from tests.spec._websockets import (
    BINARY,
    HANDSHAKE,
    PING,
    TEXT,
    close,
    echo,
    frame,
    head,
)
from tests.unit.transport._tls import client_context
from trillium_trio.handlers import WebSocket, WebSocketConn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LARGE = "h\xe9 " * 100_000


async def farewell(ws: WebSocketConn) -> None:
    async for message in ws:
        await ws.send(message)
    await ws.send("bye")


def open_client(net: Net, *, tls: bool = False) -> connect:
    uri = f"{'wss' if tls else 'ws'}://127.0.0.1:{net.handle.port}/chat"
    if not tls:
        return connect(uri, proxy=None)
    return connect(uri, proxy=None, ssl=client_context(), server_hostname="localhost")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("compression", [False, True])
async def test_ws_5_the_websockets_client_sees_the_goodbye(*, tls: bool, compression: bool) -> None:
    handler = WebSocket(farewell, compression=compression)
    async with serving(handler, tls=tls) as net, open_client(net, tls=tls) as client:
        for message in ("hello", b"\x00\xff", "", LARGE):
            await client.send(message)
            assert await client.recv() == message
        await (await client.ping()).wait()
        completion = net.handle.shut_down()
        assert await client.recv() == "bye"
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001
        assert (await completion).is_clean


async def open_one(net: Net) -> None:
    """Open a WebSocket that never reads: not even the answer to its handshake."""
    peer = await net.connect()
    await peer.send(HANDSHAKE)


class WsprotoClient:
    """A client made of wsproto."""

    def __init__(self, stream: trio.abc.Stream, *, compression: bool) -> None:
        self.stream = stream
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.extensions = [PerMessageDeflate()] if compression else []

    async def send(self, event: Event) -> None:
        await self.stream.send_all(self.protocol.send(event))

    async def events(self) -> AsyncIterator[Event]:
        while data := await self.stream.receive_some():
            self.protocol.receive_data(bytes(data))
            for event in self.protocol.events():
                yield event


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("compression", [False, True])
async def test_ws_5_the_wsproto_client_sees_the_goodbye(*, tls: bool, compression: bool) -> None:
    seen: list[object] = []
    handler = WebSocket(farewell, compression=compression, subprotocols=["chat"])
    async with serving(handler, tls=tls) as net:
        peer = await net.connect()
        client = WsprotoClient((tls_over(peer) if tls else peer).stream, compression=compression)
        await client.send(
            Request(
                host="localhost",
                target="/chat",
                subprotocols=["chat"],
                extensions=list(client.extensions),
            )
        )
        text = ""
        async for event in client.events():
            match event:
                case AcceptConnection():
                    seen.append(event.subprotocol)
                    assert bool(event.extensions) is compression
                    await client.send(TextMessage(data=LARGE[:1000], message_finished=False))
                    await client.send(TextMessage(data=LARGE[1000:]))
                    await client.send(Ping(payload=b"?"))
                    await client.send(BytesMessage(data=b"\x00\xff"))
                case TextMessage():
                    text += event.data
                case Pong():
                    seen.append(bytes(event.payload))
                case BytesMessage():
                    seen.append(bytes(event.data))
                    net.handle.shut_down()
                case CloseConnection():
                    seen.append(event.code)
                    await client.send(event.response())
        assert text == LARGE + "bye"
    assert seen == ["chat", b"?", b"\x00\xff", 1001]


# -- hostile peers -----------------------------------------------------------------------------


def inflating_bomb() -> bytes:
    deflate = zlib.compressobj(wbits=-12)
    zeros = deflate.compress(bytes(256 * 1024 * 1024)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return frame(BINARY, zeros[:-4], rsv1=True)


ATTACKS = {
    "a frame of 2^62 bytes": (head(BINARY, 2**62) + bytes(100_000), 1009),
    "a million empty fragments": (
        frame(BINARY, fin=False) + frame(0, fin=False) * 1_000_000,
        1008,
    ),
    "256 MiB of zeros, deflated": (inflating_bomb(), 1009),
    "a million one-byte fragments of text": (
        frame(TEXT, b"x", fin=False) + frame(0, b"x", fin=False) * 1_000_000,
        1008,
    ),
    "twenty thousand pings": (frame(PING) * 20_000 + close(4321), 4321),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_ws_9_attacks_are_bounded_and_harm_no_other(
    attack: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, code = ATTACKS[attack]
    handshake = HANDSHAKE.replace(
        b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    caplog.set_level(logging.INFO)
    handler = WebSocket(echo, compression=True)
    async with serving(handler) as net, open_client(net) as other:
        peer = await net.connect()
        received = bytearray()

        async def attack_it() -> None:
            try:
                await peer.stream.send_all(handshake)
                await peer.stream.send_all(data)
            except trio.BrokenResourceError:
                pass  # it has been thrown out

        async def receive() -> None:
            try:
                while part := await peer.stream.receive_some():
                    received.extend(part)
            except trio.BrokenResourceError:
                pass
            nursery.cancel_scope.cancel()

        caplog.clear()
        tracemalloc.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attack_it)
            nursery.start_soon(receive)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        lines = [each.getMessage() for each in caplog.records if "/chat" in each.getMessage()]
        await other.send("unharmed")
        assert await other.recv() == "unharmed"
    assert code.to_bytes(2, "big") in received[-150:]
    assert len(lines) == (0 if code == 4321 else 1), lines
    # What was received is ours, as are the two buffers on its way; of the message there is one.
    assert peak - len(received) < 6_000_000


async def test_ws_12_a_peer_that_never_reads_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async def flood(ws: WebSocketConn) -> None:
        while True:
            await ws.send(bytes(100_000))

    caplog.set_level(logging.INFO)
    async with serving(WebSocket(flood, write_timeout=0.5)) as net:
        await open_one(net)
        with trio.fail_after(20):
            while net.guards:
                await trio.sleep(0.05)
        lines = [each.getMessage() for each in caplog.records if "/chat" in each.getMessage()]
    [line] = lines
    assert "took nothing for 0.5 s" in line


async def test_ws_7_a_peer_that_never_closes_is_left(caplog: pytest.LogCaptureFixture) -> None:
    async def leave(ws: WebSocketConn) -> None:
        await ws.send("that is all")

    caplog.set_level(logging.INFO)
    async with serving(WebSocket(leave, close_timeout=0.3), linger_timeout=0.3) as net:
        peer = await net.connect()
        await peer.stream.send_all(HANDSHAKE)
        with trio.fail_after(20):
            while await peer.stream.receive_some():
                pass
            while net.guards:
                await trio.sleep(0.05)
        lines = [each.getMessage() for each in caplog.records if "/chat" in each.getMessage()]
    [line] = lines
    assert "sent no Close in 0.3 s" in line


async def test_ws_1_a_handshake_that_stalls_is_a_late_head() -> None:
    async with serving(WebSocket(echo), head_timeout=0.3) as net:
        peer = await net.connect()
        await peer.stream.send_all(HANDSHAKE[:-10])
        with trio.fail_after(20):
            answer = await peer.stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 408 ")
