"""PG-10 and RD-5: sessions in a real database, shared by servers and by processes."""

from __future__ import annotations

import gc
import re
import signal
import socket
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import pytest
import trio

import trillium_trio as tt
from tests.e2e._postgres import Postgres as PostgresServer
from tests.e2e._postgres import needs_postgres
from tests.e2e._process import running
from tests.e2e._redis import Redis as RedisServer
from tests.e2e._redis import needs_redis
from trillium_trio.handlers import Postgres, PostgresStore, Redis, RedisStore, Sessions
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

# coredis does not close the streams in memory of a connection that was lost or never made.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")

TIMEOUT = 30
DAY = 86_400
IDENT = "ab" * 32

Store: TypeAlias = PostgresStore | RedisStore
Make: TypeAlias = "Callable[[], tuple[Postgres | Redis, Store]]"
Case: TypeAlias = "Callable[[Make], Awaitable[None]]"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with RedisServer(tmp_path) as server:
        yield server.url
    # What coredis leaves is collected while its warnings are ignored, not in another test.
    gc.collect()


def in_postgres(url: str) -> tuple[Postgres, PostgresStore]:
    db = Postgres(url)
    return db, PostgresStore(db)


def in_redis(url: str) -> tuple[Redis, RedisStore]:
    redis = Redis(url)
    return redis, RedisStore(redis)


@asynccontextmanager
async def opened(make: Make) -> AsyncIterator[Store]:
    db, store = make()
    async with db.open():
        yield store


async def stores_what_it_is_given(make: Make) -> None:
    async with opened(make) as store, opened(make) as other:
        assert await store.load(IDENT) is None
        for record in ("1 {}", "2 gr\u00fc\u00df dich \U0001f600 ' \" \\ %s", "3 " + "x" * 100_000):
            ident = f"{record[0]}{IDENT}"
            assert await store.save(ident, record, DAY, is_new=True)
            assert await other.load(ident) == record
        await other.delete(ident)
        await other.delete(ident)
        assert await store.load(ident) is None


async def saves_only_what_is_there(make: Make) -> None:
    async with opened(make) as store:
        assert not await store.save(IDENT, "old", DAY, is_new=False)
        assert await store.load(IDENT) is None
        assert await store.save(IDENT, "one", DAY, is_new=True)
        # A new one never replaces another.
        assert not await store.save(IDENT, "new", DAY, is_new=True)
        assert await store.load(IDENT) == "one"
        assert await store.save(IDENT, "two", DAY, is_new=False)
        assert await store.load(IDENT) == "two"
        await store.delete(IDENT)
        assert not await store.save(IDENT, "three", DAY, is_new=False)
        assert await store.load(IDENT) is None


async def ends_by_the_stores_clock(make: Make) -> None:
    async with opened(make) as store:
        assert await store.save(IDENT, "one", 1, is_new=True)
        assert await store.save(IDENT, "two", 1, is_new=False)
        with trio.fail_after(TIMEOUT):
            while await store.load(IDENT) is not None:
                await trio.sleep(0.05)
        assert not await store.save(IDENT, "three", DAY, is_new=False)
        assert await store.load(IDENT) is None
        assert await store.save(IDENT, "four", DAY, is_new=True)
        assert await store.load(IDENT) == "four"


async def logout_wins_over_a_save_in_progress(make: Make) -> None:
    """Log out through one server while a request at the other is about to save."""
    is_in, may_go = trio.Event(), trio.Event()

    async def pages(conn: tt.Conn) -> tt.Conn:
        session = Sessions.of(conn)
        match conn.path:
            case "/login":
                session["user"] = "ada"
            case "/logout":
                session.clear()
            case "/slow":
                session["page"] = "slow"
                is_in.set()
                await may_go.wait()
        return conn.ok(str(dict(session)))

    db, store = make()
    other_db, other = make()
    with trio.fail_after(TIMEOUT):
        async with (
            TestServer((db, Sessions(store=store), pages)) as app,
            TestServer((other_db, Sessions(store=other), pages)) as app2,
            trio.open_nursery() as nursery,
        ):
            response = await app.get("/login")
            [line] = response.headers.get_all("set-cookie")
            headers = {"cookie": line.partition(";")[0]}
            assert (await app2.get("/", headers=headers)).text == "{'user': 'ada'}"
            answers: list[str] = []

            async def ask() -> None:
                answer = await app.get("/slow", headers=headers)
                assert "set-cookie" not in answer.headers
                answers.append(answer.text)

            nursery.start_soon(ask)
            await is_in.wait()
            await app2.get("/logout", headers=headers)
            may_go.set()
            while not answers:
                await trio.sleep(0.01)
            assert answers == ["{'user': 'ada', 'page': 'slow'}"]
            for each in (app, app2):
                assert (await each.get("/", headers=headers)).text == "{}"


