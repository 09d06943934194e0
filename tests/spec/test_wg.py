"""The clauses of docs/spec/wsgi.md, but for the stop and the command line."""

from __future__ import annotations

import gzip
import io
import logging
import sys
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
import trio

import trillium_trio as tt
from tests.spec._wsgi import TEXT, Closing, Noting, answering, validated
from tests.unit.transport._tls import client_context, server_context
from tests.wire import Peer, Response, chunked, request, serving
from trillium_trio.handlers import Forwarded, Router
from trillium_trio.testing import BreakingStream, StallingStream, TestServer
from trillium_trio.wsgi import ConnectionLost, FileWrapper, Wsgi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse

    from tests.spec._wsgi import App, Environ
    from trillium_trio.testing import MemoryStream


async def answer_of(app: App) -> Response:
    """Return the response to one request, or what came of it."""
    async with serving(Wsgi(app)) as server:
        peer = server.connect()
        response = await peer.get()
        await peer.stream.aclose()
    return response


# -- WG-1, WG-2: the environ -----------------------------------------------------------------------


async def test_wg_1_the_environ_of_a_plain_request() -> None:
    app = Noting()
    async with serving(Wsgi(app)) as server:
        peer = server.connect()
        await peer.get(
            "/a%20b/%C3%A9?x=%20&y",
            "X-Two: 1",
            "x-two:  2 ",
            "Cookie: a=b",
            "Cookie: c=d",
            "Content-Type: text/plain",
            "X_Two: 3",
            "X-Latin: \xe9".encode("latin-1").decode("latin-1"),
        )
    environ = app.environ
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/a b/\xc3\xa9"
    assert environ["QUERY_STRING"] == "x=%20&y"
    assert environ["REQUEST_URI"] == "/a%20b/%C3%A9?x=%20&y"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["HTTP_HOST"] == "x"
    assert environ["HTTP_X_TWO"] == "1,2"
    assert environ["HTTP_COOKIE"] == "a=b; c=d"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert "CONTENT_LENGTH" not in environ
    assert "HTTP_CONTENT_TYPE" not in environ
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.multiprocess"] is False
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True
    assert isinstance(environ["trillium.swansong"], tt.Swansong)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/%ff", "/\xff"),
        ("http://other/abs?q=1", "/abs"),
        ("http://other", "/"),
        ("//a/x", "//a/x"),
    ],
)
async def test_wg_1_paths_are_bytes_as_text(target: str, path: str) -> None:
    app = Noting()
    async with serving(Wsgi(app)) as server:
        await server.connect().get(target)
    assert app.environ["PATH_INFO"] == path


async def test_wg_1_the_asterisk_is_the_root() -> None:
    app = Noting()
    async with serving(Wsgi(app)) as server:
        await server.connect().get("*", method="OPTIONS")
    assert (app.environ["PATH_INFO"], app.environ["REQUEST_URI"]) == ("/", "*")


async def test_wg_1_addresses(tmp_path: Path) -> None:
    app = Noting()
    config = tt.config().bind_tcp("127.0.0.1:0").bind_unix(str(tmp_path / "s")).without_signals()
    async with config.serving(Wsgi(app)) as handle:
        tcp = await trio.open_tcp_stream("127.0.0.1", handle.port)
        await Peer(tcp).get()
        assert app.environ["REMOTE_ADDR"] == "127.0.0.1"
        assert app.environ["REMOTE_PORT"] == str(tcp.socket.getsockname()[1])
        assert app.environ["SERVER_NAME"] == "127.0.0.1"
        assert app.environ["SERVER_PORT"] == str(handle.port)
        unix = await trio.open_unix_socket(tmp_path / "s")
        await Peer(unix).get()
        assert "REMOTE_ADDR" not in app.environ
        assert (app.environ["SERVER_NAME"], app.environ["SERVER_PORT"]) == ("localhost", "80")
        await tcp.aclose()
        await unix.aclose()


