"""Connections in memory and where they come from."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trillium_trio.testing import BreakingStream, MemoryListener, MemoryStream


async def connected() -> tuple[MemoryStream, trio.abc.HalfCloseableStream]:
    listener = MemoryListener()
    client = listener.connect()
    return client, await listener.accept()


async def test_bytes_go_both_ways() -> None:
    client, server = await connected()
    await client.send_all(b"ping")
    assert await server.receive_some() == b"ping"
    await server.send_all(b"pong")
    assert [await client.receive_some(3), await client.receive_some()] == [b"pon", b"g"]


async def test_a_half_closed_stream_still_receives() -> None:
    client, server = await connected()
    await client.send_all(b"last")
    await client.send_eof()
    assert [await server.receive_some(), await server.receive_some()] == [b"last", b""]
    await server.send_all(b"answer")
    assert await client.receive_some() == b"answer"


async def test_what_was_sent_before_a_close_still_arrives() -> None:
    client, server = await connected()
    await client.send_all(b"last")
    client.close()
    assert [await server.receive_some(), await server.receive_some()] == [b"last", b""]
    with pytest.raises(trio.BrokenResourceError):
        await server.send_all(b"nobody reads this")
    with pytest.raises(trio.ClosedResourceError):
        await client.receive_some()


async def test_an_abort_is_a_reset_and_loses_what_is_unread() -> None:
    client, server = await connected()
    await client.send_all(b"never read")
    client.abort()
    for _ in range(2):
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await server.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await server.send_all(b"x")


async def test_an_abort_wakes_the_peer() -> None:
    client, server = await connected()
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await server.receive_some()

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        client.abort()


async def test_an_abort_after_a_close_changes_nothing() -> None:
    client, server = await connected()
    await client.send_all(b"last")
    await client.aclose()
    client.abort()
    assert await server.receive_some() == b"last"
    assert repr(client) == "<MemoryStream closed>"


async def test_a_closed_listener_refuses() -> None:
    listener = MemoryListener()
    waiting = listener.connect()
    assert repr(listener) == "<MemoryListener, 1 connections waiting>"
    await listener.aclose()
    assert await waiting.receive_some() == b""
    with pytest.raises(ConnectionRefusedError):
        listener.connect()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()
    await listener.aclose()


async def test_a_clone_accepts_what_the_other_left() -> None:
    listener = MemoryListener()
    clone = listener.clone()
    client = listener.connect()
    await listener.aclose()
    with pytest.raises(ConnectionRefusedError):
        listener.connect()
    server = await clone.accept()
    await client.send_all(b"hello")
    assert await server.receive_some() == b"hello"


async def test_the_servers_end_may_be_wrapped() -> None:
    listener = MemoryListener()
    client = listener.connect(wrap_server=lambda stream: BreakingStream(stream, on="receive"))
    server = await listener.accept()
    await client.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError, match="on purpose"):
        await server.receive_some()
