"""`Server`, `ServerHandle`, `serving` and tasks: what the clauses do not say."""

from __future__ import annotations

import dataclasses

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trillium_trio as tt
from tests.unit.server._serving import Recorder, get, hello, receive_all, running
from trillium_trio.testing import MemoryListener


async def hang(conn: tt.Conn) -> tt.Conn:
    await trio.sleep_forever()
    raise AssertionError


def test_what_is_no_handler_is_refused() -> None:
    with pytest.raises(TypeError, match="handler"):
        tt.config().server(3)  # type: ignore[arg-type]  # which is the point


async def test_a_server_has_defaults() -> None:
    server = tt.Server(hello)
    assert dataclasses.asdict(server.config) == dataclasses.asdict(tt.Config())
    assert repr(server) == "<Server hello not ready>"


async def test_the_handle() -> None:
    async with running(hello, tt.config().with_shared_state("shared")) as app:
        handle = app.handle
        assert handle.url == "unix:memory" or handle.url
        assert [each.name for each in handle.listeners] == ["memory"]
        assert handle.shared_state(str) == "shared"
        assert handle.shared_state(int) is None
        assert handle.is_running
        assert repr(handle) == "<ServerHandle memory running>"
        assert repr(app.server) == "<Server hello running>"
        with pytest.raises(tt.MisuseError, match="no TCP listener"):
            _ = handle.port
        with pytest.raises(tt.MisuseError, match="trio run"):
            handle.block()
        await handle.shut_down()
        assert not handle.is_running
        assert repr(handle) == "<ServerHandle memory not running>"
        assert repr(app.server) == "<Server hello over>"


def test_a_handle_before_serving() -> None:
    handle = tt.Server(hello).handle
    assert not handle.is_running
    with pytest.raises(tt.MisuseError, match="never bound"):
        _ = handle.url
    with pytest.raises(TimeoutError):
        handle.block(timeout=0)


async def test_dropping_the_handle_changes_nothing() -> None:
    async with running() as app:
        del app.handle
        assert await get(app.listener.connect())


async def test_info_prepares_shared_state() -> None:
    async def init(info: tt.Info) -> None:
        assert info.shared_state(str) == "configured"
        assert info.insert_shared_state("inserted") == "configured"

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(conn.shared_state(str) or "")

    config = tt.config().with_shared_state("configured")
    async with running((tt.Init(init), handler), config) as app:
        assert (await get(app.listener.connect())).endswith(b"inserted")


async def test_leaving_serving_drains(autojump_clock: MockClock) -> None:
    listener = MemoryListener()
    swansong = tt.Swansong()
    config = tt.config().bind_listener(listener).with_swansong(swansong)
    async with config.serving(hello) as handle:
        assert await get(listener.connect())
    assert not handle.is_running
    assert (await handle).is_clean
    # This server alone: what it shares goes on.
    assert swansong.is_running


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit(1)], ids=repr)
async def test_leaving_serving_with_an_exception_cancels(
    error: BaseException, autojump_clock: MockClock
) -> None:
    listener, events = MemoryListener(), list[str]()
    config = tt.config().bind_listener(listener)
    with pytest.raises(type(error)) as raised:
        async with config.serving((Recorder("app", events), hang)) as handle:
            client = listener.connect()
            await client.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await wait_all_tasks_blocked()
            raise error
    assert raised.value is error
    assert events[-1] == "left app"
    assert b" 503 " in await receive_all(client)
    assert (await handle).reason == f"left with {type(error).__name__}"


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()], ids=repr)
async def test_serving_raises_what_ends_the_server(
    error: BaseException, autojump_clock: MockClock
) -> None:
    async def fail() -> None:
        await trio.sleep(1)
        raise error

    async def init(info: tt.Info) -> None:
        info.start_service(fail)

    config = tt.config().bind_listener(MemoryListener())
    with pytest.raises(type(error)) as raised:
        async with config.serving(tt.Init(init)):
            await trio.sleep_forever()
    assert raised.value is error


async def test_serving_raises_what_keeps_it_from_being_ready() -> None:
    error = ValueError()

    async def init(info: tt.Info) -> None:
        raise error

    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the very object is compared)
        async with tt.config().bind_listener(MemoryListener()).serving(tt.Init(init)):
            raise AssertionError
    assert raised.value is error


async def test_serving_raises_the_first_and_logs_the_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(info: tt.Info) -> None:
        raise OSError("not flushed")

    lifespan = Recorder("lifespan", [])
    lifespan.on_exit = fail
    with pytest.raises(ValueError, match="body"):
        async with tt.config().bind_listener(MemoryListener()).serving(lifespan):
            raise ValueError("body")
    assert "not flushed" in caplog.text


async def test_cancelling_around_serving(autojump_clock: MockClock) -> None:
    listener = MemoryListener()
    with trio.move_on_after(1) as scope:
        async with tt.config().bind_listener(listener).serving(hello):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    with pytest.raises(ConnectionRefusedError):
        listener.connect()


async def test_nothing_starts_when_the_server_is_over() -> None:
    infos: list[tt.Info] = []

    async def init(info: tt.Info) -> None:
        infos.append(info)

    async with running(tt.Init(init)) as app:
        await app.handle.shut_down()
    for start in (infos[0].start_soon, infos[0].start_service):
        with pytest.raises(tt.MisuseError, match="sleep_forever cannot be started"):
            start(trio.sleep_forever)
    assert infos[0].swansong.guard_count == 0


async def test_work_of_a_start_that_failed_is_forgotten() -> None:
    async def init(info: tt.Info) -> None:
        info.start_soon(trio.sleep_forever)
        info.start_service(trio.sleep_forever)
        info.swansong.shut_down()

    async with running(tt.Init(init)) as app:
        assert not app.handle.is_running
        await app.handle
    assert app.handle.swansong.guard_count == 0


async def test_a_service_may_end(autojump_clock: MockClock) -> None:
    async def init(info: tt.Info) -> None:
        info.start_service(trio.sleep, 1)

    async with running((tt.Init(init), hello)) as app:
        await trio.sleep(2)
        assert await get(app.listener.connect())


async def test_a_service_that_fails_when_it_is_cancelled(autojump_clock: MockClock) -> None:
    async def service() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("not flushed")

    async def init(info: tt.Info) -> None:
        info.start_service(service)

    listener = MemoryListener()
    config = tt.config().bind_listener(listener)
    with pytest.raises(ValueError, match="not flushed"):
        async with config.serving((tt.Init(init), hello)):
            pass


async def test_signals_are_left_alone_in_a_nested_server() -> None:
    async with running(hello, tt.config().with_signals(False)):
        pass
