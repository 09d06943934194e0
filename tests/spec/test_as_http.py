"""The clauses of docs/spec/asgi.md about requests."""

from __future__ import annotations

import gc
import logging
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

import trillium_trio as tt
from tests.spec._asgi import Noting, answering, body, drain, start
from tests.spec._stalling import Stalling
from tests.unit.transport._tls import client_context, server_context
from tests.wire import Peer, chunked, request, serving, settled
from trillium_trio.asgi import Asgi, SendError
from trillium_trio.handlers import Forwarded, Router
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from trillium_trio.asgi import Message, Receive, Scope, Send


# -- AS-1, AS-2: the scope -------------------------------------------------------------------------


async def test_as_1_the_scope_of_a_plain_request(autojump_clock: object) -> None:
    app = Noting()
    async with serving(Asgi(app)) as server:
        peer = server.connect()
        await peer.get("/a%20b/%C3%A9?x=%20&y", "X-Two: 1", "x-two:  2 ", "COOKIE: a=b")
    scope = app.scope
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert scope["http_version"] == "1.1"
    assert (scope["method"], scope["scheme"]) == ("GET", "http")
    assert scope["path"] == "/a b/é"
    assert scope["raw_path"] == b"/a%20b/%C3%A9"
    assert scope["query_string"] == b"x=%20&y"
    assert scope["root_path"] == ""
    assert scope["headers"] == [
        (b"host", b"x"),
        (b"x-two", b"1"),
        (b"x-two", b"2"),
        (b"cookie", b"a=b"),
    ]
    assert "tls" not in scope["extensions"]
    assert "state" not in scope


@pytest.mark.parametrize(
    ("target", "path", "raw"),
    [
        ("/%ff", "/\ufffd", b"/%ff"),
        ("http://other/abs?q=1", "/abs", b"/abs"),
        ("http://other", "/", b"/"),
        ("//double/x", "//double/x", b"//double/x"),
    ],
)
async def test_as_1_paths_are_decoded_and_raw_ones_are_not(
    target: str, path: str, raw: bytes, autojump_clock: object
) -> None:
    app = Noting()
    async with serving(Asgi(app)) as server:
        await server.connect().get(target)
    assert (app.scope["path"], app.scope["raw_path"]) == (path, raw)


async def test_as_1_client_and_server_are_text_and_number(tmp_path: Path) -> None:
    app = Noting()
    config = tt.config().bind_tcp("127.0.0.1:0").bind_unix(str(tmp_path / "s")).without_signals()
    async with config.serving(Asgi(app)) as handle:
        tcp = await trio.open_tcp_stream("127.0.0.1", handle.port)
        await Peer(tcp).get()
        assert app.scope["client"] == tcp.socket.getsockname()
        assert app.scope["server"] == ("127.0.0.1", handle.port)
        unix = await trio.open_unix_socket(tmp_path / "s")
        await Peer(unix).get()
        assert app.scope["client"] is None
        assert app.scope["server"] == (str(tmp_path / "s"), None)
        await tcp.aclose()
        await unix.aclose()


async def test_as_1_each_request_has_its_own_dictionaries(autojump_clock: object) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((dict(scope["asgi"]), list(scope["headers"]), dict(scope["extensions"])))
        scope["asgi"]["mine"] = 1
        scope["headers"].append((b"mine", b"1"))
        scope["extensions"]["mine"] = {}
        await send(start())
        await send(body())

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.get()
        await peer.get()
    assert seen[0] == seen[1]


async def test_as_1_requests_of_one_connection_differ_where_a_proxy_says_so(
    autojump_clock: object,
) -> None:
    app = Noting()
    async with serving((Forwarded(["*"]), Asgi(app))) as server:
        peer = server.connect()
        seen = []
        for host, scheme in (("1.2.3.4", "https"), ("5.6.7.8", "http")):
            await peer.get("/", f"X-Forwarded-For: {host}", f"X-Forwarded-Proto: {scheme}")
            seen.append((app.scope["client"], app.scope["scheme"]))
    assert seen == [(("1.2.3.4", 0), "https"), (("5.6.7.8", 0), "http")]


