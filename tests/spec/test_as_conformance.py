"""What the ASGI specification says, case by case, where servers are known to differ.

docs/reference/asgi-conformance.md has the table of all cases. These are the tests that the other
files about AS do not have.
"""

from __future__ import annotations

import logging
import ssl
from array import array
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trillium_trio as tt
from tests.spec._asgi import Noting, answering, body, drain, start
from tests.spec._stalling import Stalling
from tests.spec._websockets import HANDSHAKE, TEXT, frame, open_raw
from tests.unit.transport._tls import PEM, client_context, server_context
from tests.wire import Peer, chunked, request, serving, settled
from trillium_trio.asgi import Asgi
from trillium_trio.handlers import Router
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trillium_trio.asgi import Message, Receive, Scope, Send

ACCEPT: Message = {"type": "websocket.accept"}
COMPLETE: Message = {"type": "lifespan.startup.complete"}
HINT: Message = {"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]}


# -- AS-1, AS-2: the scope -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a%2Fb/%2e%2e/c", "/a/b/../c", b""),
        ("/%ed%a0%80", "/\ufffd\ufffd\ufffd", b""),  # half of a surrogate pair
        ("/a+b;c=1", "/a+b;c=1", b""),
        ("/a%3Fb?c?d", "/a?b", b"c?d"),
        ("/100%25?%25", "/100%", b"%25"),
    ],
)
async def test_as_1_a_path_is_decoded_once(
    target: str, path: str, query: bytes, autojump_clock: object
) -> None:
    app = Noting()
    async with serving(Asgi(app)) as server:
        await server.connect().get(target)
    assert (app.scope["path"], app.scope["query_string"]) == (path, query)
    assert app.scope["raw_path"] == target.partition("?")[0].encode()


@pytest.mark.parametrize("root", ["", "/api"])
async def test_as_1_an_asterisk_is_the_root(root: str, autojump_clock: object) -> None:
    app = Noting()
    async with serving(Asgi(app, root_path=root)) as server:
        assert (await server.connect().get("*", method="OPTIONS")).status == 200
    assert (app.scope["path"], app.scope["raw_path"]) == (f"{root}/", b"*")


@pytest.mark.parametrize(
    ("root", "prefix", "target", "root_path", "path"),
    [
        # The proxy strips /api.
        ("/api", "/sites/{site}", "/sites/7/x", "/api/sites/7", "/api/sites/7/x"),
        # It passes it, and the template has it.
        ("/api", "/api/sites/{site}", "/api/sites/7/x", "/api/sites/7", "/api/sites/7/x"),
        ("/api", "/api", "/api/x", "/api", "/api/x"),
        ("/api", "/api/{site}", "/api/%C3%BC/x", "/api/ü", "/api/ü/x"),
        ("/ü", "/ü/a", "/%C3%BC/a/x", "/ü/a", "/ü/a/x"),
        # It passes it, and the template has only the beginning.
        ("/api/v1", "/api", "/api/v1/x", "/api/v1", "/api/v1/x"),
        # The same words, and not at the border of a segment.
        ("/api", "/apis", "/apis/x", "/api/apis", "/api/apis/x"),
    ],
)
async def test_as_2_the_root_path_is_a_prefix_of_the_path_below_a_mount(
    root: str, prefix: str, target: str, root_path: str, path: str, autojump_clock: object
) -> None:
    app = Noting()
    router = Router().mount(prefix, Asgi(answering(app), root_path=root))
    async with serving(router) as server:
        assert (await server.connect().get(target)).body == b"ok"
    assert (app.scope["root_path"], app.scope["path"]) == (root_path, path)
    assert app.scope["raw_path"] == target.encode()


async def test_as_1_header_fields_are_as_received(autojump_clock: object) -> None:
    app = Noting()
    async with serving(Asgi(app)) as server:
        peer = server.connect()
        await peer.send(
            b"GET / HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\nX-Caf: caf\xe9\r\n"
            b"cookie: b=2\r\nX-Empty:\r\nx_under: 1\r\n\r\n"
        )
        assert (await peer.response()).status == 200
    assert app.scope["headers"] == [
        (b"host", b"x"),
        (b"cookie", b"a=1"),
        (b"x-caf", b"caf\xe9"),
        (b"cookie", b"b=2"),
        (b"x-empty", b""),
        (b"x_under", b"1"),
    ]


