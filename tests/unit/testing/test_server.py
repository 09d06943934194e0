"""A server in memory, asked by its clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import h11
import pytest
import trio

from trillium_trio import (
    Body,
    Config,
    Conn,
    Handler,
    HttpConfig,
    Info,
    Init,
    Swansong,
    Upgrade,
)
from trillium_trio.testing import BreakingStream, MemoryStream, TestResponse, TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def echo(conn: Conn) -> Conn:
    """Answer with what was asked."""
    asked = {
        "method": conn.method,
        "path": conn.path,
        "query": conn.querystring,
        "headers": dict(conn.request_headers.items()),
        "body": (await conn.request_body.read()).decode(),
    }
    return conn.ok(json.dumps(asked)).with_response_header("content-type", "application/json")


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
async def test_there_is_a_function_for_each_method(method: str) -> None:
    async with TestServer(echo) as app:
        response = await getattr(app, method)("/a?b=c", headers={"x-y": "z"})
    asked = response.assert_ok().assert_header("content-type", "application/json").json()
    assert asked["method"] == method.upper()
    assert (asked["path"], asked["query"]) == ("/a", "b=c")
    assert asked["headers"]["x-y"] == "z"
    assert asked["headers"]["host"] == "testserver"


async def test_a_head_response_has_no_body() -> None:
    async with TestServer("hello") as app:
        response = await app.head("/")
    response.assert_ok().assert_header("content-length", "5").assert_body(b"")


@pytest.mark.parametrize("headers", [{"a": "1", "Host": "other"}, [("a", "1"), ("Host", "other")]])
async def test_headers_may_be_a_mapping_or_pairs(
    headers: dict[str, str] | list[tuple[str, str]],
) -> None:
    async with TestServer(echo) as app:
        asked = (await app.get("/", headers=headers)).json()
    assert asked["headers"] == {"a": "1", "Host": "other"}


async def test_a_body_may_be_bytes_text_json_or_a_stream() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"in "
        yield b"pieces"

    async with TestServer(echo) as app:
        assert (await app.post("/", body=b"bytes")).json()["body"] == "bytes"
        assert (await app.post("/", body="täxt")).json()["body"] == "täxt"
        asked = (await app.post("/", json=None)).json()
        assert asked["body"] == "null"
        assert asked["headers"]["content-type"] == "application/json"
        asked = (await app.post("/", body=pieces())).json()
        assert asked["body"] == "in pieces"
        assert asked["headers"]["transfer-encoding"] == "chunked"
        assert (await app.post("/")).json()["headers"]["content-length"] == "0"
        assert "content-length" not in (await app.get("/")).json()["headers"]
        with pytest.raises(TypeError, match="not both"):
            await app.post("/", body=b"x", json=1)


async def test_a_response_may_come_before_the_request_has_ended() -> None:
    async def early(conn: Conn) -> Conn:
        return conn.with_status(413).with_body("enough")

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await trio.sleep_forever()

    async with TestServer(early) as app:
        (await app.post("/", body=endless())).assert_status(413).assert_body("enough")


async def test_an_error_in_the_body_of_a_request_is_raised_bare() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    async with TestServer(echo) as app:
        with pytest.raises(ZeroDivisionError):
            await app.post("/", body=broken())


async def test_a_connection_that_breaks_while_a_body_is_sent_is_an_error() -> None:
    closed: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            closed.append("pieces")

    async with TestServer(echo) as app:
        session = app.session(wrap_server=lambda stream: BreakingStream(stream, at=3, on="receive"))
        with pytest.raises(ConnectionResetError, match="POST /: incomplete response"):
            await session.post("/", body=pieces())
        assert closed == ["pieces"]


async def test_a_request_that_is_no_http_is_refused_by_the_client() -> None:
    async with TestServer(echo) as app:
        with pytest.raises(h11.LocalProtocolError):
            await app.request("NO SUCH", "/")


async def test_an_upgrade_ends_the_response() -> None:
    class Greeter(Handler):
        async def run(self, conn: Conn) -> Conn:
            conn.response_headers.set("upgrade", "greeting")
            conn.response_headers.set("connection", "upgrade")
            return conn.upgrade()

        def has_upgrade(self, upgrade: Upgrade) -> bool:
            return True

        async def upgrade(self, upgrade: Upgrade) -> None:
            await upgrade.transport.send_some(b"hello")

    headers = {"upgrade": "greeting", "connection": "upgrade"}
    async with TestServer(Greeter()) as app:
        (await app.get("/", headers=headers)).assert_status(101).assert_body(b"")
        peer = app.connect()
        await peer.send(
            b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: greeting\r\nconnection: upgrade\r\n\r\n"
        )
        (await peer.receive_response()).assert_status(101)
        assert await peer.receive_some() == b"hello"


async def test_a_session_keeps_its_connection() -> None:
    served: list[str] = []

    async def handler(conn: Conn) -> Conn:
        served.append(conn.path)
        return conn.ok("x")

    accepted: list[MemoryStream] = []

    def keep(stream: MemoryStream) -> MemoryStream:
        accepted.append(stream)
        return stream

    async with TestServer(handler) as app, app.session(wrap_server=keep) as session:
        for path in ("/1", "/2"):
            response = await session.get(path)
            assert not response.is_closing
        response = await session.get("/3", headers={"connection": "close"})
        assert response.is_closing
        with pytest.raises(trio.ClosedResourceError):
            await session.get("/4")
    assert served == ["/1", "/2", "/3"]
    assert len(accepted) == 1


async def test_a_response_that_breaks_off_is_an_error() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a piece"
        raise ZeroDivisionError

    async def handler(conn: Conn) -> Conn:
        return conn.ok(Body.streaming(pieces(), length=100 if conn.path == "/length" else None))

    async with TestServer(handler) as app:
        for path in ("/length", "/chunked"):
            with pytest.raises(ConnectionResetError, match=f"GET {path}: incomplete .*a piece"):
                await app.get(path)


async def test_a_stop_refuses_new_connections_and_drains() -> None:
    async def handler(conn: Conn) -> Conn:
        await conn.swansong.shutting_down()
        return conn.ok("finished")

    async with TestServer(handler) as app, trio.open_nursery() as nursery:

        async def ask() -> None:
            response = await app.get("/")
            response.assert_body("finished").assert_header("connection", "close")

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert app.swansong.guard_count == 1
        assert app.handle.is_running
        report = await app.shut_down()
        assert report.is_clean
        assert report.finished == 1
        with pytest.raises(ConnectionRefusedError):
            await app.get("/")


async def test_a_stop_stops_this_server_alone() -> None:
    shared = Swansong()
    config = Config(swansong=shared)
    async with TestServer("one", config) as one, TestServer("two", config) as two:
        await one.shut_down()
        assert shared.is_running
        (await two.get("/")).assert_body("two")
        await shared.shut_down()
        with pytest.raises(ConnectionRefusedError):
            two.connect()


async def test_leaving_closes_the_peers_and_drains(autojump_clock: trio.testing.MockClock) -> None:
    async with TestServer("hello") as app:
        start = trio.current_time()
        idle, part, session = app.connect(), app.connect(), app.session()
        (await session.get("/")).assert_ok()
        await part.send(b"GET / HT")
        await trio.testing.wait_all_tasks_blocked()
    # Neither the grace of the one nor the timeout of the other was waited for.
    assert trio.current_time() == start
    with pytest.raises(trio.ClosedResourceError):
        await idle.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await session.get("/")
    assert app.swansong.guard_count == 0


async def test_a_handler_that_hangs_is_cut(autojump_clock: trio.testing.MockClock) -> None:
    async def hang(conn: Conn) -> Conn:
        await trio.sleep_forever()
        return conn

    async with TestServer(hang) as app:
        start = trio.current_time()
        await app.connect().send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() - start == pytest.approx(5.0)
    assert not (await app.handle).is_clean


async def test_an_exception_in_the_block_leaves_bare_and_cancels() -> None:
    cancelled: list[str] = []

    async def hang(conn: Conn) -> Conn:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(conn.path)

    with pytest.raises(ZeroDivisionError):
        async with TestServer(hang) as app:
            await app.connect().send(b"GET /hung HTTP/1.1\r\nhost: a\r\n\r\n")
            await trio.testing.wait_all_tasks_blocked()
            raise ZeroDivisionError
    assert cancelled == ["/hung"]


async def test_an_exception_while_starting_leaves_bare() -> None:
    async def fail(info: Info) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with TestServer(Init(fail)):
            pytest.fail("it is not ready")


async def test_the_settings_are_the_given_ones(autojump_clock: trio.testing.MockClock) -> None:
    config = Config(port=1, http=HttpConfig(server_header="mine", head_timeout=7.0))
    async with TestServer("hello", config) as app:
        (await app.get("/")).assert_header("server", "mine")
        assert [each.name for each in app.handle.listeners] == ["MemoryListener"]
        start = trio.current_time()
        await app.connect().expect_close(within=60)
        assert trio.current_time() - start == pytest.approx(7.0)


def test_it_has_to_be_entered_first() -> None:
    with pytest.raises(AssertionError, match="enter it first"):
        _ = TestServer("hello").handle


def test_pytest_collects_neither_class() -> None:
    # By their names it would, with a warning; so it says about any that it cannot make.
    assert TestServer.__test__ is False
    assert TestResponse.__test__ is False
