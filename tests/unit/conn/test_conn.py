"""What handlers see of a request, and how they answer it."""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.wire import chunked, request, serving, settled
from trillium_trio.conn import as_handler, leaves
from trillium_trio.http import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trillium_trio.conn import HandlerLike


async def test_the_request(autojump_clock: object) -> None:
    seen: dict[str, object] = {}

    async def handler(conn: tt.Conn) -> tt.Conn:
        names = ["method", "path", "querystring", "query", "http_version", "host", "url"]
        names += ["is_secure", "peer_ip", "status", "is_halted"]
        seen.update({name: getattr(conn, name) for name in names})
        seen["repr"] = repr(conn)
        seen["field"] = conn.request_headers["x-mine"]
        seen["listener"] = conn.listener.name
        seen["start"] = conn.start_time
        return conn.ok("x")

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request("/a%20b?q=1&q=&r=%41", "X-Mine: y", method="PATCH"))
        await client.response()
    assert seen == {
        "method": "PATCH",
        "path": "/a%20b",
        "querystring": "q=1&q=&r=%41",
        "query": {"q": ["1", ""], "r": ["A"]},
        "http_version": "1.1",
        "host": "x",
        "url": "http://x/a%20b?q=1&q=&r=%41",
        "is_secure": False,
        "peer_ip": None,
        "status": None,
        "is_halted": False,
        "repr": "<Conn PATCH /a%20b?q=1&q=&r=%41 -> None open>",
        "field": "y",
        "listener": "test",
        "start": 0.0,
    }


