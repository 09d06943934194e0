"""Every handler around slow work: in a drain, cut off, and left by its client."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.wire import settled
from trillium_trio import handlers
from trillium_trio.handlers import (
    BasicAuth,
    BearerAuth,
    CachingHeaders,
    Compression,
    Concurrency,
    ConnId,
    Cookies,
    Cors,
    Csrf,
    ErrorPages,
    Forms,
    Forwarded,
    Head,
    Health,
    Host,
    LoadShed,
    Logger,
    MemoryStore,
    MethodOverride,
    Metrics,
    RateLimit,
    RedirectHttps,
    Router,
    SecurityHeaders,
    Sessions,
    Templates,
    Timeout,
    Tracing,
)
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from trio.testing import MockClock

    from trillium_trio.conn import HandlerLike

KEY = "0123456789abcdef"
SECONDS = 10


async def pieces() -> AsyncIterator[bytes]:
    yield b"first" * 200
    await trio.sleep(SECONDS)
    yield b"last" * 200


async def work(conn: tt.Conn) -> tt.Conn:
    """Answer after a while, or with a stream that takes a while."""
    if conn.path == "/stream":
        return conn.ok(pieces())
    await trio.sleep(SECONDS)
    return conn.ok("done" * 200)


IN_FRONT: dict[str, Callable[[Path], HandlerLike]] = {
    "BasicAuth": lambda _: BasicAuth({"ada": "lovelace"}),
    "BearerAuth": lambda _: BearerAuth({"token": "ada"}),
    "CachingHeaders": lambda _: CachingHeaders(),
    "Compression": lambda _: Compression(),
    "Concurrency": lambda _: Concurrency(1),
    "ConnId": lambda _: ConnId(),
    "Cookies": lambda _: Cookies(),
    "Cors": lambda _: Cors("*"),
    "Csrf": lambda _: Csrf(),
    "ErrorPages": lambda _: ErrorPages(),
    "Forms": lambda _: Forms(),
    "Forwarded": lambda _: Forwarded(["unix"]),
    "Head": lambda _: Head(),
    "Health": lambda _: Health(),
    "Host": lambda _: Host("testserver"),
    "LoadShed": lambda _: LoadShed(),
    "Logger": lambda folder: Logger("common", target=folder / "log"),
    "MethodOverride": lambda _: MethodOverride(),
    "Metrics": lambda _: Metrics(),
    "RateLimit": lambda _: RateLimit(100),
    "RedirectHttps": lambda _: RedirectHttps(exempt=["/work", "/stream"]),
    "SecurityHeaders": lambda _: SecurityHeaders(),
    "Sessions, sealed": lambda _: Sessions(key=KEY),
    "Sessions, encrypted": lambda _: Sessions(key=KEY, encrypted=True),
    "Sessions, stored": lambda _: Sessions(store=MemoryStore()),
    "Templates": Templates,
    "Tracing": lambda _: Tracing(),
}
AROUND: dict[str, Callable[[], HandlerLike]] = {
    "Router": lambda: Router().get("/work", work).get("/stream", work),
    "Timeout": lambda: Timeout(work, seconds=60),
}
# Basic credentials and a token, and what else a client says.
FIELDS = (
    b"Host: testserver\r\nAccept-Encoding: gzip\r\nOrigin: https://example.com\r\n"
    b"X-Forwarded-For: 192.0.2.1\r\nCookie: a=1\r\n"
)
CREDENTIALS = {
    "BasicAuth": b"Authorization: Basic YWRhOmxvdmVsYWNl\r\n",
    "BearerAuth": b"Authorization: Bearer token\r\n",
}


# Those that answer by themselves have tests of their own for it, and those that need a server.
ALONE = {
    "Admin",
    "Channels",
    "EventStream",
    "MetricsPage",
    "OpenApi",
    "Postgres",
    "Proxy",
    "Redis",
    "Static",
    "WebSocket",
}


def test_every_handler_is_tried() -> None:
    exported = {
        name
        for name in handlers.__all__
        if isinstance(kind := getattr(handlers, name), type) and issubclass(kind, tt.Handler)
    }
    tried = {name.partition(",")[0] for name in [*IN_FRONT, *AROUND]}
    assert exported == tried | ALONE


@pytest.fixture(params=[*IN_FRONT, *AROUND])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def handler(name: str, tmp_path: Path) -> HandlerLike:
    make = IN_FRONT.get(name)
    return AROUND[name]() if make is None else (make(tmp_path), work)


def ask(name: str, path: str) -> bytes:
    fields = FIELDS + CREDENTIALS.get(name, b"")
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (path.encode(), fields)


@pytest.mark.parametrize("path", ["/work", "/stream"])
async def test_a_request_in_progress_completes_in_a_drain(
    name: str, handler: HandlerLike, path: str, autojump_clock: MockClock
) -> None:
    config = tt.Config(drain_timeout=60)
    async with TestServer(handler, config) as app:
        peer = app.connect()
        await peer.send(ask(name, path))
        await settled()
        report = app.shut_down()
        response = await peer.receive_response()
        assert (await report).is_clean
    assert response.status == 200
    assert len(response.body) > (0 if name == "Compression" else 700)


@pytest.mark.parametrize("path", ["/work", "/stream"])
async def test_a_request_that_takes_too_long_is_cut(
    name: str, handler: HandlerLike, path: str, autojump_clock: MockClock
) -> None:
    async with TestServer(handler, tt.Config(drain_timeout=1)) as app:
        peer = app.connect()
        await peer.send(ask(name, path))
        await settled()
        report = await app.shut_down()
        got = await peer.receive_until_closed()
        assert not report.is_clean
        assert app.swansong.guard_count == 0
    if path == "/work":
        assert got.startswith(b"HTTP/1.1 503 ")
    else:
        assert got.startswith(b"HTTP/1.1 200 ")
        assert not got.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("path", ["/work", "/stream"])
async def test_a_client_that_disconnects_leaves_nothing_behind(
    name: str,
    handler: HandlerLike,
    path: str,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with TestServer(handler) as app:
        peer = app.connect()
        await peer.send(ask(name, path))
        await settled()
        peer.reset()
        await trio.sleep(2 * SECONDS)
        assert app.swansong.guard_count == 0
        # The next one is served as if nothing had been.
        other = app.connect()
        await other.send(ask(name, path))
        assert (await other.receive_response()).status == 200
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []
