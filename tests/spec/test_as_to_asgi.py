"""The clause of docs/spec/asgi.md about our handlers under other servers, which AS-19 is."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

import trillium_trio as tt
from tests.wire import UPGRADE, request, serving, settled
from trillium_trio.asgi import Asgi, to_asgi
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trillium_trio.asgi import Message, Receive, Scope, Send
    from trillium_trio.conn import HandlerLike


def client_of(handler: HandlerLike) -> httpx.AsyncClient:
    """Return a client of a server that is not ours."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(to_asgi(handler), raise_app_exceptions=False),
        base_url="http://elsewhere",
    )


async def route(conn: tt.Conn) -> tt.Conn:
    match conn.path:
        case "/text":
            return conn.ok(f"{conn.method} {conn.querystring} {conn.host} {conn.peer_ip}")
        case "/echo":
            return conn.ok(await conn.request_body.read())
        case "/stream":
            return conn.ok(tt.Body.streaming(pieces()))
        case "/refused":
            raise tt.MethodNotAllowed(["GET"])
        case "/broken":
            raise ValueError("boom")
        case "/upgrade":
            return conn.upgrade()
        case "/now":
            await conn.ok("now").send_now()
            raise ValueError("late")
    return conn


async def pieces() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"two"


class Hook(tt.Handler):
    async def before_send(self, conn: tt.Conn) -> tt.Conn:
        return conn.with_response_header("x-hook", str(conn.status))


async def test_as_19_requests_and_responses() -> None:
    async with client_of((Hook(), route)) as client:
        response = await client.get("/text?a=b")
        assert response.text == "GET a=b elsewhere 127.0.0.1"
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert response.headers["x-hook"] == "200"
        assert (await client.post("/echo", content=b"x" * 1000)).content == b"x" * 1000
        assert (await client.get("/stream")).text == "one two"
        refused = await client.get("/refused")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
        assert (await client.get("/broken")).status_code == 500
        assert (await client.get("/missing")).text == "Not Found\n"
        assert (await client.get("/upgrade")).status_code == 500
        assert (await client.get("/now")).text == "now"


async def test_as_19_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(tmp_path / "file"))

    async with client_of(handler) as client:
        response = await client.get("/")
        assert (response.content, response.headers["content-length"]) == (b"content", "7")
        head = await client.head("/")
        assert (head.content, head.headers["content-length"]) == (b"", "7")


async def test_as_19_a_file_that_is_missing_is_a_500(tmp_path: Path) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(tmp_path / "none"))

    async with client_of(handler) as client:
        response = await client.get("/")
        assert (response.status_code, response.text) == (500, "Internal Server Error\n")


async def test_as_19_a_client_that_has_left_is_no_failure() -> None:
    seen: list[tt.Outcome] = []

    class Observer(tt.Handler):
        def after_send(self, conn: tt.Conn, sent: tt.Sent) -> None:
            seen.append(sent.outcome)

    app = to_asgi((Observer(), route))

    async def leaves(scope: Scope, receive: Receive, send: Send) -> None:
        async def fail(message: Message) -> None:
            raise OSError("the client has left")

        await app(scope, receive, fail)

    transport = httpx.ASGITransport(leaves)
    async with httpx.AsyncClient(transport=transport, base_url="http://elsewhere") as client:
        with pytest.raises(AssertionError):  # by httpx, which has got no response
            await client.get("/text")
    assert seen == [tt.Outcome.DISCONNECTED]


async def test_as_19_parts_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    files = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        files.append((tmp_path / "file").open("rb"))
        return conn.ok(tt.Body.from_file(files[-1], b"[", range(2, 5), b"]"))

    async with client_of(handler) as client:
        response = await client.get("/")
        assert (response.content, response.headers["content-length"]) == (b"[234]", "5")
        head = await client.head("/")
        assert (head.content, head.headers["content-length"]) == (b"", "5")
    assert [file.closed for file in files] == [True, True]


async def test_as_19_a_body_has_its_limit() -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(await conn.request_body.read())

    app = to_asgi(handler, http=tt.HttpConfig(max_body_bytes=10))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.post("/", content=b"x" * 10)).status_code == 200
        assert (await client.post("/", content=b"x" * 11)).status_code == 413


def test_as_19_a_handler_that_does_not_call_trio_runs_on_asyncio() -> None:
    async def main() -> None:
        async with client_of((Hook(), route)) as client:
            assert (await client.post("/echo", content=b"body")).content == b"body"
            assert (await client.get("/stream")).text == "one two"

    asyncio.run(main())


async def test_as_19_the_lifespan_and_background_work(autojump_clock: object) -> None:
    log: list[object] = []

    @asynccontextmanager
    async def resource(info: tt.Info) -> AsyncIterator[None]:
        log.append("enter")
        info.insert_shared_state(42)
        yield
        log.append("leave")

    async def work() -> None:
        await trio.sleep(2)
        log.append("work")

    async def handler(conn: tt.Conn) -> tt.Conn:
        async def after(conn: tt.Conn) -> None:
            log.append(("after", conn.status))

        conn.start_soon(work)
        return conn.after_send(after).ok(str(conn.shared_state(int)))

    async with TestServer(Asgi(to_asgi((tt.Lifespan(resource), handler)))) as server:
        (await server.get("/")).assert_body("42")
    assert log == ["enter", ("after", 200), "work", "leave"]


async def test_as_19_a_failing_start_is_said(autojump_clock: object) -> None:
    async def fails(info: tt.Info) -> None:
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        async with TestServer(Asgi(to_asgi(tt.Init(fails)))):
            pass


async def test_as_19_websockets_are_refused(autojump_clock: object) -> None:
    fields = ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    async with serving(Asgi(to_asgi(route))) as server:
        peer = server.connect()
        await peer.send(request("/", UPGRADE[0], "Upgrade: websocket", *fields))
        assert (await peer.response()).status == 403


async def test_as_19_a_client_that_leaves_is_noticed(autojump_clock: object) -> None:
    seen: list[object] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        async with conn.cancel_on_disconnect() as scope:
            await trio.sleep_forever()
        seen.append((scope.cancelled_caught, await conn.is_disconnected()))
        return conn

    async with serving(Asgi(to_asgi(handler))) as server:
        peer = server.connect()
        await peer.send(request())
        await settled()
        await peer.stream.aclose()
        await settled()
        assert server.guards == 0
    assert seen == [(True, True)]


async def test_as_19_observers_are_told_what_was_sent() -> None:
    seen: list[tuple[str, int | None, int, tt.Outcome]] = []

    class Observer(tt.Handler):
        def after_send(self, conn: tt.Conn, sent: tt.Sent) -> None:
            assert sent.duration >= 0
            seen.append((conn.path, sent.status, sent.body_bytes, sent.outcome))

    async def breaks(conn: tt.Conn) -> tt.Conn:
        async def body() -> AsyncIterator[bytes]:
            yield b"one"
            raise ValueError("boom")

        return conn.ok(tt.Body.streaming(body())) if conn.path == "/breaks" else conn

    async with client_of((Observer(), breaks, route)) as client:
        for path in ("/stream", "/broken", "/now"):
            await client.get(path)
        await client.head("/stream")
        await client.get("/breaks")
    complete = tt.Outcome.COMPLETE
    assert seen == [
        ("/stream", 200, 7, complete),
        ("/broken", 500, 22, complete),
        ("/now", 200, 3, complete),
        ("/stream", 200, 0, complete),
        ("/breaks", 200, 3, tt.Outcome.FAILED),
    ]
