"""CN-22 of docs/spec/connection.md: clients that leave, in memory.

A reset and a hang-up need real sockets: tests/e2e/test_connection.py.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.wire import Peer, request, serving, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def send_eof(client: Peer) -> None:
    assert isinstance(client.stream, trio.StapledStream)
    await client.stream.send_eof()


async def test_cn_22_a_client_that_leaves_cancels_nothing(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await trio.sleep(1)
        finally:
            done.append("closed")

    async def handler(conn: tt.Conn) -> tt.Conn:
        done.append("ran")
        return conn.after_send(after).ok(pieces())

    async def after(conn: tt.Conn) -> None:
        done.append("after")

    caplog.set_level(logging.INFO)
    async with serving(handler) as app:
        client = app.connect()
        await client.send(request())
        await trio.sleep(2.5)
        await client.stream.aclose()
        assert done == ["ran"]
        await trio.sleep(1)
        assert done == ["ran", "closed", "after"]
        # Quietly.
        assert [each for each in caplog.records if each.name.endswith("driver")] == []


async def test_cn_22_a_half_close_still_gets_its_response(autojump_clock: object) -> None:
    seen: list[bool] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        await settled()
        async with conn.cancel_on_disconnect():
            await trio.sleep(1)
        seen.extend([await conn.is_disconnected(), await conn.is_disconnected(eof=True)])
        return conn.ok("here")

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request())
        await send_eof(client)
        assert (await client.response()).body == b"here"
        assert seen == [False, True]


@pytest.mark.parametrize("eof", [False, True])
async def test_cn_22_cancel_on_disconnect(eof: bool, autojump_clock: object) -> None:
    seen: list[float | bool] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        async with conn.cancel_on_disconnect(eof=eof) as scope:
            await trio.sleep(10)
        seen.extend([trio.current_time() - start, scope.cancelled_caught])
        return conn.ok("here")

    async with serving(handler) as app:
        client = app.connect()
        start = trio.current_time()
        await client.send(request())
        await trio.sleep(3)
        await send_eof(client)
        assert (await client.response()).body == b"here"
        assert seen == ([3, True] if eof else [10, False])


class Odd(Exception):
    pass


@pytest.mark.parametrize("leave", ["raise", "return", "cancel"])
async def test_cn_22_what_leaves_the_block_leaves_bare(leave: str, autojump_clock: object) -> None:
    async def block(conn: tt.Conn) -> str:
        async with conn.cancel_on_disconnect() as scope:
            if leave == "raise":
                raise Odd
            if leave == "cancel":
                scope.cancel()
                await trio.sleep_forever()
            return "return"
        return "cancel"

    async def handler(conn: tt.Conn) -> tt.Conn:
        try:
            return conn.ok(await block(conn))
        except Odd:
            return conn.ok("raise")

    async with serving(handler) as app:
        assert (await app.connect().get()).body.decode() == leave


async def test_cn_22_one_watch_at_a_time(autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        async with conn.cancel_on_disconnect():
            with pytest.raises(tt.MisuseError, match="already watched"):
                async with conn.cancel_on_disconnect():
                    pass
        async with conn.cancel_on_disconnect():
            return conn.ok("twice")

    async with serving(handler) as app:
        assert (await app.connect().get()).body == b"twice"


@pytest.mark.parametrize("size", [10, 65_536, 300_000])
async def test_cn_22_the_body_can_be_read_under_watch(size: int, autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        async with conn.cancel_on_disconnect() as scope:
            await trio.sleep(1)
            body = await conn.request_body.read()
        assert not scope.cancelled_caught
        return conn.ok(str(len(body)))

    async with serving(handler) as app:
        client = app.connect()
        raw = request(method="PUT", body=b"x" * size)
        for at in range(0, len(raw), 50_000):
            await client.send(raw[at : at + 50_000])
            await settled()
        # A pipelined request that was read ahead is not lost.
        await client.send(request(method="PUT", body=b"y"))
        assert (await client.response()).body == b"%d" % size
        assert (await client.response()).body == b"1"


async def test_cn_22_a_read_under_watch_has_its_timeout(autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        async with conn.cancel_on_disconnect():
            await conn.request_body.read()
        return conn.ok("read")

    async with serving(handler) as app:
        client = app.connect()
        start = trio.current_time()
        await client.send(request(method="PUT", body=b"x" * 9)[:-4])
        assert (await client.response()).status == 408
        assert trio.current_time() - start == 30


async def test_cn_22_watching_reads_at_most_so_far_ahead(autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        async with conn.cancel_on_disconnect(eof=True) as scope:
            await trio.sleep(5)
        return conn.ok(str(scope.cancelled_caught))

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request(method="PUT", body=b"x" * 200_000))
        await send_eof(client)
        # The end of the input is behind more than it reads.
        assert (await client.response()).body == b"False"


async def test_cn_22_looking_does_not_take_bytes_from_a_reader(autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        async with trio.open_nursery() as nursery:

            async def look() -> None:
                for _ in range(40):
                    await trio.sleep(0.25)
                    assert not await conn.is_disconnected()

            nursery.start_soon(look)
            conn.ok(await conn.request_body.read())
            nursery.cancel_scope.cancel()
        return conn

    async with serving(handler) as app:
        client = app.connect()
        raw = request(method="PUT", body=b"hello")
        for at in range(5, 0, -1):
            await client.send(raw[-at - 1 : -at] if at < 5 else raw[:-5])
            await trio.sleep(1)
        await client.send(raw[-1:])
        assert (await client.response()).body == b"hello"