async def test_wg_1_the_scheme_of_an_encrypted_connection() -> None:
    app = Noting()
    async with serving(Wsgi(app), tls=server_context()) as server:
        plain = server.connect()
        stream = trio.SSLStream(plain.stream, client_context(), server_hostname="localhost")
        assert (await Peer(stream).get()).status == 200
        await stream.aclose()
    assert app.environ["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_wg_1_the_scheme_is_what_a_trusted_proxy_says(scheme: str) -> None:
    app = Noting()
    async with serving((Forwarded(["unix"]), Wsgi(app)), tls=server_context()) as server:
        plain = server.connect()
        stream = trio.SSLStream(plain.stream, client_context(), server_hostname="localhost")
        await Peer(stream).get("/", f"X-Forwarded-Proto: {scheme}")
        await stream.aclose()
    assert app.environ["wsgi.url_scheme"] == scheme


@pytest.mark.parametrize(
    ("root", "target", "script", "path"),
    [
        ("/api", "/x", "/api", "/x"),  # a proxy that strips the prefix
        ("/api", "/api/x", "/api", "/x"),  # one that passes it
        ("/api/", "/api", "/api", ""),
        ("/api", "/apix", "/api", "/apix"),
        ("/api", "/", "/api", "/"),
        ("", "/x", "", "/x"),
        ("/ü", "/%C3%BC/x", "/\xc3\xbc", "/x"),
    ],
)
async def test_wg_2_the_root_path_is_in_script_name_once(
    root: str, target: str, script: str, path: str
) -> None:
    app = Noting()
    async with serving(Wsgi(validated(app), root_path=root)) as server:
        assert (await server.connect().get(target, "Content-Type: text/plain")).status == 200
    assert (app.environ["SCRIPT_NAME"], app.environ["PATH_INFO"]) == (script, path)


def test_wg_2_a_root_path_begins_with_a_slash() -> None:
    with pytest.raises(tt.ConfigError, match="root_path must be empty or begin with a slash"):
        Wsgi(Noting(), root_path="api")


@pytest.mark.parametrize(
    ("root", "target", "script", "path"),
    [
        ("", "/sites/a%20b/x/y", "/sites/a b", "/x/y"),
        ("", "/sites/7", "/sites/7", ""),
        ("/proxy", "/sites/7/x", "/proxy/sites/7", "/x"),
        ("/sites", "/sites/7/x", "/sites/7", "/x"),
        ("/sites/7/v1", "/sites/7/v1/x", "/sites/7/v1", "/x"),
    ],
)
async def test_wg_2_below_a_mount(root: str, target: str, script: str, path: str) -> None:
    app = Noting()
    router = Router().mount("/sites/{site}", Wsgi(app, root_path=root))
    async with serving(router) as server:
        await server.connect().get(target)
    assert (app.environ["SCRIPT_NAME"], app.environ["PATH_INFO"]) == (script, path)


# -- WG-3: threads ---------------------------------------------------------------------------------


async def test_wg_3_a_request_has_one_thread() -> None:
    seen: list[int] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(threading.get_ident())
        start_response("200 OK", [TEXT])

        def pieces() -> Iterator[bytes]:
            for _ in range(3):
                seen.append(threading.get_ident())
                yield b"x"

        class Result:
            __iter__ = staticmethod(pieces)

            def close(self) -> None:
                seen.append(threading.get_ident())

        return Result()

    async with TestServer(Wsgi(app)) as server:
        (await server.get("/")).assert_body("xxx")
    assert len(seen) == 5
    assert len(set(seen)) == 1
    assert seen[0] != threading.get_ident()


async def test_wg_3_more_requests_than_threads_wait() -> None:
    go = threading.Event()
    busy = 0
    most = 0

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        trio.from_thread.run_sync(has_begun.set)
        go.wait()
        busy -= 1
        start_response("200 OK", [TEXT])
        return [environ["PATH_INFO"].encode()]

    has_begun = trio.Event()
    answers: list[str] = []
    async with TestServer(Wsgi(app, threads=1)) as server, trio.open_nursery() as nursery:

        async def ask(path: str) -> None:
            answers.append((await server.get(path)).text)

        for number in range(3):
            nursery.start_soon(ask, f"/{number}")
        await has_begun.wait()
        while server.swansong.guard_count < 3:
            await trio.lowlevel.checkpoint()
        go.set()
    assert sorted(answers) == ["/0", "/1", "/2"]
    assert most == 1


async def test_wg_3_context_variables_are_those_of_one_request() -> None:
    variable: ContextVar[int] = ContextVar("variable", default=0)
    seen = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(variable.get())
        variable.set(1)
        start_response("200 OK", [TEXT])
        return [b""]

    async with TestServer(Wsgi(app, threads=1)) as server, server.session() as session:
        await session.get("/")
        await session.get("/")
    assert seen == [0, 0]


async def test_wg_3_trio_can_be_called_from_the_thread() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        now = trio.from_thread.run_sync(trio.current_time)
        start_response("200 OK", [TEXT])
        return [b"%d" % (now >= 0)]

    async with TestServer(Wsgi(app)) as server:
        (await server.get("/")).assert_body("1")


def test_wg_3_two_servers_of_one_handler_have_their_own_threads() -> None:
    handler = Wsgi(Noting(), threads=1)
    with (
        tt.config().with_port(0).without_signals().spawn(handler) as first,
        tt.config().with_port(0).without_signals().spawn(handler) as second,
    ):
        for handle in (first, second):
            with urlopen(handle.url) as response:
                assert response.read() == b"ok"


@pytest.mark.parametrize("threads", [0, -1, True, 1.5])
def test_wg_3_a_number_of_threads_is_a_count(threads: Any) -> None:
    with pytest.raises(tt.ConfigError, match="threads must be a whole number from 1"):
        Wsgi(Noting(), threads=threads)


# -- WG-4: the request's body ----------------------------------------------------------------------


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    data = environ["wsgi.input"].read(-1)
    start_response("200 OK", [TEXT])
    return [data]


@pytest.mark.parametrize(
    "message",
    [
        request("/", "Content-Type: text/plain", method="POST", body=b"x" * 300_000),
        request("/", "Transfer-Encoding: chunked", "Content-Type: text/plain", method="POST")
        + chunked(b"x" * 100_000, b"x" * 200_000),
    ],
    ids=["length", "chunked"],
)
async def test_wg_4_the_body_ends_where_it_ends(message: bytes) -> None:
    async with serving(Wsgi(validated(echo))) as server:
        peer = server.connect()
        await peer.send(message, request())
        assert (await peer.response()).body == b"x" * 300_000
        assert (await peer.response()).body == b""


async def test_wg_4_it_is_read_as_the_application_reads() -> None:
    read = trio.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        first = environ["wsgi.input"].readline()
        trio.from_thread.run_sync(read.set)
        start_response("200 OK", [TEXT])
        return [first, b"|", *environ["wsgi.input"]]

    async with serving(Wsgi(app)) as server:
        peer = server.connect()
        await peer.send(request("/", "Content-Length: 8", method="POST"), b"a\n")
        await read.wait()
        await peer.send(b"b\n")
        await peer.send(b"c\nd\n")
        assert (await peer.response()).body == b"a\n|b\nc\nd\n"


async def test_wg_4_the_first_read_invites_the_body() -> None:
    async with serving(Wsgi(echo)) as server:
        peer = server.connect()
        await peer.send(request("/", "Expect: 100-continue", "Content-Length: 4", method="POST"))
        assert (await peer.receive()).startswith(b"HTTP/1.1 100")
        await peer.send(b"body")
        assert (await peer.response()).body == b"body"


@pytest.mark.parametrize("is_caught", [True, False])
@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize(
    ("message", "status"),
    [
        (request(method="POST", body=b"x" * 200), 413),
        (request("/", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n", 400),
        (request("/", "Content-Length: 9", method="POST") + b"some", 408),
    ],
    ids=["too large", "malformed", "stalled"],
)
async def test_wg_4_a_bad_body_is_an_error_there_and_an_answer_here(
    message: bytes,
    status: int,
    is_streamed: bool,
    is_caught: bool,
    autojump_clock: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except ConnectionLost:
            if not is_caught:
                raise
        start_response("200 OK", [TEXT])
        return (b"mine" for _ in range(2)) if is_streamed else [b"mine"]

    async with serving(Wsgi(app), max_body_bytes=100) as server:
        peer = server.connect()
        await peer.send(message)
        response = await peer.response()
        assert (response.status, response.closes) == (status, True)
    assert "Traceback" not in caplog.text


async def test_wg_4_a_client_that_leaves_in_the_middle(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            seen.append(type(error).__name__)
            raise
        raise AssertionError("it was cut short")

    async with serving(Wsgi(app)) as server:
        peer = server.connect()
        await peer.send(request("/", "Content-Length: 9", method="POST") + b"some")
        await peer.stream.aclose()
        await server.handle.shut_down()
    assert seen == ["ConnectionLost"]
    assert [each for each in caplog.records if each.levelno > logging.INFO] == []


async def test_wg_4_after_the_request_nothing_can_be_read() -> None:
    kept: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        kept.append(environ["wsgi.input"])
        if environ["PATH_INFO"] == "/some":
            environ["wsgi.input"].read(1)
        start_response("200 OK", [TEXT])
        return [b"ok"]

    async with TestServer(Wsgi(app)) as server:
        for path in ("/none", "/some"):
            (await server.post(path, body=b"x" * 100_000)).assert_body("ok")
            with pytest.raises(ConnectionLost):
                await trio.to_thread.run_sync(kept[-1].read)
        (await server.get("/")).assert_body("ok")


# -- WG-5, WG-6: the response ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "result",
    [[b"he", b"llo"], (b"hello",), [b"", bytearray(b"hello")]],
    ids=["list", "tuple", "buffer"],
)
async def test_wg_5_a_list_is_a_plain_response(result: Any) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("201 Made", [TEXT, ("X-A", "1"), ("X-A", "2")])
        return result

    async def seal(conn: tt.Conn) -> tt.Conn:
        return conn.with_response_header("x-front", "1")

    async with TestServer((seal, Wsgi(app))) as server:
        response = await server.get("/")
    response.assert_status(201).assert_body("hello").assert_header("content-length", "5")
    response.assert_header("x-front", "1")
    assert response.headers.get_all("x-a") == ["1", "2"]


async def test_wg_5_a_first_piece_that_is_all_is_sent_at_once() -> None:
    go = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"hello"
        go.wait()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT, ("Content-Length", "5")])
        return pieces()

    async with TestServer(Wsgi(app)) as server:
        (await server.get("/")).assert_body("hello").assert_header("content-length", "5")
        assert server.swansong.guard_count == 1
        go.set()


async def test_wg_6_an_iterable_is_sent_piece_by_piece() -> None:
    go = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b""
        yield b"one"
        go.wait()
        yield b"two"

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return pieces()

    async with serving(Wsgi(app)) as server:
        peer = server.connect()
        await peer.send(request())
        data = b""
        while not data.endswith(b"3\r\none\r\n"):
            data += await peer.receive()
        go.set()
        assert await peer.receive() + await peer.receive() == b"3\r\ntwo\r\n0\r\n\r\n"


async def test_wg_6_write_and_the_iteration_may_both_be_used() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT])
        write(b"a")
        write(b"b")
        return [b"c", b"d"]

    async with TestServer(Wsgi(validated(app))) as server:
        (await server.get("/", headers={"content-type": "text/plain"})).assert_body("abcd")