async def test_as_1_tls_has_its_facts(autojump_clock: object) -> None:
    app = Noting()
    async with serving(Asgi(app), tls=server_context()) as server:
        plain = server.connect()
        stream = trio.SSLStream(plain.stream, client_context(), server_hostname="localhost")
        peer = Peer(stream)
        assert (await peer.get()).status == 200
        first = app.scope
        assert (await peer.get()).status == 200
        assert first["extensions"] == app.scope["extensions"]
        await stream.aclose()
    assert app.scope["scheme"] == "https"
    tls = app.scope["extensions"]["tls"]
    assert tls.keys() == {
        "server_cert",
        "client_cert_chain",
        "client_cert_name",
        "client_cert_error",
        "tls_version",
        "cipher_suite",
    }
    assert tls["tls_version"] == 0x0304
    assert 0x1301 <= tls["cipher_suite"] <= 0x1305


@pytest.mark.parametrize(
    ("root", "target", "path"),
    [
        ("/api", "/x", "/api/x"),  # a proxy that strips the prefix
        ("/api", "/api/x", "/api/x"),  # one that passes it
        ("/api/", "/api", "/api"),
        ("/api", "/apix", "/api/apix"),
        ("/api", "/", "/api/"),
        ("", "/x", "/x"),
        ("/ü", "/%C3%BC/x", "/ü/x"),
    ],
)
async def test_as_2_the_root_path_is_in_the_path_once(
    root: str, target: str, path: str, autojump_clock: object
) -> None:
    app = Noting()
    async with serving(Asgi(app, root_path=root)) as server:
        await server.connect().get(target)
    assert app.scope["path"] == path
    assert app.scope["root_path"] == root.rstrip("/")


def test_as_2_a_root_path_begins_with_a_slash() -> None:
    with pytest.raises(tt.ConfigError, match="root_path must be empty or begin with a slash"):
        Asgi(Noting(), root_path="api")


@pytest.mark.parametrize(
    ("root", "target", "root_path", "path"),
    [
        ("", "/sites/a%20b/x/y", "/sites/a b", "/sites/a b/x/y"),
        ("", "/sites/7", "/sites/7", "/sites/7"),
        ("/proxy", "/sites/7/x", "/proxy/sites/7", "/proxy/sites/7/x"),
    ],
)
async def test_as_2_below_a_mount(
    root: str, target: str, root_path: str, path: str, autojump_clock: object
) -> None:
    app = Noting()
    router = Router().mount("/sites/{site}", Asgi(answering(app), root_path=root))
    async with serving(router) as server:
        await server.connect().get(target)
    assert (app.scope["root_path"], app.scope["path"]) == (root_path, path)
    assert app.scope["raw_path"] == target.encode()
    assert app.scope["raw_path"] == target.encode()


# -- AS-3, AS-4: receive ---------------------------------------------------------------------------


async def test_as_3_the_first_receive_invites_the_body(autojump_clock: object) -> None:
    got = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got.append(await drain(receive))
        await send(start())
        await send(body(b"read"))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request("/", "Expect: 100-continue", "Content-Length: 4", method="POST"))
        assert (await peer.receive()).startswith(b"HTTP/1.1 100")
        await peer.send(b"body")
        assert (await peer.response()).body == b"read"
        assert (await peer.get()).body == b"read"
    assert got == [b"body", b""]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (request(method="POST", body=b"x" * 200), 413),
        (request("/", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n", 400),
        (request("/", "Content-Length: 9", method="POST") + b"some", 408),
    ],
    ids=["too large", "malformed", "stalled"],
)
async def test_as_3_a_bad_body_is_a_disconnect_there_and_an_answer_here(
    message: bytes, status: int, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not got or got[-1]["type"] != "http.disconnect":
            got.append(await receive())
        got.append(await receive())
        with pytest.raises(OSError, match="disconnected"):
            await send(start())
            await send(body(b"mine"))

    async with serving(Asgi(answering(app)), max_body_bytes=100) as server:
        peer = server.connect()
        await peer.send(message)
        response = await peer.response()
        assert (response.status, response.closes) == (status, True)
    assert [each["type"] for each in got[-2:]] == ["http.disconnect"] * 2
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_as_3_a_client_that_leaves_is_a_disconnect_after_its_bytes(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not got or got[-1]["type"] != "http.disconnect":
            got.append(await receive())
        raise ValueError("what the framework makes of it")

    caplog.set_level(logging.DEBUG)
    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request("/", "Content-Length: 9", method="POST") + b"some")
        await settled()
        await peer.stream.aclose()
        await settled()
    assert [each.get("body") for each in got] == [b"some", None]
    lines = [each for each in caplog.records if "what the framework" in each.getMessage()]
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING], lines


