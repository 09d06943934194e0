"""The moment of the stop, and the deadline after it, over real sockets; time alone is virtual."""

from __future__ import annotations

import gc
import os
import threading
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.e2e._net import serving, tls_over
from tests.wire import request, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from tests.e2e._net import Net
    from tests.wire import Peer

BIG = b"x" * 8 * 1024 * 1024


async def echo(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.read() or "hello")


async def begin(net: Net, *args: str, **kwargs: str) -> Peer:
    """Return a client whose request is as far as it can get."""
    client = await net.connect()
    await client.send(request(*args, **kwargs))  # type: ignore[arg-type]  # str is what tests give
    await settled()
    return client


async def goes_on(client: Peer) -> bool:
    """Whether the server says nothing, as yet, on this connection."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def give_up() -> None:
                await settled()
                scope.cancel()

            client.leftover = await client.receive()
    return scope.cancelled_caught


# Connections at rest


@pytest.mark.parametrize("is_fresh", [True, False])
@pytest.mark.parametrize("tls", [False, True])
async def test_cn_1_and_2_the_grace_divides_the_silent(
    is_fresh: bool, tls: bool, mock_clock: MockClock
) -> None:
    async with serving(echo, tls=tls) as net:

        async def connect() -> Peer:
            client = await (net.connect_tls() if tls else net.connect())
            if isinstance(client.stream, trio.SSLStream):
                await client.stream.do_handshake()
            if not is_fresh:
                assert not (await client.get()).closes
            await settled()
            return client

        old = await connect()
        mock_clock.jump(0.5)
        silent, late = await connect(), await connect()
        net.handle.shut_down()
        # At once: no time passes.
        assert await old.ends()
        assert await goes_on(silent)
        mock_clock.jump(0.4)
        assert await goes_on(silent)
        response = await late.get()
        assert (response.body, response.closes) == (b"hello", True)
        assert await late.ends()
        await late.stream.aclose()
        mock_clock.jump(0.1)
        assert await silent.ends()
        assert (await net.handle).is_clean


# Requests on their way


async def test_cn_3_a_head_that_does_not_come_is_a_408(mock_clock: MockClock) -> None:
    async with serving(echo, head_timeout=10) as net:
        client = await net.connect()
        await client.send(request()[:9])
        await settled()
        net.handle.shut_down()
        mock_clock.jump(9)
        assert await goes_on(client)
        mock_clock.jump(1)
        response = await client.response()
        assert (response.status, response.closes) == (408, True)


async def test_cn_4_an_upload_that_does_not_come_is_a_408(mock_clock: MockClock) -> None:
    async with serving(echo, body_timeout=30, timeout=60) as net:
        client = await net.connect()
        await client.send(request(method="PUT", body=BIG)[:-9])
        # Of a large upload the loop takes one piece after the other.
        await settled()
        net.handle.shut_down()
        mock_clock.jump(29)
        assert await goes_on(client)
        mock_clock.jump(1)
        response = await client.response()
        assert (response.status, response.closes) == (408, True)


# Responses on their way


@pytest.mark.parametrize("then", ["asks again", "is silent"])
async def test_cn_6_a_stream_that_began_before_the_stop(then: str, mock_clock: MockClock) -> None:
    go = trio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"before "
        await go.wait()
        yield b"after"

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(pieces() if conn.path == "/stream" else "again")

    async with serving(handler) as net:
        client = await begin(net, "/stream")
        net.handle.shut_down()
        await settled()
        mock_clock.jump(15)
        go.set()
        response = await client.response()
        assert (response.body, response.is_whole) == (b"before after", True)
        # Its head had promised another request.
        assert not response.closes
        assert await goes_on(client)
        if then == "asks again":
            mock_clock.jump(0.4)
            response = await client.get()
            assert (response.body, response.closes) == (b"again", True)
        else:
            mock_clock.jump(0.5)
        assert await client.ends()
        await client.stream.aclose()
        assert (await net.handle).is_clean


@pytest.mark.parametrize("first", ["write_timeout", "drain_timeout"])
async def test_cn_10_a_reader_that_stopped_is_waited_for_within_bounds(
    first: str, mock_clock: MockClock
) -> None:
    bounds = {"write_timeout": 30.0, "drain_timeout": 20.0} | {first: 5.0}
    write_timeout, drain_timeout = bounds.values()
    async with serving(
        BIG, write_timeout=write_timeout, timeout=drain_timeout, linger_timeout=0
    ) as net:
        client = await begin(net)
        net.handle.shut_down()
        await settled()
        mock_clock.jump(4.9)
        await settled()
        assert net.handle.is_running
        mock_clock.jump(0.1)
        report = await net.handle
        # Whoever does not read for so long has left; at the deadline it is a straggler.
        assert report.is_clean == (first == "write_timeout")
        response = await client.response()
        assert (response.status, response.is_whole) == (200, False)


async def test_cn_12_a_thread_at_the_deadline_is_abandoned_and_named(mock_clock: MockClock) -> None:
    begun, go, ended = (threading.Event() for _ in range(3))

    def work(conn: tt.Conn) -> tt.Conn:
        begun.set()
        go.wait()
        ended.set()
        return conn.ok("too late")

    async with serving(tt.sync_handler(work), timeout=3) as net:
        client = await begin(net, "/stuck")
        await trio.to_thread.run_sync(begun.wait)
        net.handle.shut_down()
        await settled()
        mock_clock.jump(3)
        response = await client.response()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        await client.stream.aclose()
        report = await net.handle
        assert not ended.is_set()
        go.set()
        await trio.to_thread.run_sync(ended.wait)
    [entry] = report.cancelled
    assert entry.labels == ("GET /stuck",)
    assert entry.where is not None
    assert entry.where.endswith("in work")
    assert "worker thread" in str(entry)


# TLS


@pytest.mark.parametrize("then", ["asks", "is silent", "never begins it"])
async def test_cn_11_a_client_that_has_just_connected(then: str, mock_clock: MockClock) -> None:
    async with serving(echo, tls=True, timeout=60, handshake_timeout=10) as net:
        client = await net.connect_tls()
        assert isinstance(client.stream, trio.SSLStream)
        assert net.guards == 0
        net.handle.shut_down()
        await settled()
        mock_clock.jump(0.4)
        await settled()
        assert net.handle.is_running
        if then == "never begins it":
            mock_clock.jump(0.1)
            await settled()
            with pytest.raises(trio.BrokenResourceError):
                await client.stream.do_handshake()
        else:
            await client.stream.do_handshake()
            await settled()
            if then == "asks":
                mock_clock.jump(0.4)
                response = await client.get(method="PUT")
                assert (response.body, response.closes) == (b"hello", True)
            else:
                assert await goes_on(client)
                mock_clock.jump(0.5)
            assert await client.ends()
        await client.stream.aclose()
        assert (await net.handle).is_clean


async def test_cn_11_who_waits_in_the_queue_may_shake_hands() -> None:
    async with serving(echo, tls=True) as net:
        clients = [tls_over(net.peer()) for _ in range(10)]
        net.handle.shut_down()
        for client in clients:
            response = await client.get()
            assert (response.body, response.closes) == (b"hello", True)
            await client.stream.aclose()
        assert (await net.handle).finished == 10


async def test_cn_4_and_5_and_6_over_tls(mock_clock: MockClock) -> None:
    go = trio.Event()

    async def wait(conn: tt.Conn) -> tt.Conn:
        assert conn.is_secure
        body = await conn.request_body.read()
        await go.wait()
        return conn.ok(body or BIG)

    async with serving(wait, tls=True) as net:
        uploading, running = await net.connect_tls(), await net.connect_tls()
        raw = request(method="PUT", body=b"x" * 100_000)
        await uploading.send(raw[:50_000])
        await running.send(request())
        await settled()
        assert net.guards == 2
        net.handle.shut_down()
        await settled()
        go.set()
        await uploading.send(raw[50_000:])
        for client, size in ((uploading, 100_000), (running, len(BIG))):
            response = await client.response()
            assert (len(response.body), response.closes) == (size, True)
            # Told by TLS too, so that no client takes the end for a truncation (RFC 8446, 6.1).
            assert await client.ends()
            await client.stream.aclose()
        report = await net.handle
        assert (report.is_clean, report.finished) == (True, 2)


# The deadline


@pytest.mark.parametrize("kind", ["chunked", "length", "until the end"])
@pytest.mark.parametrize("tls", [False, True])
async def test_sv_7_a_body_cut_at_the_deadline_is_seen_to_be(
    kind: str, tls: bool, mock_clock: MockClock
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 10
        await trio.sleep_forever()

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.streaming(pieces(), length=20 if kind == "length" else None))

    async with serving(handler, tls=tls, timeout=5) as net:
        client = await (net.connect_tls() if tls else net.connect())
        await client.send(request(version="1.0" if kind == "until the end" else "1.1"))
        await settled()
        net.handle.shut_down()
        await settled()
        mock_clock.jump(5)
        if kind == "until the end":
            # Nothing in it says how long it is, so only a reset tells; also under TLS, whose
            # clients forgive an end without close_notify (RFC 9112, 9.8).
            with pytest.raises(trio.BrokenResourceError) as caught:
                while await client.stream.receive_some():
                    pass
            assert isinstance(root_of(caught.value), ConnectionResetError)
        else:
            response = await client.response()
            assert (response.body, response.is_whole) == (b"x" * 10, False)
        report = await net.handle
        assert report.cancelled.guard_count == 1


def root_of(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


# All of it


@pytest.mark.parametrize("tls", [False, True])
async def test_sv_6_busy_clients_lose_nothing(tls: bool, mock_clock: MockClock) -> None:
    """Each of them learns of the stop from a response, and from nothing else."""
    answered = 0

    async def ask(net: Net) -> None:
        nonlocal answered
        client = await (net.connect_tls() if tls else net.connect())
        closes = False
        while not closes:
            response = await client.get()
            assert (response.status, response.is_whole) == (200, True)
            answered += 1
            closes = response.closes
            if answered == 300:
                net.handle.shut_down()
        assert await client.ends()
        await client.stream.aclose()

    async with serving(echo, tls=tls) as net:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask, net)
        assert (await net.handle).is_clean


async def test_cn_14_after_a_stop_in_every_state_nothing_is_left(mock_clock: MockClock) -> None:
    thread_may_end = threading.Event()

    def in_thread(conn: tt.Conn) -> tt.Conn:
        thread_may_end.wait()
        return conn

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"
        await trio.sleep_forever()

    async def asleep(*args: object) -> None:
        await trio.sleep_forever()

    async def handler(conn: tt.Conn) -> tt.Conn:
        match conn.path:
            case "/read":
                await conn.request_body.read()
            case "/sleep":
                await trio.sleep_forever()
            case "/stream":
                conn.ok(pieces())
            case "/big":
                conn.ok(BIG)
            case "/after":
                conn.after_send(asleep)
            case "/background":
                conn.start_soon(asleep)
            case "/thread":
                return await tt.sync_handler(in_thread).run(conn)
        return conn

    gc.collect()
    descriptors = sorted(os.listdir("/dev/fd"))
    tasks = trio.lowlevel.current_statistics().tasks_living
    sent = [
        b"",
        request("/idle"),
        request("/half")[:9],
        request("/read", method="PUT", body=b"x" * 9)[:-1],
        *(request(f"/{what}") for what in ("sleep", "stream", "big", "after", "background")),
        request("/sleep") + request("/pipelined"),
        request("/thread"),
    ]
    async with serving(handler, timeout=5, grace=60) as net:
        for each in sent:
            client = await net.connect()
            await client.send(each)
        await settled()
        # All but the first two, and that which is behind another.
        assert net.guards == len(sent) - 2
        net.handle.shut_down()
        await settled()
        assert net.handle.is_running
        # The deadline; the last words, `after_send` and the linger have their own bounds.
        for seconds in (5, 1, 1, 2, 5):
            mock_clock.jump(seconds)
            await settled()
        report = await net.handle
        thread_may_end.set()
        assert (net.guards, report.cancelled.guard_count) == (0, len(sent) - 2)
    gc.collect()
    assert sorted(os.listdir("/dev/fd")) == descriptors
    assert trio.lowlevel.current_statistics().tasks_living == tasks
