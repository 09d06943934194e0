"""The CN clauses over real sockets: buffers, resets and hang-ups that memory does not have."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.e2e._net import peer_of, reset, serving
from tests.wire import Peer, chunked, request, settled

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trio.testing import MockClock

BIG = b"x" * 8 * 1024 * 1024


async def echo(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.read() or "hello")


# At the stop


@pytest.mark.parametrize("is_fresh", [True, False])
@pytest.mark.parametrize("grace", [0, 0.5])
async def test_cn_1_and_2_what_can_be_read_is_answered(grace: float, is_fresh: bool) -> None:
    async with serving(echo, grace=grace) as net:
        sock = net.open()
        await settled()
        if not is_fresh:
            sock.sendall(request())
            await settled()
            sock.recv(10_000)
        # In one turn of the loop: the connection learns of both together.
        sock.sendall(request("/last"))
        net.handle.shut_down()
        client = peer_of(sock)
        response = await client.response()
        assert (response.body, response.closes) == (b"hello", True)
        assert await client.ends()


@pytest.mark.parametrize("is_fresh", [True, False])
@pytest.mark.parametrize("grace", [0, 0.2])
async def test_cn_1_and_2_who_is_silent_is_closed(grace: float, is_fresh: bool) -> None:
    async with serving(echo, grace=grace) as net:
        client = await net.connect()
        if not is_fresh:
            await client.get()
        await settled()
        net.handle.shut_down()
        assert await client.ends()
        assert (await net.handle).is_clean


@pytest.mark.parametrize("is_upload", [False, True])
async def test_cn_3_and_4_what_has_begun_may_finish(is_upload: bool) -> None:
    async with serving(echo, grace=0) as net:
        client = await net.connect()
        raw = request(method="PUT", body=BIG) if is_upload else request()
        half = len(raw) // 2 if is_upload else 9
        await client.send(raw[:half])
        await settled()
        net.handle.shut_down()
        await settled()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, raw[half:])
            response = await client.response()
        assert len(response.body) == (len(BIG) if is_upload else 5)
        assert response.closes


@pytest.mark.parametrize("kind", ["task", "thread"])
async def test_cn_5_and_12_a_handler_runs_on(kind: str) -> None:
    go, go_thread = trio.Event(), threading.Event()

    async def in_task(conn: tt.Conn) -> tt.Conn:
        await go.wait()
        return conn.ok("done")

    def in_thread(conn: tt.Conn) -> tt.Conn:
        go_thread.wait(10)
        return conn.ok("done")

    async with serving(in_task if kind == "task" else tt.sync_handler(in_thread)) as net:
        client = await net.connect()
        await client.send(request())
        await settled()
        net.handle.shut_down()
        await settled()
        go.set()
        go_thread.set()
        response = await client.response()
        assert (response.body, response.closes) == (b"done", True)


async def test_cn_6_a_download_runs_to_its_end() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 65_536

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(pieces() if conn.path == "/pieces" else BIG)

    async with serving(handler, grace=0) as net:
        clients = [await net.connect() for _ in range(2)]
        for client, path in zip(clients, ("/pieces", "/"), strict=True):
            await client.send(request(path, "Connection: close"))
        await settled()
        net.handle.shut_down()
        sizes = [len((await client.response()).body) for client in clients]
        assert sizes == [64 * 65_536, len(BIG)]


async def test_cn_7_pipelined_requests_do_not_hang() -> None:
    go = trio.Event()

    async def wait(conn: tt.Conn) -> tt.Conn:
        await go.wait()
        return conn.ok(conn.path)

    async with serving(wait) as net:
        client = await net.connect()
        await client.send(*(request(f"/{n}") for n in range(1000)))
        await settled()
        net.handle.shut_down()
        await settled()
        go.set()
        response = await client.response()
        assert (response.body, response.closes) == (b"/0", True)
        assert await client.ends()


@pytest.mark.parametrize("kind", ["after_send", "background"])
async def test_cn_8_what_comes_after_is_awaited(kind: str) -> None:
    go = trio.Event()
    done: list[str] = []

    async def later(*args: object) -> None:
        await go.wait()
        done.append(kind)

    async def handler(conn: tt.Conn) -> tt.Conn:
        if kind == "after_send":
            conn.after_send(later)
        else:
            conn.start_soon(later)
        return conn.ok("sent")

    async with serving(handler, grace=0) as net:
        client = await net.connect()
        assert (await client.get()).body == b"sent"
        # Gone before it begins.
        await reset(client)
        net.handle.shut_down()
        await settled()
        assert net.handle.swansong.guard_count == 1
        go.set()
        assert (await net.handle).is_clean
        assert done == [kind]


async def test_cn_10_a_reader_that_stopped_is_cut() -> None:
    async with serving(BIG, write_timeout=0.3, linger_timeout=0.1) as net:
        client = await net.connect()
        await client.send(request())
        await settled()
        assert net.handle.swansong.guard_count == 1
        net.handle.shut_down()
        assert (await net.handle).is_clean
        response = await client.response()
        assert (response.status, response.is_whole) == (200, False)


# The close


async def test_cn_13_a_refusal_survives_the_upload_that_it_refuses() -> None:
    async with serving(echo, max_body_bytes=10) as net:
        for _ in range(5):
            client = await net.connect()
            sent = trio.Event()

            async def upload(client: Peer = client, sent: trio.Event = sent) -> None:
                await client.send(request(method="PUT", body=BIG))
                sent.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(upload)
                # A client that reads only when it has sent everything.
                await sent.wait()
                assert (await client.response()).status == 413


@pytest.mark.parametrize("tls", [False, True])
async def test_cn_13_one_that_stops_reading_is_reset(tls: bool) -> None:
    seen: list[str] = []

    async def after(conn: tt.Conn) -> None:
        seen.append("after")

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.after_send(after).ok(BIG)

    async with serving(handler, tls=tls, write_timeout=0.2, linger_timeout=60) as net:
        client = await (net.connect_tls() if tls else net.connect())
        await client.send(request())
        if tls:
            await client.receive()  # the handshake
        while net.handle.connections.open:
            await trio.sleep(0.05)
        assert seen == ["after"]
        stream = client.stream
        if isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        # What it had received is there; what was still to come has gone with the reset.
        with pytest.raises(trio.BrokenResourceError) as caught:
            while await stream.receive_some():
                pass
        assert isinstance(caught.value.__cause__, ConnectionResetError)


@pytest.mark.parametrize("how", ["cut", "stalled"])
async def test_cn_13_a_body_that_ends_with_the_connection_is_cut_by_a_reset(how: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"
        if how == "cut":
            await trio.sleep_forever()
        while True:
            yield b"x" * 65_536

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(pieces())

    async with serving(handler, write_timeout=0.3) as net:
        client = await net.connect()
        await client.send(request(version="1.0"))
        await settled()
        if how == "cut":
            net.handle.cancel("now")
        else:
            while net.handle.swansong.guard_count:
                await trio.sleep(0.05)
        with pytest.raises(trio.BrokenResourceError) as caught:
            while await client.stream.receive_some():
                pass
        assert isinstance(caught.value.__cause__, ConnectionResetError)


# Clients that leave


async def hang_up(client: Peer) -> None:
    await client.stream.aclose()


@pytest.mark.parametrize("leave", [reset, hang_up])
async def test_cn_22_a_client_that_is_gone_is_noticed(
    leave: Callable[[Peer], Awaitable[None]],
) -> None:
    seen: list[object] = []
    done = trio.Event()

    async def handler(conn: tt.Conn) -> tt.Conn:
        assert not await conn.is_disconnected(eof=True)
        async with conn.cancel_on_disconnect(eof=leave is hang_up) as scope:
            await trio.sleep_forever()
        seen.extend([scope.cancelled_caught, await conn.is_disconnected(eof=True)])
        seen.append(await conn.is_disconnected())
        done.set()
        return conn.ok(b"x" * 1000)

    async with serving(handler) as net:
        client = await net.connect()
        await client.send(request())
        await settled()
        await leave(client)
        await done.wait()
        # The end of the input may be a half-close; a reset cannot.
        assert seen == [True, True, leave is reset]


async def test_cn_22_looking_finds_a_reset() -> None:
    gone = trio.Event()
    seen: list[bool] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        seen.append(await conn.is_disconnected())
        await gone.wait()
        seen.append(await conn.is_disconnected())
        gone_again.set()
        return conn

    gone_again = trio.Event()
    async with serving(handler) as net:
        client = await net.connect()
        await client.send(request(), b"GET /pipelined")
        await settled()
        await reset(client)
        await settled()
        gone.set()
        await gone_again.wait()
        assert seen == [False, True]


async def test_cn_22_looking_does_not_take_bytes_from_a_reader() -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        async def look() -> None:
            while True:
                assert not await conn.is_disconnected()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            conn.ok(await conn.request_body.read())
            nursery.cancel_scope.cancel()
        return conn

    async with serving(handler) as net:
        client = await net.connect()
        raw = request(method="PUT", body=b"hello")
        for at in range(0, len(raw), 8):
            await client.send(raw[at : at + 8])
            await trio.sleep(0.01)
        assert (await client.response()).body == b"hello"


# Fairness


@pytest.mark.parametrize("what", ["answers", "sends", "bytes", "receives", "chunks"])
async def test_cn_23_others_have_their_turn(what: str) -> None:
    """What a connection does, noted by the turn of the loop in which it did it."""
    turn = 0
    steps: list[int] = []
    is_over = False

    async def count() -> None:
        nonlocal turn
        while not is_over:
            turn += 1
            await trio.lowlevel.checkpoint()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(160 if what == "sends" else 8):
            steps.append(turn)
            yield b"x" if what == "sends" else b"x" * 128 * 1024

    async def handler(conn: tt.Conn) -> tt.Conn:
        if what == "chunks":
            async for piece in conn.request_body:
                steps.extend([turn] * len(piece))
        elif what == "receives":
            async for _ in conn.request_body:
                steps.append(turn)
        elif what == "answers":
            steps.append(turn)
        return conn.ok(pieces() if what in ("sends", "bytes") else b"")

    # A request whose body was read ahead piece by piece costs a receive each.
    sent = request(method="PUT", body=b"x") if what == "receives" else request()
    if what == "chunks":
        body = chunked(*[b"x"] * 200)
        sent = request("/", "Transfer-Encoding: chunked", method="PUT", body=body)
    count_of = 160 if what in ("answers", "receives", "chunks") else 1
    async with serving(handler) as net, trio.open_nursery() as nursery:
        nursery.start_soon(count)
        client = net.peer()
        await client.send(sent * count_of)
        for _ in range(count_of):
            await client.response()
        is_over = True
    most = max(steps.count(each) for each in set(steps))
    # The connection may run twice in one turn of the counter, last in one batch of the loop and
    # first in the next. A piece is counted when it is asked for, one before it is sent.
    # Chunks of a body that has been read whole are counted when its response is sent.
    assert most <= {"bytes": 2 * 2 + 1, "chunks": 2 * (256 + 200)}.get(what, 2 * 16 + 1)


def drain(sock: socket.socket) -> int:
    """Take what has come, without waiting; return how much that was."""
    size = 0
    try:
        while data := sock.recv(1_000_000):
            size += len(data)
    except BlockingIOError:
        pass
    return size


async def test_cn_15_who_reads_while_the_loop_is_busy_is_not_cut(mock_clock: MockClock) -> None:
    body = bytes(40_000_000)

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(body)

    async with serving(handler, write_timeout=30) as net:
        sock = net.open()
        sock.setblocking(False)
        sock.send(request("/", "Connection: close"))
        await settled()
        size = 0
        # As after a handler that has computed for as long: when the loop goes on, there is room
        # again and the time is up, in one turn.
        while taken := drain(sock):
            size += taken
            mock_clock.jump(31)
            await settled()
        assert size > len(body)