async def test_as_1_addresses_of_ipv6_are_pairs_too() -> None:
    app = Noting()
    async with tt.config().bind_tcp("[::1]:0").without_signals().serving(Asgi(app)) as handle:
        stream = await trio.open_tcp_stream("::1", handle.port)
        await Peer(stream).get()
        assert app.scope["client"] == stream.socket.getsockname()[:2]
        assert app.scope["server"] == ("::1", handle.port)
        await stream.aclose()


async def test_as_1_extensions_are_those_that_are_implemented(autojump_clock: object) -> None:
    app = Noting()
    async with serving(Asgi(app)) as server:
        await server.connect().get()
    assert app.scope["extensions"].keys() == {
        "http.response.trailers",
        "http.response.pathsend",
        "http.response.early_hint",
        "trillium.shutdown",
    }


async def test_as_1_an_encrypted_websocket_is_wss_with_the_facts(autojump_clock: object) -> None:
    scopes = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send({"type": "websocket.close"})

    async with serving(Asgi(answering(app)), tls=server_context()) as server:
        plain = server.connect()
        stream = trio.SSLStream(plain.stream, client_context(), server_hostname="localhost")
        peer = Peer(stream)
        await peer.send(HANDSHAKE)
        assert (await peer.response()).status == 403
        await stream.aclose()
    assert scopes[0]["scheme"] == "wss"
    assert scopes[0]["extensions"]["tls"]["tls_version"] == 0x0304


async def test_as_1_a_certificate_of_the_client_is_in_the_facts(autojump_clock: object) -> None:
    app = Noting()
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(PEM)
    mine = client_context()
    mine.load_cert_chain(PEM)
    async with serving(Asgi(app), tls=context) as server:
        plain = server.connect()
        stream = trio.SSLStream(plain.stream, mine, server_hostname="localhost")
        assert (await Peer(stream).get()).status == 200
        await stream.aclose()
    tls = app.scope["extensions"]["tls"]
    (certificate,) = tls["client_cert_chain"]
    assert certificate in PEM.read_text()
    assert tls["client_cert_name"] == "CN=localhost"


# -- AS-3, AS-4: receive ---------------------------------------------------------------------------


async def test_as_3_a_request_without_a_body_has_one_empty_message(autojump_clock: object) -> None:
    got = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got.append(await receive())
        await send(start())
        await send(body())

    async with serving(Asgi(answering(app))) as server:
        await server.connect().get()
    assert got == [{"type": "http.request", "body": b"", "more_body": False}]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_as_3_pieces_of_a_body_are_received_as_they_arrive(
    is_chunked: bool, autojump_clock: object
) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not got or got[-1]["more_body"]:
            got.append(await receive())
        await send(start())
        await send(body())

    framing = "Transfer-Encoding: chunked" if is_chunked else "Content-Length: 6"
    pieces = [b"3\r\none\r\n", chunked(b"two")] if is_chunked else [b"one", b"two"]
    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request("/", framing, method="POST"))
        for piece in pieces:
            await settled()
            assert all(each["more_body"] for each in got)
            await peer.send(piece)
            await settled()
        assert (await peer.response()).status == 200
    assert [each["body"] for each in got if each["body"]] == [b"one", b"two"]


async def test_as_3_the_application_is_called_when_the_head_is_complete(
    autojump_clock: object,
) -> None:
    app = Noting()
    async with serving(Asgi(app)) as server:
        peer = server.connect()
        await peer.send(request()[:-2])
        await settled()
        assert app.scope == {}
        await peer.send(b"\r\n")
        assert (await peer.response()).body == b"ok"


async def test_as_3_an_application_that_does_not_receive_invites_no_body(
    autojump_clock: object,
) -> None:
    async with serving(Asgi(Noting())) as server:
        peer = server.connect()
        await peer.send(request("/", "Expect: 100-continue", "Content-Length: 4", method="POST"))
        response = await peer.response()
        assert (response.status, response.informational) == (200, [])


# -- AS-5 to AS-8: the response --------------------------------------------------------------------


