"""Bodies in chunks of a byte: how much of them is read before somebody else has a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.wire import chunked, request, serving

if TYPE_CHECKING:
    import trillium_trio as tt

CHUNKED = "Transfer-Encoding: chunked"
# What others may have to wait for.
MOST = 256


class Turns:
    """Counts the turns of the loop, and what is done in each."""

    def __init__(self) -> None:
        self.current = 0
        self.done: dict[int, int] = {}

    async def count(self) -> None:
        while True:
            self.current += 1
            await trio.lowlevel.checkpoint()

    def note(self, amount: int) -> None:
        self.done[self.current] = self.done.get(self.current, 0) + amount


@pytest.mark.parametrize(
    ("chunks", "most"),
    [
        pytest.param([b"x"] * 20_000, MOST, id="of-one-byte"),
        pytest.param([b"xy", b"z"] * 10_000, 2 * MOST, id="of-two-sizes"),
    ],
)
async def test_cn_23_chunks_are_counted_as_well_as_bytes(chunks: list[bytes], most: int) -> None:
    turns = Turns()
    read = b""

    async def handler(conn: tt.Conn) -> tt.Conn:
        nonlocal read
        async for piece in conn.request_body:
            turns.note(len(piece))
            read += piece
        return conn.ok("")

    async with serving(handler) as app, trio.open_nursery() as nursery:
        nursery.start_soon(turns.count)
        client = app.connect()
        await client.send(request("/", CHUNKED, method="PUT", body=chunked(*chunks)))
        assert (await client.response()).status == 200
        nursery.cancel_scope.cancel()
    assert read == b"".join(chunks)
    # Between two turns of the counter, which come in any order with the others of a batch, there
    # may be two of the connection; and a chunk may have been counted before its bytes came.
    assert max(turns.done.values()) <= 2 * (most + len(chunks[0]))
