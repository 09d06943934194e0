"""The clause of docs/spec/wsgi.md about the stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import trio

from tests.spec._wsgi import TEXT, Closing
from tests.wire import request, serving, settled
from trillium_trio.wsgi import ConnectionLost, Wsgi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse

    from trio.testing import MockClock

    from tests.spec._wsgi import App, Environ


class Stuck:
    """An application that waits for the test in the middle of its work.

    Args:
      app: Called when the test says so.
      first: Sent before the wait.
    """

    def __init__(self, app: App, *, first: bytes = b"") -> None:
        self.may_continue = threading.Event()
        self.is_waiting = trio.Event()
        self.has_ended = trio.Event()
        self.seen: list[str] = []
        self.calls = 0
        self._app = app
        self._first = first
        self._token = trio.lowlevel.current_trio_token()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.calls += 1
        try:
            if self._first:
                start_response("200 OK", [TEXT])(self._first)
            self._token.run_sync_soon(self.is_waiting.set)
            self.wait_for_the_test()
            return self._app(environ, start_response)
        except OSError as error:
            self.seen.append(type(error).__name__)
            raise
        finally:
            self._token.run_sync_soon(self.has_ended.set)

    def wait_for_the_test(self) -> None:
        self.may_continue.wait()


def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    assert not environ["trillium.swansong"].is_running
    return [b"finished"]


async def test_wg_12_a_request_in_a_thread_is_waited_for() -> None:
    app = Stuck(answer)
    async with serving(Wsgi(app)) as server:
        client = server.connect()
        await client.send(request("/slow"))
        await app.is_waiting.wait()
        server.handle.shut_down()
        await settled()
        app.may_continue.set()
        response = await client.response()
        assert (response.body, response.closes) == (b"finished", True)
        await client.stream.aclose()
        assert (await server.handle).is_clean


async def test_wg_12_a_request_that_waits_for_a_thread_is_waited_for() -> None:
    app = Stuck(answer)
    async with serving(Wsgi(app, threads=1)) as server:
        clients = [server.connect() for _ in range(3)]
        for client in clients:
            await client.send(request("/slow"))
        await app.is_waiting.wait()
        await settled()
        server.handle.shut_down()
        assert server.guards == 3
        app.may_continue.set()
        for client in clients:
            assert (await client.response()).body == b"finished"
            await client.stream.aclose()
        assert (await server.handle).is_clean


def reads(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.input"].read()
    raise AssertionError("there is no connection")


def writes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"too late")
    write(b"later")
    raise AssertionError("there is no connection")


@pytest.mark.parametrize("late", [reads, writes, answer])
async def test_wg_12_at_the_deadline_a_thread_is_abandoned_and_named(
    late: App, mock_clock: MockClock
) -> None:
    app = Stuck(late)
    async with serving(Wsgi(app)) as server:
        client = server.connect()
        await client.send(request("/stuck", "Content-Length: 4", method="POST"))
        await app.is_waiting.wait()
        server.handle.shut_down()
        await settled()
        mock_clock.jump(30)
        response = await client.response()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        await client.stream.aclose()
        report = await server.handle
        assert not app.has_ended.is_set()
        app.may_continue.set()
        await app.has_ended.wait()
    [entry] = report.cancelled
    assert entry.labels == ("POST /stuck",)
    assert entry.where is not None
    assert entry.where.endswith("in wait_for_the_test")
    assert "worker thread Wsgi(tests.spec.test_wg_stop.Stuck)" in str(entry)
    assert app.seen == ([] if late is answer else ["ConnectionLost"])


async def test_wg_12_a_response_that_has_begun_is_cut(mock_clock: MockClock) -> None:
    app = Stuck(answer, first=b"half")
    async with serving(Wsgi(app)) as server:
        client = server.connect()
        await client.send(request("/stuck"))
        await app.is_waiting.wait()
        server.handle.shut_down()
        await settled()
        mock_clock.jump(30)
        response = await client.response()
        assert (response.status, response.body, response.is_whole) == (200, b"half", False)
        assert not (await server.handle).is_clean
        app.may_continue.set()
        await app.has_ended.wait()


async def test_wg_12_a_request_without_a_thread_is_cut(mock_clock: MockClock) -> None:
    app = Stuck(answer)
    async with serving(Wsgi(app, threads=1)) as server:
        first, second = server.connect(), server.connect()
        await first.send(request("/first"))
        await app.is_waiting.wait()
        await second.send(request("/second"))
        await settled()
        server.handle.shut_down()
        await settled()
        mock_clock.jump(30)
        for client in (first, second):
            assert (await client.response()).status == 503
            await client.stream.aclose()
        report = await server.handle
        app.may_continue.set()
        await app.has_ended.wait()
    assert report.cancelled.guard_count == 2


async def test_wg_12_an_abandoned_thread_occupies_its_place(mock_clock: MockClock) -> None:
    app = Stuck(lambda environ, start_response: [])
    handler = Wsgi(app, threads=1)
    async with serving(handler) as server:
        client = server.connect()
        await client.send(request())
        await app.is_waiting.wait()
        server.handle.cancel("for the test")
        await client.stream.aclose()
        await server.handle
    # The same event loop, and so the same limit.
    async with serving(handler) as server:
        client = server.connect()
        await client.send(request())
        await settled()
        assert (server.guards, app.calls) == (1, 1)
        app.may_continue.set()
        await app.has_ended.wait()
        assert (await client.response()).status == 500
        await client.stream.aclose()


async def test_wg_7_close_is_called_once_in_an_abandoned_thread(mock_clock: MockClock) -> None:
    token = trio.lowlevel.current_trio_token()
    closed, waits = trio.Event(), trio.Event()
    go = threading.Event()

    class Result(Closing):
        def __iter__(self) -> Iterator[bytes]:
            yield b"one"
            token.run_sync_soon(waits.set)
            go.wait()
            yield b"two"
            yield b"three"
            raise AssertionError("there is no connection")

    result = Result(on_close=lambda: token.run_sync_soon(closed.set))

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return result

    async with serving(Wsgi(app)) as server:
        client = server.connect()
        await client.send(request())
        await waits.wait()
        server.handle.shut_down()
        await settled()
        mock_clock.jump(30)
        await server.handle
        go.set()
        await closed.wait()
    assert result.closed == 1


def test_wg_12_a_thread_that_outlives_its_event_loop_is_told() -> None:
    seen: list[str] = []
    go, over = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        go.wait()
        try:
            environ["wsgi.input"].read()
        except ConnectionLost as error:
            seen.append(str(error))
        over.set()
        return []

    async def main() -> None:
        async with serving(Wsgi(app)) as server:
            client = server.connect()
            await client.send(request("/", "Content-Length: 4", method="POST"))
            await settled()
            server.handle.cancel("for the test")
            await client.stream.aclose()

    trio.run(main)
    go.set()
    assert over.wait(10)
    assert seen == ["the server has ended"]


async def test_wg_12_the_stop_is_in_the_environ() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        swansong = environ["trillium.swansong"]
        start_response("200 OK", [TEXT])

        def ticks() -> Iterator[bytes]:
            while True:
                yield b"tick"
                trio.from_thread.run_sync(ticked.set)
                swansong.shutting_down().block()

        interrupted: Iterator[bytes] = swansong.interrupt(ticks())
        return interrupted

    ticked = trio.Event()
    async with serving(Wsgi(app)) as server:
        client = server.connect()
        await client.send(request())
        await ticked.wait()
        server.handle.shut_down()
        response = await client.response()
        await client.stream.aclose()
        assert response.is_whole
        assert response.body.startswith(b"tick")
        assert (await server.handle).is_clean
