"""The clauses of docs/spec/limits.md."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

import trillium_trio as tt
from tests.wire import settled
from trillium_trio.conn import Handler
from trillium_trio.exceptions import ConfigError
from trillium_trio.handlers import Concurrency, Head, LoadShed, RateLimit, Timeout, sync_handler
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trillium_trio.testing import TestResponse


async def statuses(app: TestServer, count: int, **options: Any) -> list[int]:
    return [(await app.get("/", **options)).status for _ in range(count)]


async def test_lm_1_a_client_that_asks_too_often_is_answered_429(
    autojump_clock: MockClock,
) -> None:
    async with TestServer((RateLimit(3, per=6), "ok")) as app:
        assert await statuses(app, 4) == [200, 200, 200, 429]
        response = await app.get("/")
        response.assert_status(429).assert_header("retry-after", "2")
        await trio.sleep(1.99)
        assert await statuses(app, 1) == [429]
        await trio.sleep(0.02)
        assert await statuses(app, 2) == [200, 429]
        await trio.sleep(6)
        assert await statuses(app, 4) == [200, 200, 200, 429]


def test_lm_1_it_begins_anew_in_another_run_of_trio() -> None:
    limit = RateLimit(1, per=10)

    async def ask() -> None:
        async with TestServer((limit, "ok")) as app:
            assert await statuses(app, 2) == [200, 429]

    for start in (1e9, 1e6):  # their clocks have nothing to do with one another
        clock = MockClock()
        clock.jump(start)
        trio.run(ask, clock=clock)


async def test_lm_1_clients_are_counted_by_key(autojump_clock: MockClock) -> None:
    def key(conn: tt.Conn) -> object:
        return conn.request_headers.get("x-key")

    async with TestServer((RateLimit(1, per=10, key=key), "ok")) as app:
        assert await statuses(app, 2, headers={"x-key": "a"}) == [200, 429]
        assert await statuses(app, 2, headers={"x-key": "b"}) == [200, 429]
        assert await statuses(app, 3) == [200, 200, 200]


async def test_lm_2_its_memory_is_bounded(autojump_clock: MockClock) -> None:
    def key(conn: tt.Conn) -> object:
        return conn.path

    async with TestServer((RateLimit(1, per=10, key=key, max_keys=2), "ok")) as app:
        seen = [(await app.get(path)).status for path in ("/a", "/b", "/a", "/b")]
        assert seen == [200, 200, 429, 429]
        # /c displaces /a.
        seen = [(await app.get(path)).status for path in ("/c", "/b", "/c", "/a")]
        assert seen == [200, 429, 429, 200]


@pytest.mark.parametrize(
    "make",
    [
        lambda: RateLimit(0),
        lambda: RateLimit(1, per=0),
        lambda: RateLimit(1, max_keys=0),
        lambda: Concurrency(0),
        lambda: Concurrency(1, max_waiting=-1),
        lambda: Concurrency(1, max_wait=-1),
        lambda: LoadShed(max_lag=0),
        lambda: LoadShed(interval=0),
        lambda: Timeout("x", seconds=-1),
    ],
)
def test_lm_1_a_wrong_setting_is_a_config_error(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()


class Gate:
    """A handler whose requests wait until they are let go."""

    def __init__(self) -> None:
        self.open = trio.Event()
        self.entered: list[str] = []

    async def __call__(self, conn: tt.Conn) -> tt.Conn:
        self.entered.append(conn.path)
        await self.open.wait()
        return conn.ok("done")


async def ask(app: TestServer, path: str, into: list[TestResponse]) -> None:
    into.append(await app.get(path))


async def test_lm_3_so_many_requests_at_once(autojump_clock: MockClock) -> None:
    limit, gate, answers = Concurrency(2), Gate(), list[Any]()
    async with TestServer((limit, gate)) as app, trio.open_nursery() as nursery:
        for path in ("/1", "/2"):
            nursery.start_soon(ask, app, path, answers)
            await settled()
        assert (limit.active, limit.waiting) == (2, 0)
        response = await app.get("/3")
        response.assert_status(503).assert_header("retry-after", "1")
        gate.open.set()
        await settled()
        assert limit.active == 0
        (await app.get("/4")).assert_ok()
    assert [each.status for each in answers] == [200, 200]
    assert gate.entered == ["/1", "/2", "/4"]


async def test_lm_3_a_stream_is_in_to_its_last_byte(autojump_clock: MockClock) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await go.wait()
        yield b"last"

    async def stream(conn: tt.Conn) -> tt.Conn:
        return conn.ok(pieces())

    limit, go = Concurrency(1), trio.Event()
    async with TestServer((limit, stream)) as app:
        peer = app.connect()
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await settled()
        assert b"first" in await peer.receive_some()
        assert limit.active == 1
        (await app.get("/")).assert_status(503)
        go.set()
        await settled()
        assert b"last" in await peer.receive_some()
        assert limit.active == 0


async def fails(conn: tt.Conn) -> tt.Conn:
    raise RuntimeError("on purpose")


async def test_lm_3_one_that_raises_is_out(caplog: pytest.LogCaptureFixture) -> None:
    limit = Concurrency(1)
    async with TestServer((limit, fails)) as app:
        assert await statuses(app, 3) == [500, 500, 500]
        assert limit.active == 0


async def test_lm_3_one_that_is_cut_is_out(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    limit, gate, answers = Concurrency(1, max_waiting=1, max_wait=60), Gate(), list[Any]()
    async with trio.open_nursery() as nursery, TestServer((limit, gate)) as app:
        for path in ("/in", "/waits"):
            nursery.start_soon(ask, app, path, answers)
            await settled()
        assert (limit.active, limit.waiting) == (1, 1)
        await app.shut_down(timeout=1)
        await settled()
        assert (limit.active, limit.waiting) == (0, 0)
    assert [each.status for each in answers] == [503, 503]
    assert gate.entered == ["/in"]


async def test_lm_4_the_others_wait_in_line(autojump_clock: MockClock) -> None:
    limit, gate, answers = Concurrency(1, max_waiting=2), Gate(), list[Any]()
    async with TestServer((limit, gate)) as app, trio.open_nursery() as nursery:
        for path in ("/1", "/2", "/3"):
            nursery.start_soon(ask, app, path, answers)
            await settled()
        assert (limit.active, limit.waiting) == (1, 2)
        (await app.get("/full")).assert_status(503)
        gate.open.set()
        await settled()
    assert [each.status for each in answers] == [200, 200, 200]
    assert gate.entered == ["/1", "/2", "/3"]


async def test_lm_4_a_wait_that_is_too_long_is_a_503(autojump_clock: MockClock) -> None:
    limit, gate, answers = Concurrency(1, max_waiting=1, max_wait=2), Gate(), list[Any]()
    async with TestServer((limit, gate)) as app, trio.open_nursery() as nursery:
        nursery.start_soon(ask, app, "/1", answers)
        await settled()
        start = trio.current_time()
        (await app.get("/2")).assert_status(503)
        assert trio.current_time() - start == pytest.approx(2)
        assert limit.waiting == 0
        gate.open.set()
        await settled()
        (await app.get("/3")).assert_ok()


async def test_lm_4_a_client_that_disconnects_leaves_the_line(autojump_clock: MockClock) -> None:
    limit, gate, answers = Concurrency(1, max_waiting=1, max_wait=60), Gate(), list[Any]()
    async with TestServer((limit, gate)) as app, trio.open_nursery() as nursery:
        nursery.start_soon(ask, app, "/1", answers)
        await settled()
        peer = app.connect()
        await peer.send(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        await settled()
        assert limit.waiting == 1
        peer.reset()
        await settled()
        assert limit.waiting == 0
        gate.open.set()
        await settled()
        assert limit.active == 0
    assert gate.entered == ["/1"]


async def test_lm_5_a_late_event_loop_sheds_load(mock_clock: MockClock) -> None:
    shed = LoadShed(max_lag=0.25, interval=0.05)
    async with TestServer((shed, "ok")) as app:
        await settled()
        mock_clock.jump(0.05 + 0.25)
        await settled()
        assert shed.lag == pytest.approx(0.25)
        (await app.get("/")).assert_ok()
        mock_clock.jump(0.05 + 0.26)
        await settled()
        (await app.get("/")).assert_status(503).assert_header("retry-after", "1")
        mock_clock.jump(0.05)
        await settled()
        (await app.get("/")).assert_ok()


async def test_lm_6_a_handler_that_takes_too_long_is_cancelled(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cancelled = []

    async def slow(conn: tt.Conn) -> tt.Conn:
        try:
            await trio.sleep(float(conn.querystring))
        except trio.Cancelled:
            cancelled.append(conn.querystring)
            raise
        return conn.ok("in time")

    async with TestServer(Timeout(slow, seconds=2, status=504)) as app:
        (await app.get("/?1.9")).assert_ok().assert_body("in time")
        start = trio.current_time()
        (await app.get("/?9")).assert_status(504)
        assert trio.current_time() - start == pytest.approx(2)
    assert cancelled == ["9"]
    assert "slow has not answered in 2 s" in caplog.text


async def test_lm_6_the_hooks_are_those_of_the_handler() -> None:
    seen = []

    class Whole(Handler):
        async def init(self, info: tt.Info) -> None:
            seen.append("init")

        async def run(self, conn: tt.Conn) -> tt.Conn:
            return conn.ok("ok")

        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            return conn.with_response_header("x-whole", "1")

    async with TestServer(Timeout((Head(), Whole()), seconds=2)) as app:
        (await app.get("/")).assert_header("x-whole", "1")
        (await app.request("HEAD", "/")).assert_ok()
    assert seen == ["init"]


async def test_lm_6_what_the_handler_raises_passes(caplog: pytest.LogCaptureFixture) -> None:
    async def refuses(conn: tt.Conn) -> tt.Conn:
        raise tt.HttpError(409)

    async with TestServer(Timeout(refuses, seconds=2)) as app:
        (await app.get("/")).assert_status(409)


def test_lm_6_a_hook_that_the_handler_lacks_costs_nothing() -> None:
    assert not Timeout("x", seconds=1).overrides("before_send")
    assert Timeout(sync_handler(lambda conn: conn), seconds=1).overrides("run")