async def test_as_5_a_write_timeout_is_an_oserror(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    raised = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            while True:
                await send(body(b"x" * 100, more_body=True))
        except OSError as error:
            raised.append(error)
            raise

    async with TestServer(Asgi(answering(app))) as server:
        peer = server.connect(wrap_server=Stalling(at=3))
        await peer.send(request())
        await trio.sleep(60)
        assert server.swansong.guard_count == 0
    assert len(raised) == 1
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


@pytest.mark.parametrize("end", ["returns", "raises", "goes on"])
@pytest.mark.parametrize("stalls", [False, True])
async def test_as_5_an_early_hint_to_a_client_that_has_gone_is_an_oserror(
    end: str, stalls: bool, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    raised = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            while True:
                await send(HINT)
                await trio.sleep(1)
        except OSError as error:
            raised.append(error)
            if end == "raises":
                raise
        if end == "goes on":
            with pytest.raises(OSError, match="has disconnected"):
                await send(HINT)
            await send(start())
            await send(body())

    async with TestServer(Asgi(answering(app))) as server:
        peer = server.connect(wrap_server=Stalling(at=2 if stalls else 100))
        await peer.send(request())
        assert (await peer.receive_some()).startswith(b"HTTP/1.1 103")
        if not stalls:
            await peer.stream.aclose()
        await trio.sleep(100)
        assert server.swansong.guard_count == 0
    assert len(raised) == 1
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize("pieces", [1, 2])
async def test_as_6_names_and_values_go_out_as_they_are(
    pieces: int, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"X-Mixed", b"caf\xc3\xa9 \xff"), (b"set-cookie", b"a"), (b"Set-Cookie", b"b")]
        await send(start(200, headers))
        if pieces == 2:
            await send(body(b"on", more_body=True))
        await send(body(b"e"))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request())
        head = await peer.receive()
    assert b"\r\nX-Mixed: caf\xc3\xa9 \xff\r\nset-cookie: a\r\nSet-Cookie: b\r\n" in head


@pytest.mark.parametrize("value", [b"1\r", b"\n1", b"1\x00", b"1\r\n\r\nbody", b"\x7f"])
async def test_as_6_control_characters_in_a_value_are_an_error(
    value: bytes, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"x", value)]))
        await send(body(b"body"))

    async with TestServer(Asgi(answering(app))) as server:
        response = await server.get("/")
    response.assert_status(500)
    assert "x" not in response.headers
    assert sum(each.levelno >= logging.ERROR for each in caplog.records) == 1


@pytest.mark.parametrize(
    "fields",
    [
        [(b"x-first", b"1"), (b"bad name", b"1")],
        [(b"x-first", b"1"), (b"content-length", b"many")],
        [(b"x-first", b"1"), (b"content-length", b"5"), (b"content-length", b"6")],
    ],
)
async def test_as_6_nothing_is_left_of_a_start_that_was_refused(
    fields: list[tuple[bytes, bytes]], autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(ValueError, match=r"is not (a token|one number)"):
            await send(start(299, fields))
        await send(start(headers=[(b"x-second", b"2")]))
        await send(body(b"mine"))

    async with TestServer(Asgi(answering(app))) as server:
        response = await server.get("/")
    response.assert_status(200).assert_body("mine").assert_header("x-second", "2")
    assert "x-first" not in response.headers


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204)])
@pytest.mark.parametrize("values", [[b"many"], [b"5", b"6"], [b"-1"], [b"+5"], [b""]])
async def test_as_8_a_length_without_a_body_is_one_number_or_none(
    method: str, status: int, values: list[bytes], autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(status, [(b"content-length", value) for value in values]))
        await send(body())

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request(method=method))
        head = await peer.receive()
        assert head.count(b"content-length") <= (status != 204)
        for value in (b"many", b"6", b"-1", b"+5", b""):
            assert b"content-length: %b\r\n" % value not in head
        assert (await peer.get(method=method)).status == status


@pytest.mark.parametrize("status", [0, 99, 100, 101, 1000, "200", None])
async def test_as_6_a_status_that_is_none_is_an_error(
    status: object, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status})
        await send(body(b"body"))

    async with TestServer(Asgi(answering(app))) as server:
        (await server.get("/")).assert_status(500)


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (bytearray(b"body"), b"body"),
        (memoryview(b"xbodyx")[1:5], b"body"),
        (memoryview(array("H", [0x2020, 0x2020])), b"    "),
    ],
)
@pytest.mark.parametrize("more", [False, True])
async def test_as_7_a_piece_may_be_any_buffer(
    data: object, sent: bytes, more: bool, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, iter([(b"Content-Length", b"4")])))
        await send(body(data, more_body=more))
        if more:
            await send({"type": "http.response.body"})

    async with serving(Asgi(answering(app))) as server:
        response = await server.connect().get()
        assert (response.body, response.is_whole) == (sent, True)