async def test_wg_6_start_response_may_come_with_the_first_piece() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        yield b"late"

    async with TestServer(Wsgi(app)) as server:
        (await server.get("/")).assert_body("late")


async def test_wg_6_the_body_is_read_while_the_response_is_sent() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return iter(lambda: environ["wsgi.input"].read1(2), b"")

    async with TestServer(Wsgi(app)) as server:
        (await server.post("/", body=b"abcdefg")).assert_body("abcdefg")


async def test_wg_6_a_slow_client_holds_the_application_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    produced = 0

    def pieces() -> Iterator[bytes]:
        nonlocal produced
        while True:
            produced += 1
            yield b"x" * 100

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return pieces()

    stalling: list[StallingStream] = []

    def stall(stream: MemoryStream) -> StallingStream:
        stalling.append(StallingStream(stream, at=3, on="send"))
        return stalling[0]

    async with TestServer(Wsgi(app)) as server:
        peer = server.connect(wrap_server=stall)
        await peer.send(request())
        await stalling[0].wait_stalled()
        # The second piece is in the send that stalls, so the third is the last to be produced.
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert produced <= 3
        peer.reset()
        stalling[0].resume()
    assert [each for each in caplog.records if each.levelno > logging.DEBUG and each.exc_info] == []


@pytest.mark.parametrize("how", ["iteration", "write"])
async def test_wg_6_a_client_that_has_left_ends_the_application(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT])
        if how == "write":
            try:
                while True:
                    write(b"x")
            except OSError as error:
                seen.append(type(error).__name__)
                raise
        return iter(lambda: b"x", b"")

    async with TestServer(Wsgi(app)) as server:
        peer = server.connect(wrap_server=lambda stream: BreakingStream(stream, at=4, on="send"))
        await peer.send(request())
        await peer.receive_until_closed()
    assert seen == (["ConnectionLost"] if how == "write" else [])
    assert [each for each in caplog.records if each.levelno > logging.INFO] == []


