"""RD with a real Redis, which is killed, restarted and frozen."""

from __future__ import annotations

import gc
import signal
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.e2e._redis import Redis as Server
from tests.e2e._redis import needs_redis
from trillium_trio.handlers import Redis
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    needs_redis,
    # coredis does not close the streams in memory of a connection that was lost or never made.
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]

# Generous: on a loaded machine nothing of this takes a fraction of it.
TIMEOUT = 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server
    # What coredis leaves is collected while its warnings are ignored, not in another test.
    gc.collect()


async def count(conn: tt.Conn) -> tt.Conn:
    return conn.ok(str(await Redis.of(conn).incr("visits")))


async def test_rd_2_a_handler_behind_it_uses_the_client(server: Server) -> None:
    async with TestServer((Redis(f"{server.url}/3"), count)) as app:
        for expected in ("1", "2"):
            assert (await app.get("/")).text == expected


async def test_rd_3_redis_is_lost_and_comes_back(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestServer((Redis(server.url, timeout=1), count)) as app:
        with trio.fail_after(TIMEOUT):
            assert (await app.get("/")).status == 200
            server.stop()
            for _ in range(3):
                assert (await app.get("/")).status == 500
            assert f"127.0.0.1:{server.port}" in caplog.text
            server.start()
            assert (await app.get("/")).text == "1"
            server.stop()
            server.start()
            assert (await app.get("/")).text == "1"
            server.send_signal(signal.SIGSTOP)
            caplog.clear()
            assert (await app.get("/")).status == 500
            assert "timed out after 1 seconds" in caplog.text
            server.send_signal(signal.SIGCONT)
            assert (await app.get("/")).status == 200


async def test_rd_3_a_cancelled_command_costs_no_connection(server: Server) -> None:
    async with Redis(server.url).open() as client:
        with trio.fail_after(TIMEOUT):
            for number in range(100):
                # Some before they are sent, some while the answer is on its way.
                with trio.move_on_after(number / 100_000):
                    await client.incr("n")
                # An answer that nobody waits for is not taken for that of another command.
                assert await client.echo(f"{number}") == b"%d" % number
            assert len(await client.client_list()) < 100


async def test_rd_1_a_frozen_redis_fails_the_start(server: Server) -> None:
    server.send_signal(signal.SIGSTOP)
    with trio.fail_after(TIMEOUT), pytest.raises(tt.ConfigError, match="cannot connect to redis"):
        async with TestServer((Redis(server.url, timeout=0.3), "ok")):
            pass


async def test_rd_1_it_is_open_until_background_work_has_ended(server: Server) -> None:
    seen: list[int] = []

    async def work(conn: tt.Conn) -> tt.Conn:
        client = Redis.of(conn)

        async def later() -> None:
            await conn.swansong.shutting_down()
            await trio.sleep(0.2)
            seen.append(await client.incr("visits"))

        conn.start_soon(later)
        return conn.ok("")

    redis = Redis(server.url)
    async with TestServer((redis, work)) as app:
        assert (await app.get("/")).status == 200
        with pytest.raises(tt.MisuseError, match="is open already"):
            async with redis.open():
                pass
    assert seen == [1]
    with pytest.raises(tt.MisuseError, match="is not open"):
        _ = redis.client
