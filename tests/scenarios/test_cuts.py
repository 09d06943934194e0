"""A request cut at the deadline of a drain: what the client gets, wherever its handler was.

A body that ends with its connection is reset, which needs real sockets: see tests/e2e.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.wire import UPGRADE, App, Peer, request, serving, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trillium_trio.conn import HandlerLike


@asynccontextmanager
async def in_progress(handler: HandlerLike, sent: bytes) -> AsyncIterator[tuple[App, Peer]]:
    async with serving(handler, tt.config().with_drain_timeout(5)) as app:
        client = app.connect()
        await client.send(sent)
        await settled()
        yield app, client


async def sleep(conn: tt.Conn) -> tt.Conn:
    await trio.sleep_forever()
    return conn


async def own_nursery(conn: tt.Conn) -> tt.Conn:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(trio.sleep_forever)
    return conn


async def raises_on_the_way_out(conn: tt.Conn) -> tt.Conn:
    try:
        await trio.sleep_forever()
    finally:
        raise RuntimeError("while cleaning up")


async def raises_from_a_nursery(conn: tt.Conn) -> tt.Conn:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(raises_on_the_way_out, conn)
    return conn


async def reads(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.read())


class Upgrading(tt.Handler):
    async def run(self, conn: tt.Conn) -> tt.Conn:
        return conn.upgrade()

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        return True


class Finishing(tt.Handler):
    async def run(self, conn: tt.Conn) -> tt.Conn:
        return conn.ok("x")

    async def before_send(self, conn: tt.Conn) -> tt.Conn:
        return await sleep(conn)


UPLOAD = request(method="PUT", body=b"x" * 9)[:-1]
UPGRADING = request("/", *UPGRADE, method="PUT", body=b"x" * 9)[:-1]


@pytest.mark.parametrize(
    ("handler", "sent"),
    [
        pytest.param(sleep, request()[:5], id="half-a-head"),
        pytest.param(sleep, request(), id="asleep"),
        pytest.param(own_nursery, request(), id="nursery"),
        pytest.param(raises_on_the_way_out, request(), id="finally-raises"),
        pytest.param(raises_from_a_nursery, request(), id="group"),
        pytest.param(reads, UPLOAD, id="upload"),
        pytest.param(Upgrading(), UPGRADING, id="upgrade-waits-for-the-body"),
        pytest.param(Finishing(), request(), id="before-send"),
    ],
)
async def test_sv_7_an_unsent_head_becomes_503(
    handler: HandlerLike, sent: bytes, autojump_clock: object
) -> None:
    seen: list[str] = []

    async def after(conn: tt.Conn) -> None:
        seen.append("after")

    async def first(conn: tt.Conn) -> tt.Conn:
        return conn.after_send(after)

    async with in_progress((first, handler), sent) as (app, client):
        start = trio.current_time()
        app.handle.shut_down()
        response = await client.response()
        assert (response.status, response.closes) == (503, True)
        assert response.headers["retry-after"] == "1"
        assert trio.current_time() - start == 5
        assert await client.ends()
        await client.stream.aclose()
        report = await app.handle
        assert not report.is_clean
        assert app.guards == 0
        assert seen == (["after"] if len(sent) > 5 else [])
        assert trio.current_time() - start == 5


async def test_sv_7_what_a_finally_raises_is_logged(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    for handler in (raises_on_the_way_out, raises_from_a_nursery):
        caplog.clear()
        async with in_progress(handler, request("/messy")) as (app, client):
            app.handle.cancel("now")
            assert (await client.response()).status == 503
            [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
            assert "GET /messy" in record.getMessage()
            assert "while cleaning up" in caplog.text


@pytest.mark.parametrize("answer", ["whole", "streamed"])
async def test_sv_7_a_handler_that_swallows_it_has_its_response_sent(
    answer: str, autojump_clock: object
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"so "
        await trio.sleep(0.5)  # outside the scope that was cancelled
        yield b"far"

    class Stubborn(tt.Handler):
        async def run(self, conn: tt.Conn) -> tt.Conn:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                pass
            return conn.ok("so far" if answer == "whole" else pieces())

        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            await trio.lowlevel.checkpoint()
            return conn.with_response_header("x-finished", "1")

    async with in_progress(Stubborn(), request()) as (app, client):
        app.handle.shut_down()
        response = await client.response()
        assert (response.status, response.body) == (200, b"so far")
        assert response.headers["x-finished"] == "1"
        assert response.closes
        assert await client.ends()


async def test_sv_7_but_within_a_second(autojump_clock: object) -> None:
    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await trio.sleep(0.3)

    async def stubborn(conn: tt.Conn) -> tt.Conn:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            pass
        return conn.ok(forever())

    async with in_progress(stubborn, request()) as (app, client):
        start = trio.current_time()
        app.handle.shut_down()
        response = await client.response()
        assert (response.body, response.is_whole) == (b"xxxx", False)
        assert trio.current_time() - start == 6


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        pytest.param({"version": "1.1"}, None, id="chunked"),
        pytest.param({"version": "1.1"}, 99, id="length"),
        pytest.param({"version": "1.0"}, 99, id="length-1.0"),
    ],
)
async def test_sv_7_a_body_is_cut_so_that_the_client_sees_it(
    fields: dict[str, str], length: int | None, autojump_clock: object
) -> None:
    closed: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await trio.sleep_forever()
        finally:
            closed.append("closed")

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.streaming(pieces(), length=length))

    async with in_progress(handler, request(**fields)) as (app, client):  # type: ignore[arg-type]  # str
        app.handle.shut_down()
        response = await client.response()
        assert (response.status, response.body, response.is_whole) == (200, b"x", False)
        assert closed == ["closed"]


async def test_sv_7_an_idle_connection_is_only_closed(autojump_clock: object) -> None:
    config = tt.config().with_keepalive_grace(60)
    async with serving("x", config) as app:
        client = app.connect()
        await client.get()
        app.handle.shut_down(timeout=1)
        assert await client.ends()
        report = await app.handle
        assert report.is_clean


async def test_sv_7_an_upgraded_connection_is_closed(autojump_clock: object) -> None:
    class Held(Upgrading):
        async def upgrade(self, upgrade: tt.Upgrade) -> None:
            await upgrade.swansong.shutting_down()
            await upgrade.transport.send_some(b"bye")
            await trio.sleep_forever()

    async with in_progress(Held(), request("/ws", *UPGRADE)) as (app, client):
        assert app.guards == 1
        assert (await client.response()).status == 101
        start = trio.current_time()
        app.handle.shut_down()
        assert await client.rest() == b"bye"
        assert trio.current_time() - start == 5
        report = await app.handle
        assert "GET /ws" in str(report.cancelled)