async def test_as_7_a_buffer_may_be_used_again_after_send(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        buffer = bytearray(3)
        for piece in (b"one", b"two"):
            buffer[:] = piece
            await send(body(buffer, more_body=True))
        await send(body())

    async with serving(Asgi(answering(app))) as server:
        assert (await server.connect().get()).body == b"onetwo"


@pytest.mark.parametrize("body_keys", [{}, {"body": b""}, {"more_body": False}])
async def test_as_7_keys_of_a_body_may_be_missing(
    body_keys: dict[str, Any], autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", **body_keys})

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        for _ in range(2):
            response = await peer.get()
            assert (response.status, response.body, response.is_whole) == (200, b"", True)
            assert response.headers["content-length"] == "0"


async def test_as_7_the_head_is_sent_with_the_first_piece(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await trio.sleep(10)
        await send(body(b"piece", more_body=True))
        await trio.sleep(10)
        await send(body())

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        begin = trio.current_time()
        await peer.send(request())
        assert (await peer.receive()).startswith(b"HTTP/1.1 200")
        assert trio.current_time() == begin + 10


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("GET", 304)])
async def test_as_8_transfer_encoding_is_dropped_always(
    method: str, status: int, pieces: int, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(status, [(b"Transfer-Encoding", b"gzip"), (b"Content-Length", b"3")]))
        if pieces == 2:
            await send(body(b"on", more_body=True))
        await send(body(b"e" if pieces == 2 else b"one"))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        for _ in range(2):
            response = await peer.get(method=method)
            assert (response.status, response.is_whole) == (status, True)
            assert response.body == (b"one" if (method, status) == ("GET", 200) else b"")
            assert response.headers["content-length"] == "3"
            assert "transfer-encoding" not in response.headers


@pytest.mark.parametrize("pieces", [1, 2])
async def test_as_8_head_declares_what_get_would(pieces: int, autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        if pieces == 2:
            await send(body(b"on", more_body=True))
        await send(body(b"e" if pieces == 2 else b"one"))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        for method in ("GET", "HEAD"):
            headers = (await peer.get(method=method)).headers
            assert headers.get("content-length") == ("3" if pieces == 1 else None)
            # RFC 9112, 6.1: it may be left out of what has no body.
            is_chunked = pieces == 2 and method == "GET"
            assert headers.get("transfer-encoding") == ("chunked" if is_chunked else None)


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("more", [False, True])
async def test_as_8_what_has_no_body_gets_no_framing(
    status: int, more: bool, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(status))
        await send(body(b"none of this", more_body=more))
        if more:
            await send(body(b"nor this"))

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request())
        head = await peer.receive()
        assert head.endswith(b"\r\n\r\n")
        assert b"content-length" not in head.lower()
        assert b"transfer-encoding" not in head.lower()
        assert (await peer.get()).status == status


# -- AS-9, AS-10: the end, extensions --------------------------------------------------------------


@pytest.mark.parametrize("is_refusal", [False, True])
async def test_as_9_an_application_that_swallows_its_cut_leaves_no_body_open(
    is_refusal: bool, autojump_clock: object
) -> None:
    closed = []

    async def wrapped(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for piece in source:
                yield piece
        finally:
            closed.append("wrapper")

    class Wrap(tt.Handler):
        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            source = conn.response_body.source
            return conn.with_body(tt.Body.streaming(wrapped(source)))  # type: ignore[arg-type]  # it is

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kind = "websocket.http.response" if is_refusal else "http.response"
        await send({**start(), "type": f"{kind}.start"})
        await send({**body(b"part", more_body=True), "type": f"{kind}.body"})
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            pass  # against trio's rules, and seen

    config = tt.config().with_drain_timeout(5).with_cleanup_timeout(1)
    async with serving((Wrap(), Asgi(answering(app))), config) as server:
        peer = server.connect()
        await peer.send(HANDSHAKE if is_refusal else request())
        await settled()
        server.handle.shut_down()
        assert not (await peer.response()).is_whole
        assert not (await server.handle).is_clean
        # Now, and not at some time by the garbage collector.
        assert closed == ["wrapper"]


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_as_9_what_follows_the_last_body_is_ignored(
    is_streamed: bool, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"content-length", b"4")] if is_streamed else ()))
        if is_streamed:
            await send(body(b"bo", more_body=True))
        await send(body(b"dy" if is_streamed else b"body"))
        await send(body(b"late", more_body=True))
        await send({"type": "http.response.pathsend", "path": "/nowhere"})
        await send({"type": "http.response.trailers", "headers": [(b"x", b"1")]})
        await send(HINT)

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        for _ in range(2):
            await peer.send(request())
            response = await peer.response()
            assert (response.body, response.is_whole) == (b"body", True)
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_as_10_a_file_is_not_mixed_with_a_body(autojump_clock: object) -> None:
    message = {"type": "http.response.pathsend", "path": __file__}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(tt.MisuseError, match="has to be sent first"):
            await send(message)
        await send(start())
        await send(body(b"one", more_body=True))
        with pytest.raises(tt.MisuseError, match="after a part of the body"):
            await send(message)
        await send(body(b"two"))

    async with TestServer(Asgi(answering(app))) as server:
        (await server.get("/")).assert_body("onetwo")