async def test_as_4_disconnect_comes_after_the_response_and_again(autojump_clock: object) -> None:
    got = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got.append(await receive())
        await send(start())
        await send(body(b"sent"))
        got.extend([await receive(), await receive()])

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        for _ in range(2):
            assert (await peer.get()).body == b"sent"
    assert [each["type"] for each in got] == ["http.request", *["http.disconnect"] * 2] * 2


async def test_as_4_receive_waits_until_the_response_is_sent(autojump_clock: object) -> None:
    seen: list[tuple[float, str]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        begin = trio.current_time()

        async def listen() -> None:
            kind = (await receive())["type"]
            seen.append((trio.current_time() - begin, kind))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            nursery.start_soon(listen)
            await trio.sleep(5)
            await send(start())
            await send(body(b"sent", more_body=True))
            await trio.sleep(5)
            await send(body())

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        assert (await peer.get()).body == b"sent"
        assert (await peer.get()).body == b"sent"
    assert seen == [(10, "http.disconnect")] * 4


@pytest.mark.parametrize("more", [b"", b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_as_4_receive_waits_until_the_client_leaves(
    more: bytes, autojump_clock: object
) -> None:
    got: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        got.extend([(await receive())["type"], (await receive())["type"]])
        await send(start())
        await send(body(b"still sent"))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request() + more)
        await settled()
        assert got == []
        assert isinstance(peer.stream, trio.StapledStream)
        await peer.stream.send_eof()
        # It has only half-closed, and the response reaches it.
        assert (await peer.response()).body == b"still sent"
    assert got[:2] == ["http.disconnect"] * 2


async def test_as_4_a_disconnect_is_seen_without_a_wait() -> None:
    """As Starlette's ``Request.is_disconnected`` asks, over a socket."""
    got: list[bool] = []
    asked = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

        async def is_disconnected() -> bool:
            message: Message = {}
            with trio.CancelScope() as scope:
                scope.cancel()
                message = await receive()
            return message.get("type") == "http.disconnect"

        got.append(await is_disconnected())
        asked.set()
        while not got[-1]:
            await trio.lowlevel.checkpoint()
            got.append(await is_disconnected())

    async with tt.config().with_port(0).without_signals().serving(Asgi(answering(app))) as handle:
        stream = await trio.open_tcp_stream("127.0.0.1", handle.port)
        await stream.send_all(request())
        await asked.wait()
        await stream.aclose()
    assert got[0] is False
    assert got[-1] is True


# -- AS-5: send after a disconnect -----------------------------------------------------------------


async def test_as_5_sending_to_a_client_that_has_gone_raises_an_oserror(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    raised: list[BaseException] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            while True:
                await send(body(b"piece", more_body=True))
                await trio.sleep(1)
        except OSError as error:
            raised.append(error)
        try:
            await send(body(b"again"))
        except OSError as error:
            raised.append(error)
            raise RuntimeError("as frameworks do") from error

    caplog.set_level(logging.DEBUG)
    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request())
        await peer.receive()
        await peer.stream.aclose()
        await trio.sleep(3)
    assert [type(each) for each in raised] == [SendError, SendError]
    assert isinstance(raised[0], tt.ClientDisconnected)
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_as_5_also_when_a_group_has_it(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())

        async def stream() -> None:
            while True:
                await send(body(b"piece", more_body=True))
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream)

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request())
        await peer.receive()
        await peer.stream.aclose()
        await trio.sleep(3)
        assert server.guards == 0
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


# -- AS-6 to AS-8: the response --------------------------------------------------------------------


def pairs() -> Iterator[tuple[object, object]]:
    yield bytearray(b"X-One"), memoryview(b"1")
    yield [b"x-two", b"2"][0], b"2"


