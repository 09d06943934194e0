"""The clauses of docs/spec/asgi.md about the lifespan, and about applications that need asyncio."""

from __future__ import annotations

import asyncio
import logging
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trillium_trio as tt
from tests.spec._asgi import answering, body, start
from tests.wire import request, serving, settled
from trillium_trio.asgi import Asgi, LifespanFailed
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from trillium_trio.asgi import Message, Receive, Scope, Send

COMPLETE: Message = {"type": "lifespan.startup.complete"}
SHUTDOWN_COMPLETE: Message = {"type": "lifespan.shutdown.complete"}


class Recording:
    """An application that records what happens, in order.

    Args:
      at_startup, at_shutdown: What it sends, or raises.
      work: Seconds that a request takes.
    """

    def __init__(
        self,
        at_startup: Message | Exception = COMPLETE,
        at_shutdown: Message | Exception = SHUTDOWN_COMPLETE,
        *,
        work: float = 0,
    ) -> None:
        self.log: list[Any] = []
        self._at_startup = at_startup
        self._at_shutdown = at_shutdown
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.respond(scope, send)
            return
        self.log.append(scope["asgi"])
        # A nursery and a cancel scope from the start to the end are legal.
        with trio.CancelScope():
            for wanted, outcome in (
                ("lifespan.startup", self._at_startup),
                ("lifespan.shutdown", self._at_shutdown),
            ):
                message = await receive()
                assert message == {"type": wanted}
                self.log.append(wanted)
                scope["state"].setdefault("shared", []).append(wanted)
                scope["state"]["number"] = 1
                if isinstance(outcome, Exception):
                    raise outcome
                await send(outcome)

    async def respond(self, scope: Scope, send: Send) -> None:
        self.log.append(scope["state"]["number"])
        scope["state"]["number"] = 2
        await trio.sleep(self._work)
        await send(start())
        await send(body(b"ok"))
        self.log.append("answered")


async def test_as_15_one_call_and_a_copy_of_the_state(autojump_clock: object) -> None:
    app = Recording()
    async with TestServer(Asgi(app)) as server:
        for _ in range(2):
            (await server.get("/")).assert_body("ok")
    assert app.log == [
        {"version": "3.0", "spec_version": "2.0"},
        "lifespan.startup",
        *(1, "answered"),
        *(1, "answered"),
        "lifespan.shutdown",
    ]