@pytest.mark.parametrize(
    "kind", ["http.response.zerocopysend", "http.response.push", "http.response.debug"]
)
async def test_as_10_a_message_of_another_extension_is_an_error(
    kind: str, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert kind not in scope["extensions"]
        await send(start())
        with pytest.raises(tt.MisuseError, match=kind):
            await send({"type": kind, "file": 3, "path": "/", "headers": [], "info": {}})
        await send(body(b"body"))

    async with TestServer(Asgi(answering(app))) as server:
        (await server.get("/")).assert_body("body")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_as_10_trailers_need_a_chunked_body(
    method: str, version: str, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, [(b"content-length", b"3")], trailers=True))
        await send(body(b"one"))
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})

    async with serving(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(request("/", "TE: trailers", method=method, version=version))
        response = await peer.response(method)
        assert (response.body, response.is_whole) == (b"one" if method == "GET" else b"", True)
        await settled()
        assert server.guards == 0
        if version == "1.1":
            assert (await peer.get()).body == b"one"


async def test_as_10_trailers_have_to_be_announced(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        with pytest.raises(tt.MisuseError, match="announced"):
            await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})
        await send(body(b"body"))

    async with TestServer(Asgi(answering(app))) as server:
        (await server.get("/", headers={"te": "trailers"})).assert_body("body")


# -- AS-13, AS-14: WebSockets ----------------------------------------------------------------------