async def test_as_6_headers_may_be_any_iterable_and_bodies_any_buffer(
    autojump_clock: object,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(201, pairs()))
        await send(body(memoryview(b"body")))

    async with TestServer(Asgi(answering(app))) as server:
        response = await server.get("/")
    response.assert_status(201).assert_body("body")
    response.assert_header("x-one", "1").assert_header("x-two", "2")
    response.assert_header("content-length", "4")


async def test_as_6_before_send_sees_the_response_of_the_application(
    autojump_clock: object,
) -> None:
    class Hook(tt.Handler):
        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            assert conn.response_headers["x-app"] == "1"
            return conn.with_response_header("x-hook", str(conn.status)).with_status(299)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"x-app", b"1")]))
        await send(body(b"body"))

    async with TestServer((Hook(), Asgi(answering(app)))) as server:
        response = await server.get("/")
    response.assert_status(299).assert_header("x-hook", "200").assert_body("body")


async def test_as_6_the_response_is_on_its_way_while_the_application_continues(
    autojump_clock: object,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"sent"))
        await trio.sleep(10)
        await send(body(b"ignored"))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        begin = trio.current_time()
        assert (await peer.get()).body == b"sent"
        assert trio.current_time() == begin
        assert server.guards == 1
        # The next request on this connection waits for the application.
        assert (await peer.get()).body == b"sent"
        assert trio.current_time() == begin + 10


@pytest.mark.parametrize(
    "header", [(b"x", b"1\r\ny: 2"), (b"x y", b"1"), (b"", b"1"), ("x", b"1"), (b"x", None)]
)
async def test_as_6_a_header_that_cannot_be_sent_is_an_error(
    header: tuple[object, object], autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"good", b"1"), header]))
        await send(body(b"body"))

    async with TestServer(Asgi(answering(app))) as server:
        response = await server.get("/")
    response.assert_status(500)
    assert "good" not in response.headers
    assert sum(each.levelno >= logging.ERROR for each in caplog.records) == 1


async def test_as_6_an_error_before_the_body_can_still_be_answered(
    autojump_clock: object,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(start(200, [(b"bad name", b"1")]))
        except ValueError:
            await send(start(503))
            await send(body(b"mine"))

    async with TestServer(Asgi(answering(app))) as server:
        (await server.get("/")).assert_status(503).assert_body("mine")


async def test_as_7_pieces_are_sent_before_send_returns(autojump_clock: object) -> None:
    sent = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for piece in (b"one", b"", b"two"):
            await send(body(piece, more_body=True))
            sent.append(piece)
            await trio.sleep(1)
        await send(body(b"three"))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request())
        head = await peer.receive()
        assert b"transfer-encoding: chunked" in head
        assert await peer.receive() == b"3\r\none\r\n"
        assert await peer.receive() == b"3\r\ntwo\r\n"
        assert await peer.receive() == b"5\r\nthree\r\n"
        assert await peer.receive() == b"0\r\n\r\n"
        # And the connection goes on.
        assert (await peer.get()).body == b"onetwothree"


async def test_as_7_send_waits_for_a_slow_peer(autojump_clock: object) -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(start())
        for _ in range(3):
            await send(body(b"x" * 100, more_body=True))
            sent += 1

    stalling = Stalling(at=3)
    async with TestServer(Asgi(answering(app))) as server:
        peer = server.connect(wrap_server=stalling)
        await peer.send(request())
        await stalling.stream.wait_stalled()
        await settled()
        assert sent == 1
        # Until the write timeout: the application raises SendError, quietly.
        await trio.sleep(60)
        assert server.swansong.guard_count == 0
    assert sent == 1