# -- WG-7: close() ---------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [None, "2"])
async def test_wg_7_close_is_called_once_and_the_response_does_not_wait(length: str | None) -> None:
    go = threading.Event()
    result = Closing(b"ok", on_close=go.wait)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT, *([("Content-Length", length)] if length else [])])
        return result

    async with TestServer(Wsgi(app)) as server:
        (await server.get("/")).assert_body("ok")
        assert result.closed <= 1
        assert server.swansong.guard_count == 1
        go.set()
    assert result.closed == 1


@pytest.mark.parametrize("pieces", [0, 1])
async def test_wg_7_close_is_called_after_an_exception(
    pieces: int, caplog: pytest.LogCaptureFixture
) -> None:
    result = Closing(*[b"x"] * pieces, ValueError("in the middle"), on_close=lambda: None)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return result

    response = await answer_of(app)
    assert response.status == (200 if pieces else 500)
    assert response.is_whole == (not pieces)
    assert result.closed == 1
    assert caplog.text.count("ValueError: in the middle (in ") == 1


async def test_wg_7_close_is_called_if_the_client_has_left() -> None:
    closed = trio.Event()
    token = trio.lowlevel.current_trio_token()
    result = Closing(*[b"x"] * 100, on_close=lambda: token.run_sync_soon(closed.set))

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return result

    async with TestServer(Wsgi(app)) as server:
        peer = server.connect(wrap_server=lambda stream: BreakingStream(stream, at=4, on="send"))
        await peer.send(request())
        await closed.wait()
    assert result.closed == 1