def is_shared_by_processes(url: str, handlers: str) -> None:
    """Log in at one process, be known at another; the second survives the end of the first."""
    program = f"""
from trillium_trio.handlers import *
db = {handlers}

async def pages(conn):
    session = Sessions.of(conn)
    if conn.path == "/login":
        session.renew()
        session["user"] = "ada"
    if conn.path == "/logout":
        session.clear()
    return conn.ok(session.get("user", "nobody") + " done")

tt.config().bind_tcp("127.0.0.1:0").run((db, Sessions(store=store), pages))
"""

    def ask(process_port: int, path: str, cookie: str = "") -> tuple[str, str]:
        with socket.create_connection(("127.0.0.1", process_port), TIMEOUT) as sock:
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            sock.sendall(f"{head}Cookie: {cookie}\r\n\r\n".encode())
            received = b"".join(iter(lambda: sock.recv(65_536), b"")).decode()
        found = re.search("set-cookie: ([^;]*)", received, re.IGNORECASE)
        return received.rpartition("\r\n\r\n")[2], found[1] if found else ""

    with running(program, URL=url) as one, running(program, URL=url) as two:
        first, second = one.port(), two.port()
        said, cookie = ask(first, "/login")
        assert said == "ada done"
        assert ask(second, "/", cookie) == ("ada done", "")
        one.send_signal(signal.SIGTERM)
        assert one.end() == 0, one.output
        assert ask(second, "/", cookie) == ("ada done", "")
        assert ask(second, "/logout", cookie) == ("nobody done", "session=")
        assert ask(second, "/", cookie) == ("nobody done", "")
        two.send_signal(signal.SIGTERM)
        assert two.end() == 0, two.output


CASES = pytest.mark.parametrize(
    "case",
    [
        stores_what_it_is_given,
        saves_only_what_is_there,
        ends_by_the_stores_clock,
        logout_wins_over_a_save_in_progress,
    ],
)


@needs_postgres
@CASES
async def test_pg_10_sessions_in_a_table(case: Case, postgres_url: str) -> None:
    await case(partial(in_postgres, postgres_url))


@needs_redis
@CASES
async def test_rd_5_sessions_in_redis(case: Case, redis_url: str) -> None:
    await case(partial(in_redis, redis_url))


@needs_postgres
def test_pg_10_processes_share_them(postgres_url: str) -> None:
    is_shared_by_processes(postgres_url, 'Postgres(os.environ["URL"]); store = PostgresStore(db)')


@needs_redis
def test_rd_5_processes_share_them(redis_url: str) -> None:
    is_shared_by_processes(redis_url, 'Redis(os.environ["URL"]); store = RedisStore(db)')


@needs_postgres
async def test_pg_10_those_that_are_over_are_removed_by_new_ones(
    postgres: PostgresServer, postgres_url: str
) -> None:
    def left() -> int:
        return int(postgres.query("SELECT count(*) FROM trillium_sessions", postgres_url))

    async with opened(partial(in_postgres, postgres_url)) as store:
        for number in range(12):
            await store.save(f"{number}", "{}", DAY, is_new=True)
        postgres.query(
            "UPDATE trillium_sessions SET ends = now() - interval '1 s' WHERE ident::int < 11",
            postgres_url,
        )
        assert left() == 12
        # Its own row is replaced, not removed.
        assert await store.save("0", "{}", DAY, is_new=True)
        assert left() == 7
        for number in (20, 21, 22):
            await store.save(f"{number}", "{}", DAY, is_new=True)
        assert left() == 5
        assert await store.load("11") == "{}"


@needs_postgres
async def test_pg_10_two_that_remove_do_not_wait_for_each_other(
    postgres: PostgresServer, postgres_url: str
) -> None:
    async with opened(partial(in_postgres, postgres_url)) as store:
        for number in range(100):
            await store.save(f"{number}", "{}", DAY, is_new=True)
        postgres.query("UPDATE trillium_sessions SET ends = now()", postgres_url)
        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as nursery:
                for number in range(100, 150):
                    save = partial(store.save, f"{number}", "{}", DAY, is_new=True)
                    nursery.start_soon(save)
        assert postgres.query("SELECT count(*) FROM trillium_sessions", postgres_url) == "50"


@needs_postgres
@pytest.mark.parametrize("table", ["order", "Shop_1.Sessions", "a" * 58])
async def test_pg_10_a_table_of_another_name(
    table: str, postgres: PostgresServer, postgres_url: str
) -> None:
    postgres.query('CREATE SCHEMA "Shop_1"', postgres_url)
    for _ in range(2):  # the table may be there
        db = Postgres(postgres_url)
        store = PostgresStore(db, table=table)
        async with db.open():
            await store.save(IDENT, "{}", DAY, is_new=True)
            assert await store.load(IDENT) == "{}"
    name = ".".join(f'"{each}"' for each in table.split("."))
    assert postgres.query(f"SELECT count(*) FROM {name}", postgres_url) == "1"


@pytest.mark.parametrize(
    "table", ["", "a b", 'a"; DROP TABLE b; --', "a.b.c", "\u00fc", "a" * 59, "a\n"]
)
def test_pg_10_a_name_that_is_none_is_refused(table: str) -> None:
    with pytest.raises(tt.ConfigError, match=r"PostgresStore\.table"):
        PostgresStore(Postgres(), table=table)