async def test_as_7_several_tasks_may_send(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        async with trio.open_nursery() as nursery:
            for letter in (b"a", b"b", b"c"):
                nursery.start_soon(send, body(letter * 1000, more_body=True))
        await send(body())

    async with TestServer(Asgi(answering(app))) as server:
        response = await server.get("/")
    assert sorted(response.text) == sorted("a" * 1000 + "b" * 1000 + "c" * 1000)
    assert {response.text[at : at + 1000] for at in (0, 1000, 2000)} == {
        letter * 1000 for letter in "abc"
    }


async def test_as_7_a_before_send_may_wrap_the_body(autojump_clock: object) -> None:
    async def shout(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in source:
            await trio.sleep(0)
            yield piece.upper()
        yield b"!"

    class Shout(tt.Handler):
        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            source = conn.response_body.source
            return conn.with_body(tt.Body.streaming(shout(source)))  # type: ignore[arg-type]  # it is

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for piece in (b"one ", b"two"):
            await send(body(piece, more_body=True))
        await send(body())

    async with TestServer((Shout(), Asgi(answering(app)))) as server:
        (await server.get("/")).assert_body("ONE TWO!")


@pytest.mark.parametrize("coding", [b"chunked", b"gzip, chunked"])
async def test_as_8_transfer_encoding_is_dropped(coding: bytes, autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"Transfer-Encoding", coding)]))
        await send(body(b"one", more_body=True))
        await send(body(b"two"))

    async with TestServer(Asgi(answering(app))) as server:
        response = await server.get("/")
    response.assert_body("onetwo").assert_header("transfer-encoding", "chunked")


async def test_as_8_a_declared_length_is_kept(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"Content-Length", b"6")]))
        await send(body(b"one", more_body=True))
        await send(body(b"two"))

    async with TestServer(Asgi(answering(app))) as server:
        response = await server.get("/")
    response.assert_body("onetwo").assert_header("content-length", "6")
    assert "transfer-encoding" not in response.headers


@pytest.mark.parametrize("length", [b"5", b"7"])
async def test_as_8_a_whole_body_of_another_length_is_a_500(
    length: bytes, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"content-length", length)]))
        await send(body(b"sixsix"))

    async with TestServer(Asgi(answering(app))) as server:
        (await server.get("/")).assert_status(500)
    assert f"6 bytes where Content-Length declares {length.decode()}" in caplog.text


@pytest.mark.parametrize("length", [b"5", b"7"])
async def test_as_8_pieces_of_another_length_are_cut(
    length: bytes, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"content-length", length)]))
        await send(body(b"six", more_body=True))
        await send(body(b"six"))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        response = await peer.get()
        assert not response.is_whole
        assert len(response.body) <= int(length)
        assert await peer.ends()
    assert f"6 bytes where {length.decode()} were declared" in caplog.text
    assert sum(each.levelno >= logging.ERROR for each in caplog.records) == 1


@pytest.mark.parametrize("value", [b"x", b"+1", b""])
async def test_as_8_a_length_that_is_no_number_is_an_error(
    value: bytes, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"content-length", value)]))
        await send(body(b""))

    async with TestServer(Asgi(answering(app))) as server:
        (await server.get("/")).assert_status(500)