@pytest.mark.parametrize("length", [None, "2"])
async def test_wg_7_close_may_read_the_rest_of_the_body(length: str | None) -> None:
    read: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT, *([("Content-Length", length)] if length else [])])
        return Closing(b"ok", on_close=lambda: read.append(environ["wsgi.input"].read()))

    async with TestServer(Wsgi(app)) as server:
        with trio.fail_after(5):
            (await server.post("/", body=b"body")).assert_body("ok")
            await server.handle.shut_down()
    assert read == [b"body"]


async def test_wg_7_what_close_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("in close")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return Closing(b"ok", on_close=fail)

    async with TestServer(Wsgi(app)) as server, server.session() as session:
        (await session.get("/")).assert_body("ok")
        (await session.get("/")).assert_body("ok")
    assert caplog.text.count("GET /: ValueError: in close (in fail") == 2


# -- WG-8: start_response --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "fields", "error"),
    [
        ("OK", [], "ValueError: 'OK' is not a status"),
        ("100 Continue", [], "ValueError: '100 Continue' is not a status"),
        ("2000", [], "ValueError: '2000' is not a status"),
        (200, [], "TypeError: a status is a str such as '200 OK', not 200"),
        ("200 OK", [("Bad Name", "x")], "ValueError: header name 'Bad Name' is not a token"),
        ("200 OK", [("x", "a\r\nb: c")], "ValueError: value of header 'x' has a control character"),
        ("200 OK", [("x", "\u20ac")], "ValueError: value of header 'x' has a control character"),
        ("200 OK", [("x", 1)], "TypeError: the value of 'x' must be str, not int"),
        (
            "200 OK",
            [("Transfer-Encoding", "chunked")],
            "ValueError: Transfer-Encoding is about the",
        ),
        ("200 OK", [("Connection", "close")], "ValueError: Connection is about the connection"),
        ("200 OK", [("Content-Length", "+2")], "ValueError: Content-Length is not a number: '+2'"),
        (
            "200 OK",
            [("Content-Length", "2"), ("content-length", "3")],
            "ValueError: Content-Length is not one number: 2 and 3",
        ),
    ],
)
async def test_wg_8_what_cannot_be_sent_is_a_500(
    status: Any, fields: Any, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, fields)
        return [b"ok"]

    async with TestServer(Wsgi(app)) as server:
        (await server.get("/")).assert_status(500)
    assert caplog.text.count(f"GET /: {error}") == 1