async def test_as_13_keys_of_an_accept_may_be_none(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({**ACCEPT, "subprotocol": None, "headers": None})

    async with (
        TestServer(Asgi(answering(app))) as server,
        server.websocket(subprotocols=["one"]) as ws,
    ):
        assert ws.response is not None
        assert "sec-websocket-protocol" not in ws.response.headers
        assert [each async for each in ws] == []


async def test_as_13_headers_of_an_accept_are_kept_apart(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        cookies = ([name, value] for name, value in ((b"Set-Cookie", b"a"), (b"set-cookie", b"b")))
        await send({**ACCEPT, "headers": cookies})

    async with TestServer(Asgi(answering(app))) as server, server.websocket() as ws:
        assert ws.response is not None
        assert ws.response.headers.get_all("set-cookie") == ["a", "b"]


@pytest.mark.parametrize("kind", ["websocket.accept", "websocket.close"])
async def test_as_13_an_answer_to_a_client_that_has_gone_is_an_oserror(
    kind: str, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    raised = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert (await receive())["type"] == "websocket.disconnect"
        try:
            await send({"type": kind})
        except OSError as error:
            raised.append(error)
            raise

    async with TestServer(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(HANDSHAKE)
        await settled()
        await peer.stream.aclose()
        await settled()
        assert server.swansong.guard_count == 0
    assert len(raised) == 1
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_as_13_nothing_is_left_of_an_accept_that_was_refused(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        with pytest.raises(ValueError, match="control character"):
            bad = [(b"x-first", b"1"), (b"x-bad", b"1\r\n2")]
            await send({**ACCEPT, "subprotocol": "one", "headers": bad})
        await send(ACCEPT)

    async with (
        TestServer(Asgi(answering(app))) as server,
        server.websocket(subprotocols=["one"]) as ws,
    ):
        assert ws.response is not None
        assert "sec-websocket-protocol" not in ws.response.headers
        assert "x-first" not in ws.response.headers


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ({"bytes": bytearray(b"x")}, b"x"),
        ({"bytes": memoryview(b"xyz")[1:2], "text": None}, b"y"),
    ],
)
async def test_as_14_bytes_may_be_any_buffer(
    message: Message, sent: bytes, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.send", **message})

    async with TestServer(Asgi(answering(app))) as server, server.websocket() as ws:
        assert [each async for each in ws] == [sent]


@pytest.mark.parametrize("message", [{"text": b"x"}, {"bytes": "x"}, {"text": 1}])
async def test_as_14_text_is_text_and_bytes_are_bytes(
    message: Message, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        with pytest.raises(TypeError, match=r"must be str|buffer|bytes"):
            await send({"type": "websocket.send", **message})

    async with TestServer(Asgi(answering(app))) as server, server.websocket() as ws:
        assert [each async for each in ws] == []
        assert ws.close_code == 1000


async def test_as_14_what_the_server_closes_is_a_disconnect(autojump_clock: object) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        got.extend([await receive(), await receive()])

    handler = Asgi(answering(app), websocket={"max_message_bytes": 125})
    async with TestServer(handler) as server:
        ws = await open_raw(server, frame(TEXT, b"x" * 126))
        assert (await ws.receive_close())[0] == 1009
        await ws.peer.stream.aclose()
        await settled()
    assert [(each["type"], each["code"]) for each in got] == [("websocket.disconnect", 1006)] * 2


# -- AS-15: the lifespan ---------------------------------------------------------------------------


async def test_as_15_requests_share_what_is_in_the_state(autojump_clock: object) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["list"] = []
            await send(COMPLETE)
            await receive()
            seen.append(scope["state"])
        elif scope["type"] == "websocket":
            scope["state"]["list"].append("websocket")
            scope["state"]["mine"] = 1
            await send({"type": "websocket.close"})
        else:
            assert "mine" not in scope["state"]
            scope["state"]["list"].append("http")
            scope["state"]["mine"] = 1
            await send(start())
            await send(body())

    async with serving(Asgi(app)) as server:
        peer = server.connect()
        for _ in range(2):
            assert (await peer.get()).status == 200
        await peer.send(HANDSHAKE)
        assert (await peer.response()).status == 403
    assert seen == [{"list": ["http", "http", "websocket"]}]


async def test_as_15_two_listeners_have_one_lifespan() -> None:
    calls = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope["type"])
        if scope["type"] == "lifespan":
            await receive()
            await send(COMPLETE)
            await receive()
            return
        await send(start())
        await send(body())

    config = tt.config().bind_tcp("127.0.0.1:0").bind_tcp("127.0.0.1:0").without_signals()
    async with config.serving(Asgi(app)) as handle:
        for listener in handle.listeners:
            stream = await trio.open_tcp_stream(*listener.address)
            assert (await Peer(stream).get()).status == 200
            await stream.aclose()
    assert calls == ["lifespan", "http", "http"]


async def test_as_15_a_nursery_may_stay_open_while_the_server_serves(
    autojump_clock: object,
) -> None:
    tasks = []
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await trio.sleep(1)
            ticks += 1

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            async with trio.open_nursery() as nursery:
                assert await receive() == {"type": "lifespan.startup"}
                tasks.append(trio.lowlevel.current_task())
                nursery.start_soon(tick)
                await send(COMPLETE)
                assert await receive() == {"type": "lifespan.shutdown"}
                tasks.append(trio.lowlevel.current_task())
                nursery.cancel_scope.cancel()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await drain(receive)
        await trio.sleep(3.5)
        await send(start())
        await send(body(str(ticks).encode()))

    async with serving(Asgi(app)) as server:
        assert (await server.connect().get()).body == b"3"
    assert tasks[0] is tasks[1]


async def test_as_15_a_message_that_is_none_of_the_lifespan_is_an_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())

    with pytest.raises(ValueError, match="not a message that can be sent in a lifespan"):
        async with TestServer(Asgi(app)):
            pass