@pytest.mark.parametrize("more", [False, True])
async def test_as_8_what_has_no_body_gets_none(more: bool, autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        status = int(scope["path"][1:])
        await send(start(status, [(b"content-length", b"3")]))
        await send(body(b"one", more_body=more))
        if more:
            await send(body(b""))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        for method, status in (("HEAD", 200), ("GET", 304), ("GET", 204), ("HEAD", 404)):
            response = await peer.get(f"/{status}", method=method)
            assert (response.status, response.body, response.is_whole) == (status, b"", True)
            expected = None if status == 204 else "3"
            assert response.headers.get("content-length") == expected
            assert "transfer-encoding" not in response.headers


# -- AS-9: every end -------------------------------------------------------------------------------


async def nothing(send: Send) -> None:
    pass


async def only_start(send: Send) -> None:
    await send(start())


async def unfinished(send: Send) -> None:
    await send(start())
    await send(body(b"part", more_body=True))


async def unfinished_length(send: Send) -> None:
    await send(start(200, [(b"content-length", b"100")]))
    await send(body(b"part", more_body=True))


async def finished(send: Send) -> None:
    await send(start())
    await send(body(b"part"))


async def finished_in_pieces(send: Send) -> None:
    await send(start())
    await send(body(b"part", more_body=True))
    await send(body())


@pytest.mark.parametrize("end", ["returns", "raises"])
@pytest.mark.parametrize(
    ("sends", "status", "is_whole", "goes_on"),
    [
        (nothing, 500, True, True),
        (only_start, 500, True, True),
        (unfinished, 200, False, False),
        (unfinished_length, 200, False, False),
        (finished, 200, True, True),
        (finished_in_pieces, 200, True, True),
    ],
)
async def test_as_9_every_end_has_an_answer(
    sends: object,
    end: str,
    status: int,
    is_whole: bool,
    goes_on: bool,
    autojump_clock: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sends(send)  # type: ignore[operator]  # a function
        if end == "raises":
            raise ValueError("boom")

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        response = await peer.get()
        assert (response.status, response.is_whole) == (status, is_whole)
        await settled()
        assert server.guards == 0
        if goes_on:
            assert (await peer.get()).status == status
        else:
            assert await peer.ends()
    errors = [each for each in caplog.records if each.levelno >= logging.ERROR]
    is_error = end == "raises" or not (goes_on and status == 200)
    assert len(errors) == is_error * (1 + goes_on)


@pytest.mark.parametrize("is_started", [False, True])
async def test_as_9_to_return_after_the_client_has_left_is_no_failure(
    is_started: bool, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        if is_started:
            await send(body(b"piece", more_body=True))
        got.append(await receive())

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request())
        await settled()
        await peer.stream.aclose()
        await settled()
        assert server.guards == 0
    assert [each["type"] for each in got] == ["http.disconnect"]
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_as_9_an_http_error_has_its_status(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise tt.HttpError(409)

    async with TestServer(Asgi(answering(app))) as server:
        (await server.get("/")).assert_status(409)


async def test_as_9_messages_out_of_order(autojump_clock: object) -> None:
    refused = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in (body(b"early"), {"type": "http.response.unknown"}):
            with pytest.raises(tt.MisuseError):
                await send(message)
            refused.append(message)
        await send(start())
        with pytest.raises(tt.MisuseError, match="sent before"):
            await send(start())
        await send(body(b"body"))
        await send(body(b"late"))
        with pytest.raises(tt.MisuseError, match="sent before"):
            await send(start())

    async with TestServer(Asgi(answering(app))) as server:
        (await server.get("/")).assert_ok().assert_body("body")
    assert len(refused) == 2


@pytest.mark.parametrize(
    ("sends", "status", "is_whole"),
    [(nothing, 503, True), (unfinished, 200, False), (finished, 200, True)],
)
@pytest.mark.parametrize("swallows", [False, True])
def test_as_9_at_the_deadline_of_the_drain(
    sends: object,
    status: int,
    is_whole: bool,
    swallows: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sends(send)  # type: ignore[operator]  # a function
        if swallows:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                pass  # against trio's rules, and seen
        else:
            await trio.sleep_forever()

    async def serve() -> None:
        config = tt.config().with_drain_timeout(5).with_cleanup_timeout(1)
        async with serving(Asgi(answering(app)), config) as server:
            peer = server.connect()
            await peer.send(request())
            await settled()
            server.handle.shut_down()
            response = await peer.response()
            assert response.is_whole is is_whole
            assert response.status in {status, 500 if swallows else status}
            report = await server.handle
        assert not report.is_clean

    trio.run(serve, clock=trio.testing.MockClock(autojump_threshold=0))
    # A response that was left alone fails when it is collected, and that is logged.
    gc.collect()
    assert "generator" not in caplog.text


async def test_as_9_a_scope_of_the_application_may_end_a_send(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"one", more_body=True))
        with trio.move_on_after(1) as limit:
            await send(body(b"two", more_body=True))
        assert limit.cancelled_caught
        with pytest.raises(OSError, match="could not be sent"):
            await send(body(b"three"))

    stalling = Stalling(at=4)
    async with TestServer(Asgi(answering(app))) as server:
        peer = server.connect(wrap_server=stalling)
        await peer.send(request())
        await trio.sleep(2)
        assert server.swansong.guard_count == 0


# -- AS-10: extensions -----------------------------------------------------------------------------


@pytest.mark.parametrize("is_asked", [True, False])
@pytest.mark.parametrize("pieces", [1, 2])
async def test_as_10_trailers(is_asked: bool, pieces: int, autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["extensions"]["http.response.trailers"] == {}
        await send(start(200, [(b"trailer", b"x-sum")], trailers=True))
        if pieces == 2:
            await send(body(b"on", more_body=True))
        await send(body(b"e" if pieces == 2 else b"one"))
        await send(
            {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True}
        )
        await send({"type": "http.response.trailers", "headers": [(b"x-two", b"2")]})

    headers = {"te": "trailers"} if is_asked else {}
    async with TestServer(Asgi(answering(app))) as server:
        response = await server.get("/", headers=headers)
    response.assert_body("one")
    expected = [("x-sum", "1"), ("x-two", "2")] if is_asked else []
    assert response.trailers.items() == expected


async def test_as_10_pathsend(tmp_path: Path, autojump_clock: object) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["extensions"]["http.response.pathsend"] == {}
        await send(start(200, [(b"content-length", b"7"), (b"content-type", b"x/y")]))
        await send({"type": "http.response.pathsend", "path": str(path)})

    async with TestServer(Asgi(answering(app))) as server:
        response = await server.get("/")
        response.assert_body("content").assert_header("content-length", "7")
        response.assert_header("content-type", "x/y")
        (await server.head("/")).assert_body("").assert_header("content-length", "7")
        path.unlink()
        (await server.get("/")).assert_status(500)


@pytest.mark.parametrize("is_first", [True, False])
async def test_as_10_early_hints_come_before_the_response(
    is_first: bool, autojump_clock: object
) -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</a>; rel=preload", b"</b>"]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        messages = [hint, start()] if is_first else [start(), hint]
        for message in messages:
            await send(message)
        await send(body(b"body"))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request())
        assert await peer.receive() == (
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\nlink: </b>\r\n\r\n"
        )
        assert (await peer.response()).body == b"body"
        old = await server.connect().get("/", version="1.0")
        assert (old.informational, old.body) == ([], b"body")


# -- AS-11, AS-12 ----------------------------------------------------------------------------------


async def test_as_11_the_stop_is_in_the_scope_and_nothing_is_a_disconnect(
    autojump_clock: object,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        swansong = scope["extensions"]["trillium.shutdown"]
        assert isinstance(swansong, tt.Swansong)
        await receive()
        await send(start())
        with trio.move_on_after(2) as limit:
            await swansong.shutting_down()
        if limit.cancelled_caught:
            await send(body(b"not stopped"))
            return
        with trio.move_on_after(5) as limit:
            await receive()
        assert limit.cancelled_caught
        await send(body(b"still ", more_body=True))
        await trio.sleep(5)
        await send(body(b"sent"))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request())
        await settled()
        server.handle.shut_down()
        response = await peer.response()
        assert response.body == b"still sent"
        assert (await server.handle).is_clean


VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="untouched")


@pytest.mark.parametrize("is_pipelined", [False, True])
async def test_as_12_context_variables_are_those_of_one_request(
    is_pipelined: bool, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found = VARIABLE.get()
        VARIABLE.set("set before a wait")
        await trio.sleep(1)
        VARIABLE.set("set after it")
        await send(start())
        await send(body(found.encode()))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        if is_pipelined:
            await peer.send(request() * 3)
        for _ in range(3):
            response = await (peer.response() if is_pipelined else peer.get())
            assert response.body == b"untouched"


async def test_as_12_a_handler_before_it_may_set_variables(autojump_clock: object) -> None:
    inner = Asgi(answering(partial(_tell, VARIABLE)))

    async def outer(conn: tt.Conn) -> tt.Conn:
        token = VARIABLE.set(conn.path)
        await inner.run(conn)
        VARIABLE.reset(token)
        return conn

    async with serving(outer) as server:
        peer = server.connect()
        assert (await peer.get("/a")).body == b"/a"
        assert (await peer.get("/b")).body == b"/b"


async def _tell(variable: ContextVar[str], scope: Scope, receive: Receive, send: Send) -> None:
    await send(start())
    await send(body(variable.get().encode(), more_body=True))
    await trio.sleep(1)
    await send(body())


async def test_as_3_a_chunked_upload_arrives_whole(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(await drain(receive)))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(
            request("/", "Transfer-Encoding: chunked", method="POST") + chunked(b"one", b"two")
        )
        assert (await peer.response()).body == b"onetwo"