async def test_wg_8_a_second_call_needs_exc_info(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        start_response("200 OK", [TEXT])
        return [b"ok"]

    async with TestServer(Wsgi(app)) as server:
        (await server.get("/")).assert_status(500)
    assert "MisuseError: start_response was called twice, without exc_info" in caplog.text


def failing(*pieces: bytes) -> App:
    """Return an application that catches its own exception, as PEP 3333 shows it."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT, ("X-First", "1")])
        try:
            for piece in pieces:
                write(piece)
            raise ValueError("no more")
        except ValueError:
            start_response("503 Sorry", [TEXT], sys.exc_info())
        return [b"sorry"]

    return app


async def test_wg_8_exc_info_replaces_what_is_not_sent() -> None:
    async with TestServer(Wsgi(failing())) as server:
        response = await server.get("/")
    response.assert_status(503).assert_body("sorry")
    assert "x-first" not in response.headers


async def test_wg_8_exc_info_is_raised_if_the_response_has_begun(
    caplog: pytest.LogCaptureFixture,
) -> None:
    response = await answer_of(failing(b"half"))
    assert (response.status, response.body, response.is_whole) == (200, b"half", False)
    assert caplog.text.count("GET /: ValueError: no more (in app") == 1


# -- WG-9: every end -------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [[b"x"], iter([b"x"]), iter([])], ids=["list", "pieces", "none"])
async def test_wg_9_no_start_response(result: Any, caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        return result

    async with TestServer(Wsgi(app)) as server:
        (await server.get("/")).assert_status(500)
    assert "has not called start_response" in caplog.text


async def test_wg_9_an_exception(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"].read()
        raise tt.HttpError(418) if environ["PATH_INFO"] == "/tea" else ZeroDivisionError

    async with TestServer(Wsgi(app)) as server:
        (await server.post("/", body=b"read")).assert_status(500)
        assert caplog.text.count("POST /: ZeroDivisionError") == 1
        (await server.get("/tea")).assert_status(418)


@pytest.mark.parametrize(
    "result", [["text"], iter(["text"]), None, 3], ids=["list", "pieces", "none", "number"]
)
async def test_wg_9_a_body_of_another_type(result: Any, caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [TEXT])
        return result

    async with TestServer(Wsgi(app)) as server:
        (await server.get("/")).assert_status(500)
    assert caplog.text.count("GET /: TypeError") == 1


@pytest.mark.parametrize(
    ("length", "pieces", "sent", "is_whole"),
    [
        ("3", [b"four"], b"", True),
        ("5", [b"four"], b"four", False),
        ("4", [b"four", b"more"], b"four", True),
        ("6", [b"four", b"more"], b"four", False),
        ("9", [b"four", b"more"], b"fourmore", False),
        ("4", [], b"", True),
        ("0", [b"four"], b"", True),
    ],
)
async def test_wg_9_a_body_of_another_length(
    length: str,
    pieces: list[bytes],
    sent: bytes,
    is_whole: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = answering(*pieces, fields=[("Content-Length", length)])
    response = await answer_of(app)
    assert response.status == (200 if sent else 500)
    assert response.is_whole == is_whole
    if sent:
        assert response.body == sent
    errors = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert len(errors) == 1
    assert length in errors[0]


async def test_wg_9_a_list_of_another_length(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "3")])
        return [b"four"]

    async with TestServer(Wsgi(app)) as server:
        (await server.get("/")).assert_status(500)
    assert "the body has 4 bytes where Content-Length declares 3" in caplog.text


# -- WG-10: without a body -------------------------------------------------------------------------


@pytest.mark.parametrize("is_list", [True, False])
@pytest.mark.parametrize(
    ("method", "status", "length", "shown"),
    [
        ("HEAD", "200 OK", "500", "500"),
        ("GET", "304 Not Modified", "500", "500"),
        ("GET", "204 No Content", "500", None),
        ("GET", "204 No Content", None, None),
    ],
)
async def test_wg_10_a_body_that_is_not_sent(
    method: str, status: str, length: str | None, shown: str | None, is_list: bool
) -> None:
    produced = 0

    def pieces() -> Iterator[bytes]:
        nonlocal produced
        while True:
            produced += 1
            yield b"x" * 10

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [] if length is None else [("Content-Length", length)])
        return [b"x" * 10] if is_list else pieces()

    async with serving(Wsgi(app)) as server:
        peer = server.connect()
        await peer.send(request(method=method), request(method=method))
        response = await peer.response(method)
        assert (response.status, response.body) == (int(status[:3]), b"")
        assert response.headers.get("content-length") == shown
        assert (await peer.response(method)).status == int(status[:3])
    assert produced == (0 if is_list else 2)


async def test_wg_10_a_head_without_a_piece() -> None:
    async with TestServer(Wsgi(answering(fields=[("Content-Length", "7")]))) as server:
        (await server.head("/")).assert_ok().assert_header("content-length", "7")


# -- WG-11: files ----------------------------------------------------------------------------------


def file_app(opened: Callable[[], Any], *fields: tuple[str, str]) -> App:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        assert environ["wsgi.file_wrapper"] is FileWrapper
        start_response("200 OK", [*fields])
        wrapper: Iterable[bytes] = environ["wsgi.file_wrapper"](opened(), 4)
        return wrapper

    return app


@pytest.mark.parametrize("length", [None, "11"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_wg_11_a_file_is_sent_whole_and_closed(
    length: str | None, method: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello world")
    opened = path.open("rb")
    fields = [] if length is None else [("Content-Length", length)]
    async with serving(Wsgi(file_app(lambda: opened, *fields))) as server:
        response = await server.connect().get(method=method)
    assert response.status == 200
    assert response.body == (b"hello world" if method == "GET" else b"")
    if method == "GET":
        assert response.headers["content-length"] == "11"
    assert opened.closed


async def test_wg_11_a_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)

    def never(self: FileWrapper) -> bytes:
        raise AssertionError("it is read")

    monkeypatch.setattr(FileWrapper, "__next__", never)
    config = tt.config().with_port(0).without_signals()
    async with (
        config.serving(Wsgi(file_app(lambda: path.open("rb")))) as handle,
        await trio.open_tcp_stream("127.0.0.1", handle.port) as stream,
    ):
        assert (await Peer(stream).get()).body == b"x" * 100_000


@pytest.mark.parametrize("kind", ["compressed", "not at its start", "in memory", "no length"])
async def test_wg_11_what_is_no_plain_file_at_its_start_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(b"hello world"))
    opened: Any
    with path.open("rb") as plain, Path("/proc/self/stat").open("rb") as endless:
        match kind:
            case "compressed":
                opened, expected = gzip.GzipFile(fileobj=plain), b"hello world"
            case "not at its start":
                plain.seek(1)
                opened, expected = plain, path.read_bytes()[1:]
            case "in memory":
                opened, expected = io.BytesIO(b"hello"), b"hello"
            case _:
                opened, expected = endless, b""
        async with serving(Wsgi(file_app(lambda: opened))) as server:
            response = await server.connect().get()
        assert response.headers["transfer-encoding"] == "chunked"
        assert response.body
        assert response.body == (expected or response.body)
        assert opened.closed


async def test_wg_11_a_file_of_another_length_is_as_any_body(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello world")
    app = file_app(lambda: path.open("rb"), ("Content-Length", "20"))
    response = await answer_of(app)
    assert (response.body, response.is_whole) == (b"hello world", False)
    assert "11 bytes where 20 were declared" in caplog.text


# -- PEP 3333 as a whole ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("shape", ["list", "pieces", "write", "lazy", "lines"])
async def test_wg_6_the_validator_has_no_objections(
    method: str, shape: str, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        stream = environ["wsgi.input"]
        data = b"".join(stream) if shape == "lines" else stream.read(5) + stream.read(-1)
        data = data or b"nothing"
        if shape == "list":
            start_response("200 OK", [TEXT, ("Content-Length", str(len(data)))])
            return [data]
        write = start_response("200 OK", [TEXT])
        if shape == "write":
            write(data)
            return []
        return (data[at : at + 3] for at in range(0, len(data), 3))

    body = b"some\nlines\n" if method in {"POST", "PUT"} else b""
    async with TestServer(Wsgi(validated(app))) as server, server.session() as session:
        for _ in range(2):
            fields = {"content-type": "text/plain"}
            response = await session.request(method, "/path?query", body=body, headers=fields)
            response.assert_ok()
            assert response.body == (b"" if method == "HEAD" else body or b"nothing")
    assert [each for each in caplog.records if each.levelno > logging.INFO] == []


@pytest.mark.parametrize("app", [3, "text"])
def test_wg_13_only_an_application_is_served(app: Any) -> None:
    with pytest.raises(tt.ConfigError, match="is not a WSGI application"):
        Wsgi(app)


def test_wg_13_an_async_function_is_refused() -> None:
    async def app(environ: Any, start_response: Any) -> Any: ...

    with pytest.raises(tt.ConfigError, match="app is not a WSGI application"):
        Wsgi(app)  # type: ignore[arg-type]  # on purpose
