"""CN-1 to CN-12 of docs/spec/connection.md: a connection at the moment of the stop, in memory.

What a connection finds in its receive buffer needs real sockets: tests/e2e/test_connection.py.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import lockstep_stream_pair

import trillium_trio as tt
from tests.wire import Peer, chunked, request, serving, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GRACE = 0.5


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello")


# CN-1, CN-2: nothing in progress


@pytest.mark.parametrize("is_fresh", [True, False])
async def test_cn_1_and_2_the_grace_is_for_one_more_request(
    is_fresh: bool, autojump_clock: object
) -> None:
    async with serving(hello) as app:
        client = app.connect()
        if not is_fresh:
            await trio.sleep(9 * GRACE)
            await client.send(request())
            assert not (await client.response()).closes
        await trio.sleep(0.25)
        app.handle.shut_down()
        await trio.sleep(0.25)
        await client.send(request(), request())
        response = await client.response()
        assert (response.body, response.closes) == (b"hello", True)
        assert await client.ends()


@pytest.mark.parametrize("is_fresh", [True, False])
async def test_cn_1_and_2_who_stays_silent_is_closed_when_the_grace_is_over(
    is_fresh: bool, autojump_clock: object
) -> None:
    async with serving(hello) as app:
        client = app.connect()
        if not is_fresh:
            await client.get()
        await trio.sleep(0.25)
        stop = trio.current_time()
        app.handle.shut_down()
        assert await client.ends()
        assert trio.current_time() - stop == GRACE
        await app.handle


@pytest.mark.parametrize("sent", [b"", b"\r\n", request()])
async def test_cn_2_who_is_idle_for_longer_is_closed_at_once(
    sent: bytes, autojump_clock: object
) -> None:
    async with serving(hello) as app:
        client = app.connect()
        await client.send(sent)
        if len(sent) > 2:
            await client.response()
        await trio.sleep(GRACE)
        stop = trio.current_time()
        app.handle.shut_down()
        assert await client.ends()
        await app.handle
        assert trio.current_time() == stop


async def test_sv_6_idle_connections_are_closed_one_after_the_other(autojump_clock: object) -> None:
    ends: list[float] = []

    async def wait_for_end(client: Peer) -> None:
        assert await client.ends()
        ends.append(trio.current_time())

    async with (
        serving(hello, tt.config().with_drain_spread(10)) as app,
        trio.open_nursery() as idle,
    ):
        clients = [app.connect() for _ in range(10)]
        for client in clients[:-1]:
            await client.get()
            idle.start_soon(wait_for_end, client)
        asking = clients[-1]
        await trio.sleep(GRACE)
        stop = trio.current_time()
        app.handle.shut_down()
        await trio.sleep(0.5)
        # Nobody was notified so far, and a request is still served.
        assert ends == []
        assert (await asking.get()).closes
        report = await app.handle
    seconds = [round(end - stop, 3) for end in ends]
    assert len(seconds) == len(clients) - 1
    # One a second; in one of them it was the turn of who had gone.
    assert {*seconds} < {*range(1, 11)}
    assert report.is_clean


async def test_cn_1_the_drain_delay_is_no_stop(autojump_clock: object) -> None:
    async with serving(hello, tt.config().with_drain_delay(5)) as app:
        client = app.connect()
        stop = trio.current_time()
        app.handle.shut_down()
        await trio.sleep(4)
        late = app.connect()
        assert (await late.get()).closes
        assert await client.ends()
        assert trio.current_time() - stop == 5


# CN-3, CN-4: a request on its way


async def test_cn_3_a_head_may_finish(autojump_clock: object) -> None:
    async with serving(hello) as app:
        client = app.connect()
        await client.send(request()[:9])
        await settled()
        assert app.guards == 1
        app.handle.shut_down()
        await trio.sleep(9)
        await client.send(request()[9:])
        response = await client.response()
        assert (response.status, response.closes) == (200, True)


async def test_cn_3_but_only_within_the_head_timeout(autojump_clock: object) -> None:
    async with serving(hello) as app:
        client = app.connect()
        start = trio.current_time()
        await client.send(b"G")
        await trio.sleep(1)
        app.handle.shut_down()
        assert (await client.response()).status == 408
        assert trio.current_time() - start == 10


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_cn_4_a_body_may_finish(is_chunked: bool, autojump_clock: object) -> None:
    async def echo(conn: tt.Conn) -> tt.Conn:
        return conn.ok(await conn.request_body.read())

    async with serving(echo) as app:
        client = app.connect()
        body = b"0123456789" * 50
        raw = (
            request("/", "Transfer-Encoding: chunked", method="PUT", body=chunked(body))
            if is_chunked
            else request(method="PUT", body=body)
        )
        await client.send(raw[:-250])
        await settled()
        app.handle.shut_down()
        for at in range(250, 0, -50):
            await trio.sleep(3)
            await client.send(raw[-at:][:50])
        response = await client.response()
        assert (response.body, response.closes) == (body, True)


# CN-5 to CN-8: a response on its way


async def test_cn_5_a_handler_runs_on(autojump_clock: object) -> None:
    async def slow(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(20)
        return conn.ok("done" if conn.swansong.is_running else "done late")

    async with serving(slow) as app:
        client = app.connect()
        await client.send(request())
        await settled()
        app.handle.shut_down()
        response = await client.response()
        assert (response.body, response.closes) == (b"done late", True)
        assert (await app.handle).is_clean


@pytest.mark.parametrize("on_notice", [False, True])
async def test_cn_6_a_stream_runs_to_its_end(on_notice: bool, autojump_clock: object) -> None:
    async def ticks(conn: tt.Conn) -> AsyncIterator[bytes]:
        for n in range(5):
            yield b"%d" % n
            with conn.swansong.interrupt() if on_notice else trio.CancelScope() as scope:
                await trio.sleep(1)
            if scope.cancelled_caught:
                yield b"bye"
                return

    async def stream(conn: tt.Conn) -> tt.Conn:
        return conn.ok(ticks(conn))

    async with serving(stream) as app:
        client = app.connect()
        await client.send(request())
        await trio.sleep(1.5)
        stop = trio.current_time()
        app.handle.shut_down()
        response = await client.response()
        assert response.body == (b"01bye" if on_notice else b"01234")
        assert response.is_whole
        # Its head had promised another request.
        assert not response.closes
        await client.send(request())
        assert (await client.response()).closes
        assert await client.ends()
        assert trio.current_time() - stop == (0 if on_notice else 3.5 + 5)


async def test_cn_7_a_pipelined_request_does_not_hang(autojump_clock: object) -> None:
    go = trio.Event()
    seen: list[str] = []

    async def wait(conn: tt.Conn) -> tt.Conn:
        seen.append(conn.path)
        await go.wait()
        return conn.ok(conn.path)

    async with serving(wait) as app:
        client = app.connect()
        await client.send(request("/1"), request("/2"), request("/3"))
        await settled()
        app.handle.shut_down()
        go.set()
        response = await client.response()
        assert (response.body, response.closes) == (b"/1", True)
        assert await client.ends()
        assert seen == ["/1"]


async def test_cn_8_what_comes_after_is_awaited(autojump_clock: object) -> None:
    done: list[tuple[str, float]] = []

    async def later(conn: tt.Conn) -> None:
        await trio.sleep(5)
        done.append(("after_send", trio.current_time() - start))

    async def background(seconds: float) -> None:
        await trio.sleep(seconds)
        done.append(("background", trio.current_time() - start))

    async def handler(conn: tt.Conn) -> tt.Conn:
        conn.start_soon(background, 8)
        return conn.after_send(later).ok("sent")

    async with serving(handler) as app:
        client = app.connect()
        start = trio.current_time()
        assert (await client.get()).body == b"sent"
        await settled()
        assert app.guards == 2
        app.handle.shut_down()
        report = await app.handle
        assert done == [("after_send", 5), ("background", 8)]
        assert report.is_clean


# CN-10, CN-12: what does not move


@pytest.mark.parametrize(("write_timeout", "drain_timeout", "ends"), [(3, 30, 3), (30, 4, 5)])
async def test_cn_10_a_reader_that_stopped_is_waited_for_within_bounds(
    write_timeout: float, drain_timeout: float, ends: float, autojump_clock: object
) -> None:
    config = tt.config().with_drain_timeout(drain_timeout)
    async with serving(
        "x" * 1000, config, pair=lockstep_stream_pair, write_timeout=write_timeout, linger_timeout=0
    ) as app:
        client = app.connect()
        start = trio.current_time()
        await client.send(request())
        await settled()
        assert app.guards == 1
        app.handle.shut_down()
        report = await app.handle
        # Cut, the driver takes its second at most.
        assert start + min(ends, 4) <= trio.current_time() <= start + ends
        assert report.is_clean == (ends == 3)


async def test_cn_12_a_worker_thread_is_waited_for() -> None:
    go = threading.Event()

    def work(conn: tt.Conn) -> tt.Conn:
        go.wait(10)
        return conn.ok("worked")

    async with serving(tt.sync_handler(work)) as app:
        client = app.connect()
        await client.send(request())
        await settled()
        app.handle.shut_down()
        await settled()
        go.set()
        response = await client.response()
        assert (response.body, response.closes) == (b"worked", True)


async def test_cn_12_until_the_deadline_then_it_is_abandoned() -> None:
    go = threading.Event()
    ended = threading.Event()

    def work(conn: tt.Conn) -> tt.Conn:
        go.wait(10)
        ended.set()
        return conn

    async with serving(tt.sync_handler(work)) as app:
        client = app.connect()
        await client.send(request("/stuck"))
        await settled()
        app.handle.cancel("enough")
        assert (await client.response()).status == 503
        report = await app.handle
        assert not report.is_clean
        assert "/stuck" in str(report.cancelled)
        assert not ended.is_set()
        go.set()
        # Its thread must not outlive the test.
        await trio.to_thread.run_sync(partial(ended.wait, 10))
