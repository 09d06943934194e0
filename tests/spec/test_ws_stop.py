"""WS-5 to WS-8, WS-14: how a WebSocket ends."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from math import inf
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trillium_trio as tt
from tests.spec._websockets import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    close,
    echo,
    frame,
    open_raw,
    serving,
)
from trillium_trio import ShuttingDownError, WebSocketClosed
from trillium_trio.handlers import WebSocket
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trillium_trio.handlers import WebSocketConn


# -- WS-5 --------------------------------------------------------------------------------------


async def test_ws_5_the_stop_ends_the_loop_and_sending_still_works() -> None:
    interrupted: list[bool] = []

    async def chat(ws: WebSocketConn) -> None:
        async for message in ws:
            await ws.send(message)
        interrupted.append(ws.was_interrupted)
        await ws.send("bye")

    async with serving(chat) as app, app.websocket("/chat") as ws:
        await ws.send("hello")
        assert await ws.receive() == "hello"
        completion = app.shut_down()
        assert [message async for message in ws] == ["bye"]
        assert ws.close_code == 1001
        report = await completion
    assert report.is_clean
    assert report.finished == 1
    assert interrupted == [True]


async def test_ws_5_receive_raises_and_stays_that_way() -> None:
    raised: list[str] = []

    async def fn(ws: WebSocketConn) -> None:
        for _ in range(2):
            with pytest.raises(ShuttingDownError) as caught:
                await ws.receive()
            raised.append(str(caught.value))
        assert [message async for message in ws] == []

    async with serving(fn) as app, app.websocket() as ws:
        await wait_all_tasks_blocked()
        app.shut_down()
        assert [message async for message in ws] == []
        assert ws.close_code == 1001
    assert len(raised) == 2


async def test_ws_5_what_had_been_read_is_delivered_first() -> None:
    seen: list[str | bytes] = []
    has_stopped = trio.Event()

    async def fn(ws: WebSocketConn) -> None:
        async for message in ws:
            seen.append(message)
            await has_stopped.wait()
        await ws.send("bye")

    async with serving(fn) as app:
        client = await open_raw(app)
        await client.send(*(frame(TEXT, b"%d" % each) for each in range(5)))
        await wait_all_tasks_blocked()
        app.shut_down()
        await wait_all_tasks_blocked()
        # It comes after the stop, and is not read.
        await client.send(frame(TEXT, b"late"))
        has_stopped.set()
        assert await client.receive() == (TEXT, b"bye")
        assert await client.receive_close() == (1001, "")
        client.peer.close()
    assert seen == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("code", [1001, 1012, 1013, 3000, 4999])
async def test_ws_5_the_code_can_be_chosen(code: int) -> None:
    async with serving(echo, stop_code=code) as app, app.websocket() as ws:
        await wait_all_tasks_blocked()
        app.shut_down()
        assert [message async for message in ws] == []
        assert ws.close_code == code


@pytest.mark.parametrize("code", [0, 999, 1000, 1004, 1005, 1006, 1015, 1016, 2999, 5000, "x"])
def test_ws_5_the_code_is_never_1000_nor_what_must_not_be_sent(code: int) -> None:
    with pytest.raises(tt.ConfigError, match="stop_code"):
        WebSocket(echo, stop_code=code)


async def test_ws_5_the_stop_reaches_a_reader_beside_a_sender_that_waits(
    autojump_clock: MockClock,
) -> None:
    """A wake must not hit a frame that is half sent."""
    seen: list[str] = []

    async def fn(ws: WebSocketConn) -> None:
        async def read() -> None:
            async for _ in ws:
                pass
            seen.append("ended")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await ws.send(b"x" * 100_000)
            nursery.start_soon(ws.send, b"y" * 100_000)
        await ws.send("bye")

    async with serving(fn) as app:
        client = await open_raw(app)
        app.shut_down()
        assert await client.receive() == (2, b"x" * 100_000)
        assert await client.receive() == (2, b"y" * 100_000)
        assert await client.receive() == (TEXT, b"bye")
        assert await client.receive_close() == (1001, "")
        client.peer.close()
    assert seen == ["ended"]


# -- WS-6 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("grace", [0.0, 3.0])
async def test_ws_6_receiving_ends_that_much_after_the_stop(
    grace: float, autojump_clock: MockClock
) -> None:
    times: list[float] = []

    async def fn(ws: WebSocketConn) -> None:
        async for message in ws:
            await ws.send(message)
        times.append(trio.current_time())

    async with serving(fn, stop_grace=grace) as app, app.websocket() as ws:
        await wait_all_tasks_blocked()
        app.shut_down()
        start = trio.current_time()
        if grace:
            await trio.sleep(grace / 2)
            await ws.send("still there?")
            assert await ws.receive() == "still there?"
        assert [message async for message in ws] == []
        assert ws.close_code == 1001
    assert times == [start + grace]


async def test_ws_6_with_a_spread_each_is_told_at_a_time_of_its_own(
    autojump_clock: MockClock,
) -> None:
    times: list[float] = []

    async def fn(ws: WebSocketConn) -> None:
        async for _ in ws:
            pass
        times.append(trio.current_time())

    config = tt.config().with_drain_spread(10)
    async with TestServer(WebSocket(fn, stop_grace=1), config) as app, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(app.websocket()) for _ in range(20)]
        await wait_all_tasks_blocked()
        app.shut_down()
        start = trio.current_time()
        for ws in sockets:
            assert [message async for message in ws] == []
            assert ws.close_code == 1001
    assert len(set(times)) == 20
    assert start + 1 <= min(times) < start + 6 < max(times) <= start + 11


async def test_ws_6_with_inf_it_is_the_peer_that_ends(autojump_clock: MockClock) -> None:
    async with serving(echo, stop_grace=inf) as app, app.websocket() as ws:
        await wait_all_tasks_blocked()
        completion = app.shut_down()
        await trio.sleep(4)
        await ws.send("x")
        assert await ws.receive() == "x"
        await ws.close(4321, "enough")
        assert ws.close_code == 4321
        assert (await completion).is_clean


async def test_ws_6_a_function_sets_it_for_its_own_socket(autojump_clock: MockClock) -> None:
    times: list[float] = []

    async def fn(ws: WebSocketConn) -> None:
        ws.stop_grace = 2.0
        async for _ in ws:
            pass
        times.append(trio.current_time())

    async with serving(fn) as app, app.websocket() as ws:
        await wait_all_tasks_blocked()
        app.shut_down()
        start = trio.current_time()
        assert [message async for message in ws] == []
    assert times == [start + 2]


# -- WS-7 --------------------------------------------------------------------------------------


async def test_ws_7_a_function_that_returns_closes_with_1000() -> None:
    async def fn(ws: WebSocketConn) -> None:
        await ws.send("that is all")

    async with serving(fn) as app, app.websocket() as ws:
        assert [message async for message in ws] == ["that is all"]
        assert ws.close_code == 1000


async def test_ws_7_a_function_that_raises_closes_with_1011(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fn(ws: WebSocketConn) -> None:
        raise RuntimeError(await ws.receive())

    caplog.set_level(logging.INFO)
    async with serving(fn) as app, app.websocket("/chat") as ws:
        caplog.clear()
        await ws.send("oh")
        assert [message async for message in ws] == []
        assert ws.close_code == 1011
        # Nothing of what went wrong is for the peer.
        assert ws.close_reason == ""
        await wait_all_tasks_blocked()
    [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert "GET /chat: RuntimeError: oh (in fn" in record.getMessage()
    assert record.exc_info is not None


async def test_ws_7_an_http_error_below_500_is_1008(caplog: pytest.LogCaptureFixture) -> None:
    async def fn(ws: WebSocketConn) -> None:
        await ws.send_json(await ws.receive_json())
        await ws.receive_json()

    caplog.set_level(logging.INFO)
    async with serving(fn) as app, app.websocket() as ws:
        caplog.clear()
        await ws.send('{"a": 1}')
        assert await ws.receive_json() == {"a": 1}
        await ws.send("{")
        assert [message async for message in ws] == []
        assert ws.close_code == 1008
        await wait_all_tasks_blocked()
        [record] = caplog.records
    assert record.levelno == logging.INFO
    assert record.exc_info is None


async def test_ws_7_an_http_error_from_500_is_1011() -> None:
    async def fn(ws: WebSocketConn) -> None:
        raise tt.HttpError(503)

    async with serving(fn) as app, app.websocket() as ws:
        assert [message async for message in ws] == []
        assert ws.close_code == 1011


async def test_ws_7_close_says_what_it_is_told() -> None:
    codes: list[object] = []

    async def fn(ws: WebSocketConn) -> None:
        await ws.close(4001, "bye")
        codes.extend([ws.close_code, ws.sent_close_code, ws.sent_close_reason])
        await ws.close(4002)  # does nothing
        with pytest.raises(WebSocketClosed):
            await ws.send("more")
        with pytest.raises(WebSocketClosed):
            await ws.receive()

    async with serving(fn) as app, app.websocket() as ws:
        assert [message async for message in ws] == []
        assert (ws.close_code, ws.close_reason) == (4001, "bye")
    assert codes == [4001, 4001, "bye"]


@pytest.mark.parametrize("stops", [False, True])
async def test_ws_7_the_code_of_close_depends_on_the_stop(*, stops: bool) -> None:
    async def fn(ws: WebSocketConn) -> None:
        async for _ in ws:
            break
        await ws.close()

    async with serving(fn, stop_code=1012) as app, app.websocket() as ws:
        await wait_all_tasks_blocked()
        if stops:
            app.shut_down()
        else:
            await ws.send("x")
        assert [message async for message in ws] == []
        assert ws.close_code == (1012 if stops else 1000)


async def test_ws_7_a_long_reason_is_cut_at_a_character() -> None:
    async def fn(ws: WebSocketConn) -> None:
        await ws.close(1000, "é" * 100)

    async with serving(fn) as app, app.websocket() as ws:
        assert [message async for message in ws] == []
        assert ws.close_reason == "é" * 61


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2000, 5000])
async def test_ws_7_a_code_that_must_not_be_sent_is_an_error(code: int) -> None:
    async def fn(ws: WebSocketConn) -> None:
        with pytest.raises(ValueError, match=r"7\.4"):
            await ws.close(code)

    async with serving(fn) as app, app.websocket() as ws:
        assert [message async for message in ws] == []
        assert ws.close_code == 1000


@pytest.mark.parametrize("payload", [b"", (4001).to_bytes(2, "big") + b"tired"])
async def test_ws_7_the_peers_close_is_echoed(payload: bytes) -> None:
    seen: list[object] = []

    async def fn(ws: WebSocketConn) -> None:
        async for _ in ws:
            pass
        seen.extend([ws.close_code, ws.close_reason, ws.was_interrupted])

    async with serving(fn) as app:
        client = await open_raw(app)
        await client.send(frame(CLOSE, payload))
        assert await client.receive() == (CLOSE, payload)
        await client.peer.expect_close()
    assert seen == [4001, "tired", False] if payload else [1005, "", False]


async def test_ws_7_a_close_of_the_peer_wins_over_the_stop(autojump_clock: MockClock) -> None:
    """It is on its way when the stop comes: what is answered is its code."""
    async with serving(echo) as app:
        client = await open_raw(app)
        await wait_all_tasks_blocked()
        await client.send(close(4001))
        app.shut_down()
        assert await client.receive_close() == (4001, "")
        client.peer.close()


async def test_ws_7_the_peers_close_is_waited_for(autojump_clock: MockClock) -> None:
    async def fn(ws: WebSocketConn) -> None:
        await ws.close(1000)
        times.append(trio.current_time())
        codes.append(ws.close_code)

    times: list[float] = []
    codes: list[int | None] = []
    async with serving(fn, close_timeout=5.0) as app:
        client = await open_raw(app)
        start = trio.current_time()
        assert await client.receive_close() == (1000, "")
        # Still allowed. Messages are thrown away, pings answered.
        await client.send(frame(TEXT, b"x" * 70_000), frame(PING, b"?"), frame(TEXT, b"y"))
        assert await client.receive() == (PONG, b"?")
        await trio.sleep(3)
        await client.send(close(1000))
        await client.peer.expect_close()
        client.peer.close()
    assert times == [start + 3]
    assert codes == [1000]


async def test_ws_7_but_not_for_ever(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    config = tt.Config(http=tt.HttpConfig(linger_timeout=2.0))
    async with serving(echo, config, close_timeout=5.0) as app:
        client = await open_raw(app)
        await wait_all_tasks_blocked()
        caplog.clear()
        completion = app.shut_down()
        start = trio.current_time()
        assert await client.receive_close() == (1001, "")
        report = await completion
        assert trio.current_time() == start + 7
        assert report.is_clean
        messages = [each.getMessage() for each in caplog.records]
        client.peer.close()
    assert [each for each in messages if "sent no Close in 5 s" in each] == [
        "unix: GET /chat: sent no Close in 5 s"
    ]


# -- WS-8 --------------------------------------------------------------------------------------


async def test_ws_8_at_the_deadline_it_is_cut_and_named(autojump_clock: MockClock) -> None:
    async def fn(ws: WebSocketConn) -> None:
        await trio.sleep_forever()

    async with serving(fn, tt.Config(drain_timeout=3.0)) as app:
        clients = [await open_raw(app) for _ in range(20)]
        await wait_all_tasks_blocked()
        report = await app.shut_down()
        for client in clients:
            assert await client.peer.receive_until_closed() == b""
    [entry] = report.cancelled.entries
    assert entry.count == 20
    assert entry.labels == ("GET /chat",) * 20
    assert any("sleep_forever" in stack for stack in entry.stacks)


# -- WS-14 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["eof", "reset", "close"])
async def test_ws_14_a_peer_that_leaves_without_a_close_is_1006(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[object] = []

    async def fn(ws: WebSocketConn) -> None:
        async for _ in ws:
            pass
        codes.extend([ws.close_code, ws.sent_close_code])
        await ws.send("anybody?")

    caplog.set_level(logging.INFO)
    async with serving(fn) as app:
        client = await open_raw(app)
        await wait_all_tasks_blocked()
        caplog.clear()
        match how:
            case "eof":
                await client.peer.send_eof()
            case "reset":
                client.peer.reset()
            case "close":
                client.peer.close()
        await wait_all_tasks_blocked()
        assert caplog.records == []
        client.peer.close()
    assert codes == [1006, None]


async def test_ws_14_the_error_carries_the_peers_code() -> None:
    errors: list[WebSocketClosed] = []

    async def fn(ws: WebSocketConn) -> None:
        for call in (ws.receive(), ws.receive(), ws.send("x"), ws.ping(), ws.send_json(1)):
            with pytest.raises(WebSocketClosed) as caught:
                await call
            errors.append(caught.value)

    async with serving(fn) as app, app.websocket() as ws:
        await ws.close(4001, "tired")
        assert ws.close_code == 4001
    assert [(each.code, each.reason) for each in errors] == [(4001, "tired")] * 5
    assert str(errors[0]) == "4001 tired"