async def test_as_15_startup_is_complete_before_the_server_is_ready(
    autojump_clock: object,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        await receive()
        await trio.sleep(10)
        await send(COMPLETE)
        await receive()
        # No shutdown.complete: it may just return.

    begin = trio.current_time()
    async with TestServer(Asgi(app)):
        assert trio.current_time() == begin + 10


@pytest.mark.parametrize("returns", [False, True])
async def test_as_15_an_application_may_have_no_lifespan(
    returns: bool, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            if returns:
                return
            raise ValueError("unknown scope")
        assert "state" not in scope
        await send(start())
        await send(body(b"ok"))

    caplog.set_level(logging.INFO)
    async with TestServer(Asgi(app)) as server:
        (await server.get("/")).assert_body("ok")
    assert len([each for each in caplog.records if "has no lifespan" in each.getMessage()]) == 1
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_as_15_a_failed_startup_ends_the_server_with_its_own_error() -> None:
    error = RuntimeError("no database")
    with pytest.raises(RuntimeError) as info:
        async with TestServer(Asgi(Recording(error))):
            pass
    assert info.value is error
    failed = {"type": "lifespan.startup.failed", "message": "no database"}
    with pytest.raises(LifespanFailed, match=r"startup\.failed: no database"):
        async with TestServer(Asgi(Recording(failed))):
            pass


async def test_as_15_a_failed_shutdown_is_raised_by_serve(autojump_clock: object) -> None:
    error = RuntimeError("lost the database")
    with pytest.raises(RuntimeError) as info:
        async with TestServer(Asgi(Recording(at_shutdown=error))) as server:
            (await server.get("/")).assert_body("ok")
    assert info.value is error
    failed = {"type": "lifespan.shutdown.failed"}
    with pytest.raises(LifespanFailed, match=r"shutdown\.failed: no reason given"):
        async with TestServer(Asgi(Recording(at_shutdown=failed))):
            pass


async def test_as_15_a_failure_while_serving_drains(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send(COMPLETE)
            await trio.sleep(5)
            raise RuntimeError("the consumer has died")
        await trio.sleep(10)
        await send(start())
        await send(body(b"finished"))

    bodies = []
    with pytest.raises(RuntimeError, match="consumer has died"):
        async with serving(Asgi(app)) as server:
            bodies.append((await server.connect().get()).body)
    assert bodies == [b"finished"]


async def test_as_16_shutdown_comes_after_the_last_request(autojump_clock: object) -> None:
    app = Recording(work=10)
    async with serving(Asgi(app)) as server:
        peer = server.connect()
        await peer.send(request())
        await settled()
        server.handle.shut_down()
        assert (await peer.response()).body == b"ok"
    assert app.log[-2:] == ["answered", "lifespan.shutdown"]


async def test_as_16_stragglers_are_cut_first(autojump_clock: object) -> None:
    app = Recording(work=1000)
    async with serving(Asgi(app), tt.config().with_drain_timeout(5)) as server:
        peer = server.connect()
        await peer.send(request())
        await settled()
        server.handle.shut_down()
        assert (await peer.response()).status == 503
        assert not (await server.handle).is_clean
    assert app.log[-1] == "lifespan.shutdown"


async def test_as_16_shutdown_has_cleanup_timeout(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(COMPLETE)
        await receive()
        await trio.sleep_forever()

    config = tt.config().with_cleanup_timeout(3)
    begin = trio.current_time()
    async with serving(Asgi(app), config) as server:
        server.handle.shut_down()
        report = await server.handle
    assert trio.current_time() == begin + 3
    assert not report.is_clean
    assert "Asgi(" in caplog.text


# -- AS-17 -----------------------------------------------------------------------------------------


async def running_loop() -> None:
    asyncio.get_running_loop()


async def future() -> None:
    loop = asyncio.new_event_loop()
    try:
        await loop.create_future()
    finally:
        loop.close()


@pytest.mark.parametrize("uses", [running_loop, future])
async def test_as_17_a_request_that_needs_asyncio_is_a_500_with_a_sentence(
    uses: Callable[[], Any], autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await uses()

    async with TestServer(Asgi(answering(app))) as server:
        (await server.get("/")).assert_status(500)
    assert "runs on asyncio only, and this server on trio" in caplog.text
    assert "app" in caplog.text


@pytest.mark.parametrize("is_early", [True, False])
async def test_as_17_a_lifespan_that_needs_asyncio_ends_the_start(is_early: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not is_early:
            await receive()
        await running_loop()

    with pytest.raises(tt.MisuseError, match="runs on asyncio only"):
        async with TestServer(Asgi(app)):
            pass


def test_as_17_a_known_type_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("django.core.handlers.asgi")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    class ASGIHandler:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise AssertionError("never called")

    ASGIHandler.__module__ = module.__name__
    with pytest.raises(tt.ConfigError, match=r"ASGIHandler runs on asyncio only"):
        Asgi(ASGIHandler())


def test_as_17_a_type_based_on_one_for_asyncio_may_run_on_trio() -> None:
    class Quart:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise AssertionError("never called")

    class QuartTrio(Quart):
        pass

    class Mine(QuartTrio):
        pass

    Quart.__module__ = "quart.app"
    QuartTrio.__module__ = "quart_trio.app"
    with pytest.raises(tt.ConfigError, match=r"Quart runs on asyncio only"):
        Asgi(Quart())
    Asgi(QuartTrio())
    Asgi(Mine())
