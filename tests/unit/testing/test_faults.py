"""Streams that stall, dribble or break."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
import trio

from trillium_trio.testing import (
    BreakingStream,
    DribblingStream,
    MemoryListener,
    MemoryStream,
    Operation,
    StallingStream,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def connected(wrapped: list[MemoryStream]) -> MemoryStream:
    def keep(stream: MemoryStream) -> MemoryStream:
        wrapped.append(stream)
        return stream

    return MemoryListener().connect(wrap_server=keep)


def pair() -> tuple[MemoryStream, MemoryStream]:
    ends: list[MemoryStream] = []
    client = connected(ends)
    return client, ends[0]


async def test_a_stream_breaks_at_the_chosen_operation_and_stays_broken() -> None:
    client, server = pair()
    stream = BreakingStream(server, at=3)
    await client.send_all(b"abc")
    assert await stream.receive_some(1) == b"a"
    await stream.send_all(b"answer")
    for _ in range(2):
        with pytest.raises(trio.BrokenResourceError, match="on purpose: receive"):
            await stream.receive_some()
    with pytest.raises(trio.BrokenResourceError, match="on purpose: eof"):
        await stream.send_eof()
    assert await client.receive_some() == b"answer"


@pytest.mark.parametrize("on", ["receive", "send", "eof"])
async def test_only_the_chosen_kind_of_operation_counts(on: Operation) -> None:
    client, server = pair()
    stream = BreakingStream(server, on=on, error=OSError("cable cut"))
    await client.send_all(b"x")
    operations: list[tuple[Operation, Callable[[], Awaitable[object]]]] = [
        ("receive", stream.receive_some),
        ("send", lambda: stream.send_all(b"y")),
        ("eof", stream.send_eof),
    ]
    for name, operation in operations:
        with pytest.raises(OSError, match="cable cut") if name == on else nullcontext():
            await operation()


async def test_a_stalled_stream_waits_until_it_is_resumed() -> None:
    client, server = pair()
    stream = StallingStream(server, at=2, on="send")
    await stream.send_all(b"first ")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, b"second")
        await stream.wait_stalled()
        assert "stalled" in repr(stream)
        assert await client.receive_some() == b"first "
        stream.resume()
    assert "flowing" in repr(stream)
    assert await client.receive_some() == b"second"
    await stream.send_all(b" third")
    assert await client.receive_some() == b" third"


async def test_a_cancelled_stall_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    client, server = pair()
    stream = StallingStream(server, on="receive")
    await client.send_all(b"kept")
    with trio.move_on_after(5) as scope:
        await stream.receive_some()
    assert scope.cancelled_caught
    stream.resume()
    assert await stream.receive_some() == b"kept"


async def test_bytes_dribble_in_steps(autojump_clock: trio.testing.MockClock) -> None:
    client, server = pair()
    stream = DribblingStream(server, step=2, interval=1.5)
    start = trio.current_time()
    await client.send_all(b"abcde")
    got = [await stream.receive_some(max_bytes) for max_bytes in (None, 1, 10)]
    assert got == [b"ab", b"c", b"de"]
    assert trio.current_time() - start == pytest.approx(4.5)
    await stream.send_all(b"abc")
    assert trio.current_time() - start == pytest.approx(7.5)
    assert await client.receive_some() == b"abc"


async def test_faults_can_be_stacked(autojump_clock: trio.testing.MockClock) -> None:
    client, server = pair()
    stream = DribblingStream(BreakingStream(server, at=3, on="send"), interval=1)
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"abcdef")
    assert await client.receive_some() == b"ab"


async def test_a_wrapper_closes_and_aborts_what_it_wraps() -> None:
    client, server = pair()
    await StallingStream(server).aclose()
    assert await client.receive_some() == b""
    client, server = pair()
    StallingStream(BreakingStream(server)).abort()
    with pytest.raises(trio.BrokenResourceError, match="reset"):
        await client.receive_some()


def test_operations_and_steps_are_counted_from_one() -> None:
    _, server = pair()
    with pytest.raises(ValueError, match="from 1"):
        StallingStream(server, at=0)
    with pytest.raises(ValueError, match="one byte"):
        DribblingStream(server, step=0)
