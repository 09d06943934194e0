"""Hostile WebSockets over real sockets: bounded memory, one line of the log, others unharmed."""

from __future__ import annotations

import logging
import re
import tracemalloc
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.e2e._net import Net, serving
from tests.spec._websockets import BINARY, HANDSHAKE, PING, TEXT, close, echo, frame, head
from trillium_trio.handlers import WebSocket, WebSocketConn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.spec._websockets import Function
    from tests.wire import Peer

DEFLATED = HANDSHAKE.replace(
    b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
# Messages may have 1 MiB: one of them, what was received ahead of its end, and its copies. The
# attacks would take hundreds of times as much.
BOUND = 6_000_000
# Nothing here waits longer than it has to.
PATIENCE = 30


class Attack:
    """One hostile peer, and what it has received."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.received = bytearray()

    async def send(self, data: bytes) -> None:
        """Send, until that is all or the server has cut the connection."""
        try:
            await self._peer.send(data)
        except trio.BrokenResourceError:
            pass

    async def receive_all(self) -> None:
        while part := await self._peer.receive():
            self.received += part


@asynccontextmanager
async def attacking(
    fn: Function,
    caplog: pytest.LogCaptureFixture,
    *,
    line: str | None,
    head_timeout: float = 10,
    **settings: float,
) -> AsyncIterator[Attack]:
    """Serve an attack, and another client beside it.

    At the end of the block memory has stayed bounded, the other client has had an answer to each
    message that it sent all the while, and the log has one line that matches, or none.

    Args:
      fn: What the attacked socket runs; the other one echoes.
      caplog: The log.
      line: The pattern of the line.
      head_timeout: Of the server.
      settings: Of `WebSocket`.
    """

    async def both(ws: WebSocketConn) -> None:
        await (echo if ws.path == "/other" else fn)(ws)

    async def converse(net: Net) -> None:
        other = net.peer()
        await other.send(HANDSHAKE.replace(b"/chat", b"/other"))
        assert (await other.response()).status == 101
        while True:
            await other.send(frame(TEXT, b"unharmed"))
            with trio.fail_after(PATIENCE):
                assert await other.receive() == b"\x81\x08unharmed"
            answers.release()

    answers = trio.Semaphore(0)
    handler = WebSocket(both, compression=True, **settings)  # type: ignore[arg-type]  # some are counts
    async with (
        serving(handler, head_timeout=head_timeout, linger_timeout=0.3) as net,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(converse, net)
        await answers.acquire()
        attack = Attack(net.peer())
        caplog.set_level(logging.INFO)
        caplog.clear()
        tracemalloc.start()
        with trio.fail_after(PATIENCE):
            yield attack
            while (line is not None and not caplog.records) or net.guards > 1:
                await trio.sleep(0.01)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        lines = [each.getMessage() for each in caplog.records]
        while answers.value:
            answers.acquire_nowait()
        for _ in range(2):  # the first may have been on its way
            await answers.acquire()
        nursery.cancel_scope.cancel()
    assert peak - len(attack.received) < BOUND
    assert len(lines) == (line is not None), lines
    assert line is None or re.search(line, lines[0]), lines


def inflating_bomb() -> bytes:
    deflate = zlib.compressobj(wbits=-12)
    zeros = deflate.compress(bytes(256 * 1024 * 1024)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return frame(BINARY, zeros[:-4], rsv1=True)


FLOODS = {
    "a frame of 2^62 bytes": (head(BINARY, 2**62) + bytes(100_000), 1009, "bytes"),
    "a million empty fragments": (
        frame(BINARY, fin=False) + frame(0, fin=False) * 1_000_000,
        1008,
        "more than 1024 fragments",
    ),
    "a million one-byte fragments of text": (
        frame(TEXT, b"x", fin=False) + frame(0, b"x", fin=False) * 1_000_000,
        1008,
        "more than 1024 fragments",
    ),
    "256 MiB of zeros, deflated": (inflating_bomb(), 1009, "bytes"),
    "twenty thousand pings": (frame(PING) * 20_000 + close(4321), 4321, None),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_ws_9_floods_are_refused(flood: str, caplog: pytest.LogCaptureFixture) -> None:
    data, code, line = FLOODS[flood]
    async with attacking(echo, caplog, line=line) as attack, trio.open_nursery() as nursery:
        nursery.start_soon(attack.receive_all)
        await attack.send(DEFLATED)
        await attack.send(data)
    assert code.to_bytes(2, "big") in attack.received[-150:]


async def test_ws_12_a_peer_that_never_reads_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async def flood(ws: WebSocketConn) -> None:
        while True:
            await ws.send(bytes(100_000))

    line = r"/chat: took nothing for 0\.5 s"
    async with attacking(flood, caplog, line=line, write_timeout=0.5) as attack:
        await attack.send(HANDSHAKE)


async def test_ws_12_pings_whose_answers_nobody_reads_are_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pings = frame(PING, b"x" * 125) * 200_000
    line = r"/chat: took nothing for 0\.5 s"
    async with attacking(echo, caplog, line=line, write_timeout=0.5) as attack:
        await attack.send(HANDSHAKE)
        await attack.send(pings)


async def test_ws_7_a_peer_that_never_closes_is_left(caplog: pytest.LogCaptureFixture) -> None:
    async def leave(ws: WebSocketConn) -> None:
        await ws.send("that is all")

    line = r"/chat: sent no Close in 0\.3 s"
    async with attacking(leave, caplog, line=line, close_timeout=0.3) as attack:
        await attack.send(HANDSHAKE)
        await attack.receive_all()
    assert attack.received.endswith(b"\x81\x0bthat is all\x88\x02\x03\xe8")


async def test_ws_1_a_handshake_that_stalls_is_a_late_head(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with attacking(echo, caplog, line="408", head_timeout=0.3) as attack:
        await attack.send(HANDSHAKE[:-10])
        await attack.receive_all()
    assert attack.received.startswith(b"HTTP/1.1 408 ")
