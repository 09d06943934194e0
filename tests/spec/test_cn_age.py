"""CN-30 of docs/spec/connection.md: the age of a connection and the number of its requests."""

from __future__ import annotations

import pytest
import trio

import trillium_trio as tt
from tests.wire import UPGRADE, request, serving, settled


async def hello(conn: tt.Conn) -> tt.Conn:
    await trio.sleep(float(conn.querystring or 0))
    return conn.ok("hello")


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("is_pipelined", [False, True])
async def test_cn_30_the_last_request_closes(
    count: int, is_pipelined: bool, autojump_clock: object
) -> None:
    async with serving(hello, max_connection_requests=count) as app:
        client = app.connect()
        if is_pipelined:
            await client.send(request() * (count + 3))
        for number in range(1, count + 1):
            if not is_pipelined:
                await client.send(request())
            response = await client.response()
            assert (response.body, response.closes) == (b"hello", number == count)
        assert await client.ends()


async def test_cn_30_by_default_there_is_no_bound(autojump_clock: object) -> None:
    async with serving(hello) as app:
        client = app.connect()
        for _ in range(500):
            assert not (await client.get()).closes
            await trio.sleep(50)
        await client.stream.aclose()


async def test_cn_30_a_request_behind_the_age_is_the_last(autojump_clock: object) -> None:
    async with serving(hello, max_connection_age=10) as app:
        client = app.connect()
        await trio.sleep(2)
        assert not (await client.get()).closes
        # Begun before the age has passed, and whole behind it.
        await trio.sleep(7)
        await client.send(request()[:-2])
        await trio.sleep(2)
        await client.send(request()[-2:])
        response = await client.response()
        assert (response.body, response.closes) == (b"hello", True)
        assert await client.ends()


async def test_cn_30_an_idle_one_is_closed_when_its_age_passes(autojump_clock: object) -> None:
    async with serving(hello, max_connection_age=10) as app:
        client = app.connect()
        start = trio.current_time()
        assert not (await client.get()).closes
        assert await client.ends()
        assert trio.current_time() - start == 10


@pytest.mark.parametrize("again", [False, True])
async def test_cn_30_a_long_request_is_not_cut_and_has_the_grace(
    again: bool, autojump_clock: object
) -> None:
    async with serving(hello, max_connection_age=10) as app:
        client = app.connect()
        start = trio.current_time()
        # The response was promised another request, for its head came in time.
        assert not (await client.get("/?25")).closes
        if again:
            await trio.sleep(0.4)
            assert (await client.get()).closes
            assert await client.ends()
        else:
            assert await client.ends()
            assert trio.current_time() - start == 25.5


async def test_cn_30_an_upgrade_has_no_age(autojump_clock: object) -> None:
    class Talks(tt.Handler):
        async def run(self, conn: tt.Conn) -> tt.Conn:
            return conn.upgrade()

        def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
            return True

        async def upgrade(self, upgrade: tt.Upgrade) -> None:
            await trio.sleep(1000)
            await upgrade.transport.send_all(b"bye")

    async with serving(Talks(), max_connection_age=10, max_connection_requests=1) as app:
        client = app.connect()
        await client.send(request("/", *UPGRADE))
        assert (await client.response()).status == 101
        assert await client.rest() == b"bye"


async def test_cn_30_a_stop_still_has_its_grace(autojump_clock: object) -> None:
    async with serving(hello, max_connection_age=100) as app:
        client = app.connect()
        await client.get()
        stop = trio.current_time()
        app.handle.shut_down()
        await settled()
        assert await client.ends()
        assert trio.current_time() - stop == 0.5
