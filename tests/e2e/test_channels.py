"""CH-8 and CH-9 with a real Redis: two servers exchange broadcasts, and Redis comes and goes."""

from __future__ import annotations

import gc
import json
import logging
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trillium_trio as tt
from tests.e2e._redis import Redis, needs_redis
from trillium_trio.handlers import Channel, Channels, RedisBroker
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from trillium_trio.testing import TestWebSocket

pytestmark = [
    needs_redis,
    # coredis does not close the streams in memory of a connection that was lost or never made.
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]

# Generous: on a loaded machine nothing of this takes a fraction of it.
TIMEOUT = 30


@pytest.fixture(autouse=True)
def _collect_here() -> Iterator[None]:
    """Collect what coredis leaves while its warnings are ignored, not in another test."""
    yield
    gc.collect()


class Room(Channel):
    async def receive(self, event: str, payload: Any) -> object:
        await self.broadcast(event, payload)
        return None


def channels(redis: Redis, **settings: Any) -> tuple[Channels, RedisBroker]:
    broker = RedisBroker(redis.url, **settings)
    return Channels({"room:*": Room}, broker=broker), broker


@asynccontextmanager
async def member(app: TestServer) -> AsyncIterator[TestWebSocket]:
    async with app.websocket("/?vsn=2.0.0") as ws:
        await ws.send('["1","1","room:1","phx_join",{}]')
        assert json.loads(await ws.receive())[4]["status"] == "ok"
        yield ws


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(TIMEOUT):
        while not condition():
            await trio.sleep(0.01)


def is_connected(broker: RedisBroker) -> bool:
    return broker._client is not None


async def test_ch_8_two_servers_exchange_broadcasts(tmp_path: Path) -> None:
    with Redis(tmp_path) as redis:
        (one, broker), (two, other) = channels(redis), channels(redis)
        async with (
            TestServer(one) as first,
            TestServer(two) as second,
            member(first) as a,
            member(second) as b,
        ):
            await until(lambda: is_connected(broker) and is_connected(other))
            await a.send('["1","2","room:1","say",{"text":"gr\\u00fc\\u00df dich"}]')
            expected = [None, None, "room:1", "say", {"text": "gr\u00fc\u00df dich"}]
            with trio.fail_after(TIMEOUT):
                assert json.loads(await b.receive()) == expected
                assert json.loads(await a.receive()) == expected
                assert json.loads(await a.receive())[3] == "phx_reply"
                await two.broadcast("room:1", "raw", b"\x00\n\xff")
                assert await a.receive() == b"\x02\x06\x03room:1raw\x00\n\xff"
                assert await b.receive() == b"\x02\x06\x03room:1raw\x00\n\xff"
                # In order, and each once.
                for number in range(100):
                    await one.broadcast("room:1", "news", number)
                for ws in (a, b):
                    numbers = [json.loads(await ws.receive())[4] for _ in range(100)]
                    assert numbers == list(range(100))
        assert broker.unpublished == other.unpublished == 0


async def test_ch_8_applications_with_different_channels_do_not_meet(tmp_path: Path) -> None:
    with Redis(tmp_path) as redis:
        (one, broker), (two, other) = channels(redis), channels(redis, channel="another")
        async with TestServer(one), TestServer(two) as second, member(second) as b:
            await until(lambda: is_connected(broker) and is_connected(other))
            await one.broadcast("room:1", "news", 1)
            await two.broadcast("room:1", "news", 2)
            assert json.loads(await b.receive())[4] == 2


