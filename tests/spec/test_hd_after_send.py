"""HD-10: what a handler is told of a request that is over."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.wire import UPGRADE, chunked, request, serving, settled
from trillium_trio.handlers import Event, EventStream, Router, Timeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

COMPLETE, CUT = tt.Outcome.COMPLETE, tt.Outcome.CUT
DISCONNECTED, FAILED = tt.Outcome.DISCONNECTED, tt.Outcome.FAILED


class Observer(tt.Handler):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int | None, int, tt.Outcome]] = []
        self.durations: list[float] = []
        self.guards: list[int] = []

    def after_send(self, conn: tt.Conn, sent: tt.Sent) -> None:
        self.seen.append((conn.path, sent.status, sent.body_bytes, sent.outcome))
        self.durations.append(sent.duration)
        self.guards.append(conn.swansong.guard_count)


async def pieces() -> AsyncIterator[bytes]:
    yield b"12345"
    yield b""
    yield b"6789"


async def breaks_off() -> AsyncIterator[bytes]:
    yield b"12345"
    raise ValueError("the body")


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 1000
        await trio.sleep(1)


async def handle(conn: tt.Conn) -> tt.Conn:
    match conn.path:
        case "/text":
            return conn.ok("Grüße")
        case "/bytes":
            return conn.ok(b"x" * 100_000)
        case "/empty":
            return conn.with_status(204)
        case "/chunks":
            return conn.ok(tt.Body.streaming(pieces()))
        case "/short":
            return conn.ok(tt.Body.streaming(pieces(), 100))
        case "/breaks":
            return conn.ok(tt.Body.streaming(breaks_off()))
        case "/endless":
            return conn.ok(tt.Body.streaming(endless()))
        case "/raise":
            raise ValueError("boom")
        case "/http-error":
            raise tt.HttpError(409)
        case "/read":
            return conn.ok(await conn.request_body.read())
        case "/sleep":
            await trio.sleep_forever()
        case "/no-file":
            return conn.ok(tt.Body.from_path("/nothing/there"))
        case "/two-seconds":
            await trio.sleep(2)
            return conn.ok("late")
        case "/early":
            await conn.with_status(201).with_body("early").send_now()
            await trio.sleep(2)
            return conn.with_status(202).with_body("something else")
        case "/early-raise":
            await conn.ok("early").send_now()
            raise ValueError("afterwards")
    return conn


@pytest.mark.parametrize(
    ("target", "status", "body_bytes", "outcome"),
    [
        ("/text", 200, 7, COMPLETE),
        ("/bytes", 200, 100_000, COMPLETE),
        ("/empty", 204, 0, COMPLETE),
        ("/chunks", 200, 9, COMPLETE),
        ("/short", 200, 9, FAILED),
        ("/breaks", 200, 5, FAILED),
        ("/raise", 500, 22, COMPLETE),
        ("/no-file", 500, 22, COMPLETE),
        ("/http-error", 409, 9, COMPLETE),
        ("/nowhere", 404, 10, COMPLETE),
        ("/early", 201, 5, COMPLETE),
        ("/early-raise", 200, 5, COMPLETE),
    ],
)
async def test_hd_10_an_observer_is_told_what_was_sent(
    target: str, status: int, body_bytes: int, outcome: tt.Outcome, autojump_clock: MockClock
) -> None:
    observer = Observer()
    async with serving((observer, handle)) as app:
        client = app.connect()
        response = await client.get(target)
        assert (response.status, len(response.body)) == (status, body_bytes)
        await trio.sleep(3)
        assert observer.seen == [(target, status, body_bytes, outcome)]
        assert observer.guards == [1], "the guard is released afterwards"
        assert app.guards == 0


async def test_hd_10_each_request_of_a_connection_is_observed(autojump_clock: MockClock) -> None:
    observer = Observer()
    async with serving((observer, handle)) as app:
        client = app.connect()
        for target in ("/text", "/chunks", "/bytes", "/text", "/chunks"):
            await client.get(target)
        await client.get("/text", method="HEAD")
        await client.send(request("/text") + request("/chunks") + request("/text"))
        for _ in range(3):
            await client.response()
    assert [(path, size) for path, _, size, _ in observer.seen] == [
        *[("/text", 7), ("/chunks", 9), ("/bytes", 100_000), ("/text", 7), ("/chunks", 9)],
        ("/text", 0),
        *[("/text", 7), ("/chunks", 9), ("/text", 7)],
    ]


async def test_hd_10_a_file_is_counted(tmp_path: Path, autojump_clock: MockClock) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300_000)
    observer = Observer()
    async with serving(
        (observer, tt.sync_handler(lambda conn: conn.ok(tt.Body.from_path(path))))
    ) as app:
        client = app.connect()
        assert len((await client.get("/f")).body) == 300_000
        await client.get("/f", method="HEAD")
    assert [seen[2:] for seen in observer.seen] == [(300_000, COMPLETE), (0, COMPLETE)]


async def test_hd_10_the_duration_ends_with_the_response(autojump_clock: MockClock) -> None:
    observer = Observer()
    async with serving((observer, handle)) as app:
        client = app.connect()
        head = request("/two-seconds")
        await client.send(head[:10])
        await trio.sleep(1)
        await client.send(head[10:])
        await client.response()
        await client.get("/early")
        assert len(observer.seen) == 1, "its handler still runs"
        await trio.sleep(5)
    assert observer.durations == pytest.approx([3, 0])


@pytest.mark.parametrize(
    ("target", "status", "least", "most"),
    [("/sleep", 503, 20, 20), ("/endless", 200, 5_000, 5_000), ("/early", 201, 5, 5)],
)
async def test_hd_10_a_cut_is_observed(
    target: str, status: int, least: int, most: int, autojump_clock: MockClock
) -> None:
    observer = Observer()
    config = tt.config().with_drain_timeout(5 if target != "/early" else 1)
    async with serving((observer, handle), config) as app:
        client = app.connect()
        await client.send(request(target))
        await settled()
        app.handle.shut_down()
        assert (await client.response()).status == status
        await app.handle
    [(_, seen, body_bytes, outcome)] = observer.seen
    assert seen == status
    assert least <= body_bytes <= most
    assert outcome is (COMPLETE if target == "/early" else CUT)


async def test_hd_10_a_cancelled_server_is_observed(autojump_clock: MockClock) -> None:
    observer = Observer()
    with trio.CancelScope() as scope:
        async with serving((observer, handle)) as app:
            await app.connect().send(request("/sleep"))
            await settled()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert observer.seen == [("/sleep", None, 0, CUT)]


async def test_hd_10_a_handler_that_finishes_in_spite_of_a_cut(autojump_clock: MockClock) -> None:
    async def stubborn(conn: tt.Conn) -> tt.Conn:
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
        return conn.ok("done")

    observer = Observer()
    async with serving((observer, stubborn), tt.config().with_drain_timeout(1)) as app:
        client = app.connect()
        await client.send(request())
        await settled()
        app.handle.shut_down()
        assert (await client.response()).body == b"done"
    assert observer.seen == [("/", 200, 4, COMPLETE)]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (request("/read", "Content-Length: 100", method="PUT") + b"x", None),
        (request("/read", "Transfer-Encoding: chunked", method="PUT") + chunked(b"x")[:-1], None),
        (request("/endless"), 200),
    ],
)
async def test_hd_10_a_client_that_leaves_is_observed(
    message: bytes, status: int | None, autojump_clock: MockClock
) -> None:
    observer = Observer()
    async with serving((observer, handle)) as app:
        client = app.connect()
        await client.send(message)
        await settled()
        await client.stream.aclose()
        await trio.sleep(5)
    [(_, seen, _, outcome)] = observer.seen
    assert (seen, outcome) == (status, DISCONNECTED)


class Upgrading(tt.Handler):
    async def run(self, conn: tt.Conn) -> tt.Conn:
        return conn.with_response_header("upgrade", "x").upgrade()

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        return True

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        await talk(upgrade.path, upgrade.transport)


async def upgrade_early(conn: tt.Conn) -> tt.Conn:
    await conn.with_response_header("upgrade", "x").upgrade().send_now()
    await talk(conn.path, conn.transport)
    return conn


async def talk(path: str, transport: tt.Transport) -> None:
    await transport.send_some(b"hello")
    await trio.sleep(2)
    match path:
        case "/raise":
            raise ValueError("in the upgrade")
        case "/leave":
            raise tt.ClientDisconnected("it has left")
        case "/cut":
            await trio.sleep_forever()


@pytest.mark.parametrize("handler", [Upgrading(), upgrade_early], ids=["upgrade", "send_now"])
@pytest.mark.parametrize(
    ("path", "outcome"),
    [("/", COMPLETE), ("/raise", FAILED), ("/leave", DISCONNECTED), ("/cut", CUT)],
)
async def test_hd_10_an_upgrade_is_observed_when_it_is_over(
    handler: tt.Handler, path: str, outcome: tt.Outcome, autojump_clock: MockClock
) -> None:
    observer = Observer()
    async with serving((observer, handler), tt.config().with_drain_timeout(5)) as app:
        client = app.connect()
        assert (await client.get(path, *UPGRADE)).status == 101
        assert observer.seen == []
        app.handle.shut_down()
        await client.rest()
    assert observer.seen == [(path, 101, 0, outcome)]
    assert observer.durations == pytest.approx([5 if path == "/cut" else 2])


async def test_hd_10_an_event_stream_is_observed_when_it_is_over(
    autojump_clock: MockClock,
) -> None:
    async def events(conn: tt.Conn) -> AsyncIterator[Event]:
        yield Event(data="one")
        await trio.sleep(3)
        yield Event(data="two")

    observer = Observer()
    async with serving((observer, EventStream(events, retry=None))) as app:  # type: ignore[arg-type]  # a generator
        response = await app.connect().get("/events")
        assert response.body == b"data: one\n\ndata: two\n\n"
        await settled()
    assert observer.seen == [("/events", 200, len(response.body), COMPLETE)]
    assert observer.durations == pytest.approx([3])


async def test_hd_10_malformed_heads_reach_no_observer(autojump_clock: MockClock) -> None:
    observer = Observer()
    async with serving((observer, handle)) as app:
        for message in (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /"):
            client = app.connect()
            await client.send(message)
            assert (await client.response()).status in {400, 408}
    assert observer.seen == []


async def test_hd_10_an_observer_that_raises_prevents_nothing(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    class Raising(tt.Handler):
        def after_send(self, conn: tt.Conn, sent: tt.Sent) -> None:
            raise ValueError("in the observer")

    outer, inner = Observer(), Observer()
    async with serving((outer, Raising(), inner, handle)) as app:
        client = app.connect()
        for target in ("/text", "/chunks"):
            assert (await client.get(target)).status == 200
        assert app.guards == 0
    assert len(outer.seen) == len(inner.seen) == 2
    failures = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert len(failures) == 2
    assert failures[0].endswith("GET /text: Raising.after_send raised")


async def test_hd_10_observers_are_called_in_reverse(autojump_clock: MockClock) -> None:
    names: list[str] = []

    class Named(tt.Handler):
        def __init__(self, name: str) -> None:
            self._name = name

        def after_send(self, conn: tt.Conn, sent: tt.Sent) -> None:
            names.append(self._name)

    async def last(conn: tt.Conn) -> None:
        names.append("conn")

    async def answer(conn: tt.Conn) -> tt.Conn:
        return conn.after_send(last).ok("x")

    async with serving((Named("a"), Named("b"), answer, Named("c"))) as app:
        await app.connect().get()
    assert names == ["conn", "c", "b", "a"]


async def test_hd_10_an_observer_in_a_router_sees_its_routes(autojump_clock: MockClock) -> None:
    observer = Observer()
    router = Router().get("/a", (observer, handle)).get("/text", handle)
    router.mount("/below", (observer, handle))
    async with serving(router) as app:
        client = app.connect()
        for target in ("/a", "/text", "/below/x", "/nowhere"):
            await client.get(target)
    assert [seen[0] for seen in observer.seen] == ["/a", "/below/x"]


async def test_hd_10_an_observer_below_a_timeout_sees_its_requests(
    autojump_clock: MockClock,
) -> None:
    observer = Observer()
    async with serving(Timeout((observer, handle), seconds=1)) as app:
        client = app.connect()
        for target in ("/text", "/two-seconds"):
            await client.get(target)
    assert [seen[:2] for seen in observer.seen] == [("/text", 200), ("/two-seconds", 503)]


def test_hd_10_an_async_observer_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.after_send is called without await"):

        class Wrong(tt.Handler):
            async def after_send(self, conn: tt.Conn, sent: tt.Sent) -> None:  # type: ignore[override]  # that is wrong
                pass


async def test_hd_10_an_exit_of_an_observer_ends_the_server(autojump_clock: MockClock) -> None:
    class Exiting(tt.Handler):
        def after_send(self, conn: tt.Conn, sent: tt.Sent) -> None:
            raise SystemExit(3)

    with pytest.raises(SystemExit):
        async with serving((Exiting(), handle)) as app:
            await app.connect().get("/text")
            await trio.sleep(5)
