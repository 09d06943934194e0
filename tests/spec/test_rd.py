"""RD without a Redis: what is refused, and what is not shown."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import pytest

import trillium_trio as tt
from trillium_trio.handlers import Redis, RedisStore
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from pathlib import Path


# coredis does not close the streams in memory of a connection that was never made.
@pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
async def test_rd_1_without_its_redis_the_server_does_not_start(tmp_path: Path) -> None:
    redis = Redis(f"unix://:secret@{tmp_path}/redis.sock?db=1")
    with pytest.raises(tt.ConfigError) as caught:
        async with TestServer((redis, "ok")):
            pass
    text = str(caught.value)
    assert text.startswith(f"Redis: cannot connect to unix://{tmp_path}/redis.sock: ")
    assert "secret" not in text
    del caught
    # What it leaves is collected while its warnings are ignored, not in another test.
    gc.collect()


async def test_rd_1_it_is_to_be_open() -> None:
    redis = Redis()
    with pytest.raises(tt.MisuseError, match="is not open"):
        _ = redis.client
    with pytest.raises(tt.MisuseError, match="is not open"):
        await RedisStore(redis).load("x")


async def test_rd_2_a_handler_in_front_of_it_does_not_find_it() -> None:
    async def work(conn: tt.Conn) -> tt.Conn:
        with pytest.raises(tt.MisuseError, match="Redis leaves it"):
            Redis.of(conn)
        return conn.ok("")

    async with TestServer(work) as app:
        assert (await app.get("/")).status == 200


@pytest.mark.parametrize(
    "url", ["redis://ada:sec@ret@db.example:7/0", "rediss://db.example/0?password=secret"]
)
def test_rd_4_it_does_not_show_its_password(url: str) -> None:
    text = repr(Redis(url))
    assert "db.example" in text
    assert "ret" not in text


@pytest.mark.parametrize("url", ["redis://:secret@[::1", "redis://:secret@host:x", "secret"])
def test_rd_4_a_url_that_cannot_be_read_is_not_quoted(url: str) -> None:
    with pytest.raises(tt.ConfigError, match=r"Redis\.url") as caught:
        Redis(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_rd_3_its_timeout_is_checked() -> None:
    with pytest.raises(tt.ConfigError, match=r"Redis\.timeout must be"):
        Redis(timeout=0)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coredis", None)
    with pytest.raises(ImportError, match=r"pip install 'trillium-trio\[redis\]'"):
        Redis()