@pytest.mark.parametrize(
    ("answer", "status", "fields", "body"),
    [
        (lambda conn: conn.ok(b"bytes"), 200, {}, b"bytes"),
        (
            lambda conn: conn.ok("ä"),
            200,
            {"content-type": "text/plain; charset=utf-8"},
            b"\xc3\xa4",
        ),
        (lambda conn: conn.ok(bytearray(b"x")), 200, {}, b"x"),
        (lambda conn: conn.ok(tt.Body("x")), 200, {}, b"x"),
        (lambda conn: conn.with_body("x"), 200, {}, b"x"),
        (lambda conn: conn.with_body(b"").with_status(201), 201, {}, b""),
        (lambda conn: conn.redirect("/there"), 302, {"location": "/there"}, b""),
        (lambda conn: conn.redirect("/there", 307).with_body("gone"), 307, {}, b"gone"),
        (
            lambda conn: conn.with_response_header("content-type", "a/b").ok("x"),
            *(200, {"content-type": "a/b"}, b"x"),
        ),
        (
            lambda conn: conn.with_response_header("x", "1").with_response_header("X", "2").ok(""),
            *(200, {"x": "2"}, b""),
        ),
        (lambda conn: conn.with_added_response_header("x", "1"), 404, {"x": "1"}, b"Not Found\n"),
        (lambda conn: conn.ok(5), 500, {}, b"Internal Server Error\n"),
        (
            lambda conn: conn.with_head(201, tt.Headers({"x": "1"})).with_body("x"),
            *(201, {"x": "1"}, b"x"),
        ),
        (
            lambda conn: conn.redirect("/there").with_head(Status.CREATED, tt.Headers({"x": "1"})),
            *(201, {"location": "/there", "x": "1"}, b""),
        ),
        (lambda conn: conn.with_head(101, tt.Headers()), 500, {}, b"Internal Server Error\n"),
        (lambda conn: conn.with_status(101), 500, {}, b"Internal Server Error\n"),
        (lambda conn: conn.with_status(200.5), 500, {}, b"Internal Server Error\n"),
        (
            lambda conn: conn.with_response_header("x", "a\r\nb"),
            500,
            {},
            b"Internal Server Error\n",
        ),
        (lambda conn: conn.redirect("/a\r\nb: c"), 500, {}, b"Internal Server Error\n"),
    ],
)
async def test_answers(
    answer: Callable[[tt.Conn], tt.Conn],
    status: int,
    fields: dict[str, str],
    body: bytes,
    autojump_clock: object,
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return answer(conn)

    async with serving(handler) as app:
        response = await app.connect().get()
        assert (response.status, response.body) == (status, body)
        assert response.headers.items() >= fields.items()


async def test_what_was_answered_can_be_read(autojump_clock: object) -> None:
    async def last(conn: tt.Conn) -> tt.Conn:
        raise AssertionError("halted before")

    async def handler(conn: tt.Conn) -> tt.Conn:
        assert conn.response_body.data == b""
        conn.ok("hello").with_response_header("x", "y")
        assert (conn.status, conn.is_halted, conn.response_body.data) == (200, True, b"hello")
        assert conn.response_headers["x"] == "y"
        assert conn.raw_headers is conn.response_headers
        assert repr(conn).endswith("-> 200 halted>")
        return conn

    async with serving((handler, last)) as app:
        assert (await app.connect().get()).body == b"hello"


class Shared:
    pass


async def test_state(autojump_clock: object) -> None:
    shared = Shared()
    prepared: list[object] = []

    async def init(info: tt.Info) -> None:
        prepared.append(info.shared_state(Shared))
        prepared.append(info.insert_shared_state("from init"))
        prepared.append(info.insert_shared_state("again"))
        prepared.append(repr(info))

    async def handler(conn: tt.Conn) -> tt.Conn:
        assert conn.state(int) == 5
        assert conn.state(bool) is None
        assert conn.states(int, bool) == (5, None)
        assert conn.insert_state(6) == 5
        assert conn.with_state(2.5).take_state(float) == 2.5
        assert conn.take_state(float) is None
        assert conn.shared_state(Shared) is shared
        return conn.ok(conn.shared_state(str))

    async def without(conn: tt.Conn) -> tt.Conn:
        assert conn.state(int) is conn.take_state(int) is None
        assert conn.states(int, bool) == (None, None)
        return conn

    config = tt.config().with_shared_state(shared)
    async with serving((tt.Init(init), without, tt.State(5), handler), config) as app:
        assert (await app.connect().get()).body == b"again"
        assert app.handle.shared_state(Shared) is shared
    assert prepared == [shared, None, "from init", "<Info test>"]


async def test_services_and_work_from_init(autojump_clock: object) -> None:
    log: list[object] = []

    async def run(what: str) -> None:
        log.append(what)

    async def init(info: tt.Info) -> None:
        info.start_soon(run, "work")
        info.start_service(run, "service")
        assert info.swansong.is_running
        assert info.config.http.max_headers == 100

    async with serving(tt.Init(init)) as app:
        await app.connect().get()
        assert sorted(map(str, log)) == ["service", "work"]


# Bodies


@pytest.mark.parametrize(
    ("sent", "content_type", "text"),
    [
        ("grün".encode(), None, "grün"),
        ("grün".encode("latin-1"), "text/plain; charset=iso-8859-1", "grün"),
        (b"\xff", "text/plain", None),
        (b"x", "text/plain; charset=nonsense", None),
    ],
)
async def test_text(
    sent: bytes, content_type: str | None, text: str | None, autojump_clock: object
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(await conn.request_body.text())

    async with serving(handler) as app:
        client = app.connect()
        fields = () if content_type is None else (f"Content-Type: {content_type}",)
        await client.send(request("/", *fields, method="PUT", body=sent))
        response = await client.response()
        assert response.status == (400 if text is None else 200)
        if text is not None:
            assert response.body.decode() == text


@pytest.mark.parametrize(
    ("sent", "status"), [(b'{"a": [1]}', 200), (b"{", 400), (b"\xff", 400), (b"[" * 100_000, 400)]
)
async def test_json(sent: bytes, status: int, autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        assert await conn.request_body.json() == {"a": [1]}
        return conn.ok("x")

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request(method="PUT", body=sent))
        response = await client.response()
        assert (response.status, response.closes) == (status, False)


async def test_pieces(autojump_clock: object) -> None:
    seen: list[object] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        body = conn.request_body
        assert body is conn.request_body
        seen.append(repr(body))
        async for piece in body:
            seen.append(piece)
            break
        seen.append(body.is_complete)
        assert len(conn.request_trailers) == 0
        async for piece in body:
            seen.append(piece)
        async for piece in body:
            seen.append(piece)
        seen.extend([body.is_complete, body.length, conn.request_trailers["x-sum"]])
        return conn.ok(await body.read())

    async with serving(handler) as app:
        client = app.connect()
        raw = request("/", "Transfer-Encoding: chunked", method="PUT", body=chunked(b"one", b"two"))
        at = raw.index(b"two") - 3
        await client.send(raw[:at])
        await settled()
        await client.send(raw[at:-2] + b"X-Sum: 5\r\n\r\n")
        assert (await client.response()).body == b""
    assert seen == [
        *("<RequestBody chunked, 0 received>", b"one", False, b"two", True, None, "5"),
    ]


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("how", ["read", "iterate", "argument"])
async def test_a_body_beyond_the_limit(is_chunked: bool, how: str, autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        if how == "iterate":
            async for _ in conn.request_body:
                pass
        else:
            await conn.request_body.read(3 if how == "argument" else None)
        return conn.ok("never")

    async with serving(handler, max_body_bytes=100 if how == "argument" else 3) as app:
        client = app.connect()
        fields = ["Transfer-Encoding: chunked"] if is_chunked else []
        body = chunked(b"fo", b"ur") if is_chunked else b"four"
        await client.send(request("/", *fields, method="PUT", body=body))
        response = await client.response()
        assert response.status == 413
        assert response.closes


async def test_a_read_that_was_cancelled_goes_on(autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        with trio.move_on_after(1) as scope:
            await conn.request_body.read()
        assert scope.cancelled_caught
        first = b"" if conn.path == "/read" else await anext(conn.request_body)
        return conn.ok(first + await conn.request_body.read())

    async with serving(handler) as app:
        for path in ("/read", "/iterate"):
            client = app.connect()
            raw = request(path, method="PUT", body=b"hello")
            await client.send(raw[:-2])
            await trio.sleep(2)
            await client.send(raw[-2:])
            assert (await client.response()).body == b"hello"


# Handlers


@pytest.mark.parametrize(
    ("handler", "status", "body"),
    [
        ("text", 200, b"text"),
        (b"bytes", 200, b"bytes"),
        (None, 404, b"Not Found\n"),
        (tt.Status.ACCEPTED, 202, b""),
        ((tt.Status.CREATED, "still 200"), 200, b"still 200"),
        ([tt.Status.CREATED, None], 201, b""),
        ((("first",), "second"), 200, b"first"),
    ],
)
async def test_what_stands_for_a_handler(
    handler: HandlerLike, status: int, body: bytes, autojump_clock: object
) -> None:
    async with serving(handler) as app:
        response = await app.connect().get()
        assert (response.status, response.body) == (status, body)


class Mine(tt.Handler):
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [(5, "5 is not a handler"), (Mine, r"Mine is a class; a handler is an instance: Mine\(\)")],
)
def test_what_does_not(value: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        as_handler(value)  # type: ignore[arg-type]  # the mistake


async def test_names() -> None:
    async def fn(*args: object) -> tt.Conn:
        raise AssertionError("nobody calls it")

    @asynccontextmanager
    async def resource(info: tt.Info) -> AsyncIterator[None]:
        yield

    handler = as_handler(
        (functools.partial(fn, 1), tt.Init(fn), tt.Lifespan(resource), tt.State(5), Mine(), "x")
    )
    names = [leaf.name.replace("test_names.<locals>.", "") for leaf in leaves(handler)]
    assert names == ["fn", "Init(fn)", "Lifespan(resource)", "State(int)", "Mine", "_Answer"]
    assert handler.name.endswith("State(int), Mine, _Answer)")
    assert repr(Mine()) == "<Mine>"


async def test_what_a_handler_does_of_itself(autojump_clock: object) -> None:
    entered: list[str] = []

    @asynccontextmanager
    async def resource(info: tt.Info) -> AsyncIterator[None]:
        entered.append("in")
        yield
        entered.append("out")

    base = Mine()
    async with serving((tt.Lifespan(resource), base)) as app:
        assert (await app.connect().get()).status == 404
        assert entered == ["in"]
    assert entered == ["in", "out"]
    # What a class calls by super().
    async with base.lifespan(None):  # type: ignore[arg-type]  # not looked at
        await base.init(None)  # type: ignore[arg-type]  # not looked at
        await base.upgrade(None)  # type: ignore[arg-type]  # not looked at
        assert await base.run("conn") == await base.before_send("conn") == "conn"  # type: ignore[arg-type, comparison-overlap]  # passed through
        assert not base.has_upgrade(None)  # type: ignore[arg-type]  # not looked at