async def test_ch_9_redis_is_lost_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trillium_trio")
    redis = Redis(tmp_path)
    (one, broker), (two, other) = channels(redis), channels(redis)
    # The servers start without it.
    async with (
        TestServer(one) as first,
        TestServer(two) as second,
        member(first) as a,
        member(second) as b,
    ):
        await until(lambda: broker._is_lost and other._is_lost)
        for number in (1, 2):
            await one.broadcast("room:1", "news", number)
            assert json.loads(await a.receive())[4] == number
        assert broker.unpublished == 2
        with redis:
            await until(lambda: is_connected(broker) and is_connected(other))
            assert f"Redis at {redis.url} is back; 2 broadcasts of this process" in caplog.text
            await one.broadcast("room:1", "news", 3)
            with trio.fail_after(TIMEOUT):
                # 1 and 2 are not kept.
                assert json.loads(await b.receive())[4] == 3
                assert json.loads(await a.receive())[4] == 3
            redis.stop()
            await until(lambda: not is_connected(broker) and not is_connected(other))
            await two.broadcast("room:1", "news", 4)
            assert json.loads(await b.receive())[4] == 4
            assert other.unpublished == 1
            redis.start()
            await until(lambda: is_connected(broker) and is_connected(other))
            await one.broadcast("room:1", "news", 5)
            with trio.fail_after(TIMEOUT):
                assert json.loads(await b.receive())[4] == 5
            lost = [each for each in caplog.messages if "is lost" in each]
            assert len(lost) == 4, lost
            assert all(f"Redis at {redis.url} is lost, broadcasts stay" in each for each in lost)
            assert sum("is back" in each for each in caplog.messages) == 4


async def test_ch_9_a_redis_that_does_not_answer_is_lost(tmp_path: Path) -> None:
    with Redis(tmp_path) as redis:
        one, broker = channels(redis, timeout=1.0)
        async with TestServer(one) as app, member(app) as a:
            await until(lambda: is_connected(broker))
            redis.send_signal(signal.SIGSTOP)
            with trio.fail_after(TIMEOUT):
                await one.broadcast("room:1", "news", 1)
            assert json.loads(await a.receive())[4] == 1
            assert broker.unpublished == 1
            await until(lambda: not is_connected(broker))
            redis.send_signal(signal.SIGCONT)
            await until(lambda: is_connected(broker))
            await one.broadcast("room:1", "news", 2)
            assert broker.unpublished == 1


async def test_ch_9_a_silent_redis_is_found_out_by_a_ping(tmp_path: Path) -> None:
    with Redis(tmp_path) as redis:
        one, broker = channels(redis, timeout=1.0)
        async with TestServer(one):
            await until(lambda: is_connected(broker))
            redis.send_signal(signal.SIGSTOP)
            await until(lambda: broker._is_lost)
            redis.send_signal(signal.SIGCONT)
            await until(lambda: is_connected(broker))


async def test_ch_9_the_stop_does_not_wait_for_redis(tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    one, broker = channels(redis)
    async with TestServer(one) as app:
        await until(lambda: broker._is_lost)
        with trio.fail_after(TIMEOUT):
            assert (await app.shut_down()).is_clean
    with redis:
        two, broker = channels(redis)
        async with TestServer(two) as app:
            await until(lambda: is_connected(broker))
            with trio.fail_after(TIMEOUT):
                assert (await app.shut_down()).is_clean


async def test_ch_9_a_broker_belongs_to_one_handler(tmp_path: Path) -> None:
    broker = RedisBroker(Redis(tmp_path).url)
    two = tuple(Channels({"room:*": Room}, broker=broker) for _ in range(2))
    with pytest.raises(tt.MisuseError, match="belongs to one Channels"):
        async with TestServer(two):
            await trio.sleep(TIMEOUT)


def test_ch_9_settings_of_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(tt.ConfigError, match=r"Redis\.url"):
        RedisBroker("http://localhost")
    with pytest.raises(tt.ConfigError, match=r"RedisBroker\.timeout"):
        RedisBroker(timeout=0)
    assert "secret" not in repr(RedisBroker("redis://user:secret@localhost/0"))
    monkeypatch.setitem(sys.modules, "coredis", None)
    with pytest.raises(ImportError, match=r"pip install 'trillium-trio\[redis\]'"):
        RedisBroker()
