"""Plain functions as handlers."""

from __future__ import annotations

import threading
from functools import partial

import anyio.from_thread
import pytest
import trio

from trillium_trio import Conn, HttpError, sync_handler
from trillium_trio.testing import TestServer


async def test_the_function_runs_in_a_worker_thread() -> None:
    def whoami(conn: Conn) -> Conn:
        with pytest.raises(RuntimeError):
            trio.lowlevel.current_task()
        return conn.ok(f"{threading.get_ident()}")

    async with TestServer(sync_handler(whoami)) as app:
        response = (await app.get("/")).assert_ok()
    assert int(response.text) != threading.get_ident()


async def test_the_function_may_call_back_into_the_loop() -> None:
    def read(conn: Conn) -> Conn:
        return conn.ok(anyio.from_thread.run(conn.request_body.read))

    async with TestServer(sync_handler(read)) as app:
        (await app.post("/", body=b"a body")).assert_ok().assert_body("a body")


async def test_handlers_behind_it_run_as_behind_any_other() -> None:
    async def rest(conn: Conn) -> Conn:
        return conn.ok("the rest")

    def mark(conn: Conn) -> Conn:
        return conn.with_response_header("x-mark", "1")

    def halt(conn: Conn) -> Conn:
        return conn.with_status(204).halt()

    async with TestServer((sync_handler(mark), rest)) as app:
        (await app.get("/")).assert_body("the rest").assert_header("x-mark", "1")
    async with TestServer((sync_handler(halt), rest)) as app:
        (await app.get("/")).assert_status(204)


async def test_what_it_raises_is_answered_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    def teapot(conn: Conn) -> Conn:
        raise HttpError(418)

    def broken(conn: Conn) -> Conn:
        raise ZeroDivisionError

    async with TestServer(sync_handler(teapot)) as app:
        (await app.get("/")).assert_status(418)
    assert "Traceback" not in caplog.text
    async with TestServer(sync_handler(broken)) as app:
        (await app.get("/")).assert_status(500)
    assert "in broken" in caplog.text


def test_its_name_is_the_functions() -> None:
    def plain(conn: Conn) -> Conn:
        return conn

    assert sync_handler(plain).name.endswith(".plain)")
    assert sync_handler(partial(plain)).name.endswith(".plain)")


async def test_cn_12_a_thread_that_is_cut_is_abandoned_and_named() -> None:
    has_begun = trio.Event()
    may_end = threading.Event()
    has_ended = trio.Event()

    def stubborn(conn: Conn) -> Conn:
        anyio.from_thread.run_sync(has_begun.set)
        may_end.wait()
        token.run_sync_soon(has_ended.set)
        return conn.ok("too late")

    token = trio.lowlevel.current_trio_token()
    async with TestServer(sync_handler(stubborn)) as app:
        peer = app.connect()
        await peer.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await has_begun.wait()
        try:
            report = await app.swansong.cancel("for the test")
            response = await peer.receive_response()
        finally:
            may_end.set()
        response.assert_status(503).assert_header("retry-after")
    assert not report.is_clean
    assert "GET /slow" in str(report.cancelled)
    assert "stubborn" in str(report.cancelled)
    # Its result is thrown away; nothing waits for the thread but this test.
    await has_ended.wait()
