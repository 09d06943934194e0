"""Health checks, of a server that runs and of one that drains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from trillium_trio import Config, Conn, Readiness, Swansong
from trillium_trio.handlers import Health
from trillium_trio.testing import MemoryListener, TestServer

if TYPE_CHECKING:
    from trio.testing import MockClock


async def rest(conn: Conn) -> Conn:
    return conn.ok("the rest")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_both_checks_pass_while_the_server_runs(method: str, path: str) -> None:
    async with TestServer((Health(), rest)) as app:
        response = await app.request(method, path)
        response.assert_status(200).assert_header("cache-control", "no-store")
        response.assert_body("ok\n" if method == "GET" else "")


async def test_a_query_makes_no_difference() -> None:
    async with TestServer((Health(), rest)) as app:
        (await app.get("/readyz?verbose")).assert_ok().assert_body("ok\n")


@pytest.mark.parametrize("path", ["/", "/livez/", "/readyz/db", "/LIVEZ", "/%6Civez"])
async def test_other_paths_are_left_alone(path: str) -> None:
    async with TestServer((Health(), rest)) as app:
        response = await app.get(path)
        response.assert_ok().assert_body("the rest").assert_no_header("cache-control")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_left_alone(method: str) -> None:
    async with TestServer((Health(), rest)) as app:
        (await app.request(method, "/readyz")).assert_ok().assert_body("the rest")


async def test_the_paths_are_the_applications_to_choose() -> None:
    health = Health(liveness="/alive", readiness="/ready")
    assert health.name == "Health(/alive, /ready)"
    async with TestServer((health, rest)) as app:
        (await app.get("/alive")).assert_body("ok\n")
        (await app.get("/ready")).assert_body("ok\n")
        (await app.get("/livez")).assert_body("the rest")
        (await app.get("/readyz")).assert_body("the rest")


async def test_sv_6_readiness_fails_from_the_stop_on_and_liveness_does_not(
    autojump_clock: MockClock,
) -> None:
    config = Config(drain_delay=10.0, drain_timeout=5.0)
    async with TestServer((Health(), rest), config) as app:
        app.shut_down()
        for _ in range(2):
            # At once, and until the listeners close.
            response = await app.get("/readyz")
            response.assert_status(503).assert_body("shutting down\n")
            response.assert_header("cache-control", "no-store").assert_header("connection", "close")
            (await app.get("/livez")).assert_ok().assert_body("ok\n")
            (await app.get("/")).assert_ok().assert_body("the rest")
            await trio.sleep(9.0)
        await trio.sleep(2.0)
        with pytest.raises(ConnectionRefusedError):
            await app.get("/livez")


async def test_sv_6_readiness_fails_for_a_connection_that_is_kept_alive(
    autojump_clock: MockClock,
) -> None:
    async with TestServer(Health()) as app, app.session() as session:
        (await session.get("/readyz")).assert_ok()
        app.shut_down()
        # Within keepalive_grace, so that it is still answered.
        response = await session.get("/readyz")
        response.assert_status(503).assert_header("connection", "close")


async def test_readiness_fails_with_a_swansong_that_is_shared(autojump_clock: MockClock) -> None:
    swansong = Swansong()
    config = Config(drain_delay=1.0, swansong=swansong)
    async with TestServer(Health(), config) as one, TestServer(Health(), config) as other:
        (await one.get("/readyz")).assert_ok()
        swansong.shut_down()
        for app in (one, other):
            (await app.get("/readyz")).assert_status(503)
            (await app.get("/livez")).assert_ok()


async def test_sv_24_a_running_server_can_be_withdrawn_and_brought_back() -> None:
    async with (
        tt.config().bind_listener(MemoryListener()).without_signals().serving(Health()) as handle
    ):
        assert handle.readiness.withdrawn is None
    shared = Readiness()
    config = tt.config().with_drain_timeout(5).with_shared_state(shared)
    async with TestServer((Health(), rest), config) as app, TestServer(Health(), config) as other:
        shared.withdraw("maintenance")
        for each in (app, other):
            (await each.get("/readyz")).assert_status(503).assert_body("maintenance\n")
            (await each.get("/livez")).assert_ok()
        (await app.get("/")).assert_ok().assert_body("the rest")
        shared.restore()
        (await app.get("/readyz")).assert_ok()
