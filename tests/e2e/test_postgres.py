"""PG with a real PostgreSQL, which is killed, restarted and frozen."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import trio
import trio.testing
from psycopg.rows import dict_row

import trillium_trio as tt
from tests.e2e._postgres import Postgres as Server
from tests.e2e._postgres import needs_postgres
from tests.e2e._process import running
from trillium_trio.handlers import Postgres, Timeout
from trillium_trio.handlers.postgres._handler import _LOCK
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = needs_postgres

# Generous: on a loaded machine nothing of this takes a fraction of it.
TIMEOUT = 30
# Of the database that a query is sent to.
OURS = "application_name = 'trillium_trio' AND datname = current_database()"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def url(server: Server) -> str:
    return server.new_database()


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trillium_trio")


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(TIMEOUT):
        while not condition():
            await trio.sleep(0.01)


def insert(connection: Any, number: int) -> list[int]:
    """Insert a number; return all that are there."""
    connection.execute("INSERT INTO numbers VALUES (%s)", [number])
    return numbers(connection)


def numbers(connection: Any) -> list[int]:
    return [row[0] for row in connection.execute("SELECT number FROM numbers ORDER BY number")]


def sleep(connection: Any, seconds: float = 3600) -> None:
    connection.execute("SELECT pg_sleep(%s)", [seconds])


def with_numbers(url: str, **settings: Any) -> Postgres:
    db = Postgres(url, **settings)

    @db.prepare
    def schema(connection: Any) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS numbers (number int)")

    return db


async def test_pg_2_a_function_is_one_transaction(url: str) -> None:
    async with with_numbers(url).open() as db:
        assert await db.transact(insert, 1) == [1]

        def fails(connection: Any) -> None:
            insert(connection, 2)
            raise LookupError("no")

        with pytest.raises(LookupError, match="no"):
            await db.transact(fails)
        assert await db.transact(numbers) == [1]


async def test_pg_3_a_connection_is_used_again(url: str) -> None:
    def backend(connection: psycopg.Connection[Any]) -> int:
        return connection.info.backend_pid

    async with Postgres(url).open() as db:
        assert await db.transact(backend) == await db.transact(backend)


async def test_pg_3_others_wait_in_line_without_a_thread(server: Server, url: str) -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def work(connection: Any) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        connection.execute("SELECT pg_sleep(0.01)")
        with lock:
            running -= 1

    async with Postgres(url, max_size=3).open() as db, trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(db.transact, work)
    assert most == 3


async def test_pg_3_a_full_pool_is_a_503(url: str) -> None:
    async def work(conn: tt.Conn) -> tt.Conn:
        await Postgres.of(conn).transact(sleep)
        return conn.ok("done")

    db = Postgres(url, max_size=1, timeout=1)
    async with TestServer((db, Timeout(work, seconds=4, status=504))) as app:
        answers: list[int] = []

        async def ask() -> None:
            answers.append((await app.get("/")).status)

        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                nursery.start_soon(ask)
        assert answers == [503, 504]


async def test_pg_3_a_connection_that_was_lost_is_replaced(
    server: Server, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with with_numbers(url, max_size=3).open() as db:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(db.transact, sleep, 0.2)
        server.stop()
        with pytest.raises(tt.ServiceUnavailable, match=r"cannot connect to postgres@/\S+/test"):
            await db.transact(numbers)
        with pytest.raises(tt.ServiceUnavailable):
            await db.transact(numbers)
        server.start()
        assert await db.transact(insert, 1) == [1]
        # With a word to its clients.
        server.shut_down()
        server.start()
        assert await db.transact(insert, 2) == [1, 2]
    lost = [each for each in caplog.messages if "is lost" in each]
    assert len(lost) == 1
    assert sum("is back" in each for each in caplog.messages) == 1


async def test_pg_2_a_function_that_loses_its_connection_is_not_called_again(
    server: Server, url: str
) -> None:
    calls = 0

    def loses(connection: Any) -> None:
        nonlocal calls
        calls += 1
        server.stop()
        connection.execute("SELECT 1")

    async with Postgres(url).open() as db:
        with pytest.raises(psycopg.OperationalError):
            await db.transact(loses)
        server.start()
        assert calls == 1


async def test_pg_3_a_frozen_database_is_a_503_and_comes_back(server: Server, url: str) -> None:
    async with with_numbers(url, timeout=1).open() as db:
        server.freeze()
        try:
            for _ in range(2):  # on a connection that is there, and on a new one
                with (
                    trio.fail_after(TIMEOUT),
                    pytest.raises(tt.ServiceUnavailable, match=r"cannot connect to .*: no answer"),
                ):
                    await db.transact(insert, 1)
        finally:
            server.thaw()
        assert await db.transact(insert, 2) == [2]


async def test_pg_3_a_function_that_was_called_has_no_time_limit(url: str) -> None:
    async with with_numbers(url, timeout=1).open() as db:

        def slow(connection: Any) -> list[int]:
            sleep(connection, 1.5)
            return insert(connection, 1)

        assert await db.transact(slow) == [1]


async def test_pg_3_a_late_event_loop_does_not_deny_what_was_done(url: str) -> None:
    is_in = threading.Event()
    results: list[list[int]] = []

    def work(connection: Any) -> list[int]:
        is_in.set()
        return insert(connection, 1)

    async def call() -> None:
        results.append(await db.transact(work))

    async with with_numbers(url, timeout=1).open() as db:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            # The event loop hears of nothing until the time to start is over.
            assert is_in.wait(TIMEOUT)
            time.sleep(1.2)
        assert results == [[1]]


async def test_pg_4_a_cancellation_reaches_the_database(server: Server, url: str) -> None:
    def active() -> str:
        return server.query(
            f"SELECT count(*) FROM pg_stat_activity WHERE {OURS} AND state <> 'idle'", url
        )

    async with with_numbers(url).open() as db:
        async with trio.open_nursery() as nursery:

            def work(connection: Any) -> None:
                insert(connection, 1)
                sleep(connection)

            nursery.start_soon(db.transact, work)
            await until(lambda: active() == "1")
            nursery.cancel_scope.cancel()
        await until(lambda: active() == "0")
        assert await db.transact(insert, 2) == [2]


async def test_pg_4_a_frozen_database_does_not_delay_a_cancellation_for_ever(
    server: Server, url: str
) -> None:
    async with with_numbers(url).open() as db:
        is_asleep = threading.Event()

        def work(connection: Any) -> None:
            is_asleep.set()
            sleep(connection)

        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(db.transact, work)
                await until(is_asleep.is_set)
                server.freeze()
                nursery.cancel_scope.cancel()
        server.thaw()
        assert await db.transact(insert, 2) == [2]


async def test_pg_4_a_function_that_does_not_return_is_abandoned(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    is_in, may_go, is_out = threading.Event(), threading.Event(), threading.Event()
    later: list[BaseException] = []

    def stubborn(connection: Any) -> None:
        is_in.set()
        may_go.wait()
        try:
            connection.execute("INSERT INTO numbers VALUES (1)")
        except BaseException as error:
            later.append(error)
            raise
        finally:
            is_out.set()

    async with with_numbers(url, max_size=1).open() as db:
        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(db.transact, stubborn)
                await until(is_in.is_set)
                nursery.cancel_scope.cancel()
        [line] = [each for each in caplog.messages if "did not end when it was cancelled" in each]
        assert "stubborn on postgres@" in line
        # Its place is free, and it can do nothing more.
        assert await db.transact(insert, 2) == [2]
        may_go.set()
        await until(is_out.is_set)
        assert later
        assert await db.transact(numbers) == [2]


def test_pg_5_two_processes_that_start_at_once_do_not_collide(server: Server, url: str) -> None:
    program = """
    from trillium_trio.handlers import Postgres
    db = Postgres(os.environ["URL"])

    @db.prepare
    def first(connection):
        connection.execute("CREATE TABLE IF NOT EXISTS t (n int)")
        connection.execute("SELECT pg_sleep(0.1)")

    @db.prepare
    def second(connection):
        n = connection.execute("SELECT count(*) FROM t").fetchone()[0]
        connection.execute("INSERT INTO t VALUES (%s)", [n])
        connection.execute(f"CREATE TABLE t{n} ()")

    tt.config().bind_tcp("127.0.0.1:0").run((db, app))
    """
    program = "\n".join(line.removeprefix("    ") for line in program.splitlines())
    with running(program, URL=url) as one, running(program, URL=url) as two:
        with psycopg.connect(url) as third:
            # Neither is ahead of the other, however long each takes to start.
            third.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            for each in (one, two):
                each.wait_for("waits for another process that prepares it")
        one.port()
        two.port()
    assert server.query("SELECT n FROM t ORDER BY n", url) == "0\n1"


async def test_pg_5_if_preparing_fails_nothing_of_it_is_left(server: Server, url: str) -> None:
    db = with_numbers(url)

    @db.prepare
    def fails(connection: Any) -> None:
        connection.execute("SELECT 1 / 0")

    with pytest.raises(Exception, match="division by zero"):
        async with TestServer((db, "ok")):
            pass
    assert server.query("SELECT to_regclass('numbers') IS NULL", url) == "t"


@asynccontextmanager
async def heard(db: Postgres, channel: str) -> AsyncIterator[trio.MemoryReceiveChannel[str | None]]:
    send, receive = trio.open_memory_channel[str | None](1000)

    async def listen() -> None:
        async with aclosing(db.listen(channel)) as payloads:
            async for payload in payloads:
                await send.send(payload)

    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            yield receive
            nursery.cancel_scope.cancel()


def notify(connection: Any, channel: str, *payloads: str) -> None:
    for payload in payloads:
        connection.execute("SELECT pg_notify(%s, %s)", [channel, payload])


@pytest.mark.parametrize("channel", ["chat", 'Ch"at; \u00fc', "c" * 63])
async def test_pg_6_what_is_notified_is_heard_in_order(url: str, channel: str) -> None:
    payloads = [f"gr\u00fc\u00df {number}" for number in range(100)]
    async with Postgres(url).open() as db, heard(db, channel) as hears:
        assert await hears.receive() is None
        await db.transact(notify, channel, *payloads)
        assert [await hears.receive() for _ in payloads] == payloads


async def test_pg_6_it_listens_again_when_the_database_is_back(
    server: Server, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Postgres(url).open() as db, heard(db, "chat") as hears:
        for stop in (server.stop, server.shut_down):
            assert await hears.receive() is None
            stop()
            await until(lambda: "nothing is heard of 'chat'" in caplog.text)
            server.start()
        assert await hears.receive() is None
        await db.transact(notify, "chat", "hello")
        assert await hears.receive() == "hello"
    assert sum("listens to 'chat'" in each for each in caplog.messages) == 2


async def test_pg_6_a_frozen_database_is_noticed(
    server: Server, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Postgres(url, timeout=1).open() as db, heard(db, "chat") as hears:
        assert await hears.receive() is None
        # Silence alone is none.
        await trio.sleep(1.5)
        await db.transact(notify, "chat", "hello")
        assert await hears.receive() == "hello"
        server.freeze()
        await until(lambda: "nothing is heard of 'chat': no answer" in caplog.text)
        server.thaw()
        assert await hears.receive() is None
        await db.transact(notify, "chat", "again")
        assert await hears.receive() == "again"


async def test_pg_6_a_listener_that_ends_leaves_no_connection(server: Server, url: str) -> None:
    def backends() -> str:
        return server.query(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS}", url)

    async with Postgres(url).open() as db:
        async with heard(db, "chat") as hears:
            assert await hears.receive() is None
            assert backends() == "2"
        await until(lambda: backends() == "1")
    await until(lambda: backends() == "0")


async def test_pg_7_a_drain_waits_for_a_function_and_names_it(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    is_in, may_go = threading.Event(), threading.Event()

    def products(connection: Any) -> str:
        is_in.set()
        may_go.wait()
        return str(connection.execute("SELECT 'tea'").fetchone()[0])

    async def work(conn: tt.Conn) -> tt.Conn:
        return conn.ok(await Postgres.of(conn).transact(products))

    config = tt.Config(drain_timeout=TIMEOUT, report_interval=0.2)
    async with TestServer((Postgres(url), work), config) as app:
        peer = app.connect()
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(is_in.is_set)
        report = app.shut_down()
        await until(lambda: "in products" in caplog.text)
        may_go.set()
        assert (await peer.receive_response()).body == b"tea"
        assert (await report).is_clean


async def test_pg_7_at_the_deadline_the_query_is_cancelled(server: Server, url: str) -> None:
    is_in = threading.Event()

    def work(connection: Any) -> None:
        is_in.set()
        sleep(connection)

    async def handle(conn: tt.Conn) -> tt.Conn:
        await Postgres.of(conn).transact(work)
        return conn.ok("done")

    async with TestServer((Postgres(url), handle), tt.Config(drain_timeout=0.2)) as app:
        peer = app.connect()
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(is_in.is_set)
        report = await app.shut_down()
        assert (await peer.receive_until_closed()).startswith(b"HTTP/1.1 503 ")
        assert not report.is_clean
    await until(
        lambda: server.query(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS}", url) == "0"
    )


async def test_pg_1_it_is_open_until_background_work_has_ended(url: str) -> None:
    async def work(conn: tt.Conn) -> tt.Conn:
        db = Postgres.of(conn)

        async def later() -> None:
            await conn.swansong.shutting_down()
            await trio.sleep(0.2)
            done.extend(await db.transact(insert, 1))

        conn.start_soon(later)
        return conn.ok("")

    done: list[int] = []
    db = with_numbers(url)
    async with TestServer((db, work)) as app:
        assert (await app.get("/")).status == 200
    assert done == [1]
    with pytest.raises(tt.MisuseError, match="is not open"):
        await db.transact(numbers)


async def test_pg_1_it_is_opened_once_at_a_time(url: str) -> None:
    db = Postgres(url)
    for _ in range(2):
        async with db.open():
            with pytest.raises(tt.MisuseError, match="is open already"):
                async with db.open():
                    pass
            with pytest.raises(tt.MisuseError, match="prepare it before"):
                db.prepare(numbers)


async def test_pg_3_new_connections_are_configured(url: str) -> None:
    def configure(connection: Any) -> None:
        connection.row_factory = dict_row

    async with Postgres(url, configure=configure).open() as db:
        row = await db.transact(lambda connection: connection.execute("SELECT 1 AS a").fetchone())
        assert row == {"a": 1}
