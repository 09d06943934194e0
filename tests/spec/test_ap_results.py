"""AP-8 to AP-10 of docs/spec/api.md: results, streams, and what a client accepts."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, Any, Literal

import pytest
import trio
from msgspec import Struct
from trio.testing import MockClock

import trillium_trio as tt
from tests.spec._api import Aliased, Colour, Item, Person, Point
from tests.wire import request, serving, settled
from trillium_trio.handlers import FromQuery, Router, api
from trillium_trio.testing import TestResponse, TestServer

ITEM = Item("a", 1.5)
ITEM_JSON = b'{"name":"a","price":1.5,"tags":[]}'


async def ask(handler: Any, target: str = "/", **options: Any) -> TestResponse:
    async with TestServer(handler) as app:
        return await app.get(target, **options)


def returning(value: object, **options: Any) -> Any:
    """Return a handler of a function that returns a value."""

    async def fn() -> Any:
        return value

    return api(**options)(fn)


# -- AP-8 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (ITEM, ITEM_JSON),
        ([ITEM], b"[%s]" % ITEM_JSON),
        ({"a": {"b": [1, None, True]}}, b'{"a":{"b":[1,null,true]}}'),
        ({Colour.RED: {1}}, b'{"red":[1]}'),
        (Person(name="a"), b'{"name":"a","born":"2000-01-01"}'),
        ([Person(name="a")], b'[{"name":"a","born":"2000-01-01"}]'),
        (Point(1, 2), b'{"x":1,"y":2}'),
        (5, b"5"),
        (False, b"false"),
        (float("nan"), b"null"),
        ("é", "é".encode()),
        (b"\xff", b"\xff"),
    ],
    ids=repr,
)
async def test_ap_8_a_result_is_the_body(value: object, body: bytes) -> None:
    response = await ask(returning(value))
    response.assert_ok().assert_body(body)
    if isinstance(value, str):
        response.assert_header("content-type", "text/plain; charset=utf-8")
    elif isinstance(value, bytes):
        response.assert_no_header("content-type")
    else:
        response.assert_header("content-type", "application/json")


@pytest.mark.parametrize(
    ("value", "options", "status", "body"),
    [
        (ITEM, {}, 200, ITEM_JSON),
        (ITEM, {"status": 201}, 201, ITEM_JSON),
        ((202, ITEM), {"status": 201}, 202, ITEM_JSON),
        ((tt.Status.ACCEPTED, "x"), {}, 202, b"x"),
        ((404, None), {}, 404, b""),
        (None, {}, 204, b""),
        (None, {"status": 202}, 202, b""),
    ],
    ids=repr,
)
async def test_ap_8_where_the_status_comes_from(
    value: object, options: dict[str, Any], status: int, body: bytes
) -> None:
    response = await ask(returning(value, **options))
    assert (response.status, response.body) == (status, body)
    # Without a status of its own, that of the conn counts.
    response = await ask((tt.Status.CREATED, returning(value, **options)))
    assert response.status == (201 if status in {200, 204} else status)


async def chosen(conn: tt.Conn, halt: bool) -> tt.Conn:
    conn.with_body("mine\n")
    return conn.halt() if halt else conn


async def with_fields(conn: tt.Conn) -> Item:
    conn.with_response_header("content-type", "application/hal+json")
    conn.with_response_header("x-mine", "1")
    return ITEM


async def test_ap_8_a_conn_is_answered_as_it_is() -> None:
    async def after(conn: tt.Conn) -> tt.Conn:
        return conn.with_response_header("x-after", "1")

    async with TestServer((api(chosen), after)) as app:
        (await app.get("/?halt=1")).assert_body("mine\n").assert_no_header("x-after")
        (await app.get("/?halt=0")).assert_body("mine\n").assert_header("x-after")


async def test_ap_8_fields_of_the_conn_are_kept() -> None:
    response = await ask((api(with_fields), "not reached"))
    response.assert_ok().assert_body(ITEM_JSON).assert_header("x-mine", "1")
    response.assert_header("content-type", "application/hal+json")


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ((1, 2, 3), "return a list for an array"),
        ((True, 2), "(bool, int)"),
        (("a", 2), "(str, int)"),
        (object(), "JSON has no object"),
        ({"a": object()}, "JSON has no object"),
        ("\ud800", "surrogates"),
        ({"a": "\ud800"}, "surrogates"),
    ],
)
async def test_ap_8_what_json_cannot_hold_is_a_500(
    value: object, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    (await ask(returning(value))).assert_status(500)
    assert part in caplog.text


async def test_ap_8_another_conn_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    kept: list[tt.Conn] = []

    async def fn(conn: tt.Conn) -> tt.Conn:
        kept.append(conn)
        return kept[0]

    async with TestServer(api(fn)) as app:
        (await app.get("/")).assert_status(404)
        (await app.get("/")).assert_status(500)
    assert "another conn" in caplog.text


async def alias(body: Aliased) -> Aliased:
    return body


async def test_ap_8_a_model_is_written_under_its_own_names() -> None:
    async with TestServer(api(alias)) as app:
        (await app.post("/", json={"in": 5})).assert_ok().assert_body(b'{"out":5}')


# -- AP-9 --------------------------------------------------------------------------------------


class Tick(Struct):
    n: int


closed: list[str] = []


async def ticks(wait: float = 1, count: int = 1_000_000) -> AsyncIterator[Tick]:
    try:
        for n in range(count):
            yield Tick(n)
            await trio.sleep(wait)
    finally:
        closed.append("ticks")


async def passed_on(wait: float = 1) -> AsyncGenerator[Tick, None]:
    """Return an iterator, and not be one."""
    return ticks(wait)  # type: ignore[return-value]  # it is a generator


@pytest.fixture(autouse=True)
def _nothing_is_closed() -> None:
    closed.clear()


async def test_ap_9_each_value_is_a_line_sent_at_once(autojump_clock: MockClock) -> None:
    async with serving(api(passed_on)) as app:
        client = app.connect()
        await client.send(request("/?wait=10"))
        data = await client.receive()
        assert b"content-type: application/jsonl\r\n" in data.lower()
        while b'{"n":0}\n' not in data:
            data += await client.receive()
        assert trio.current_time() < 10
        while b'{"n":1}\n' not in data:
            data += await client.receive()
        assert trio.current_time() < 20


async def test_ap_9_a_stream_that_ends_is_whole(autojump_clock: MockClock) -> None:
    response = await ask(api(ticks), "/?count=3")
    response.assert_ok().assert_header("content-type", "application/jsonl")
    response.assert_body(b'{"n":0}\n{"n":1}\n{"n":2}\n')
    assert closed == ["ticks"]


@pytest.mark.parametrize("fn", [ticks, passed_on])
async def test_ap_9_a_stream_ends_at_the_stop_after_a_whole_line(
    fn: Callable[..., object], autojump_clock: MockClock
) -> None:
    async with serving(api(fn)) as app:
        client = app.connect()
        await client.send(request("/?wait=1000"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(settled_stop, app)
            response = await client.response()
        assert response.is_whole
        assert response.body == b'{"n":0}\n'
        assert trio.current_time() < 1000
    assert closed == ["ticks"]


async def settled_stop(app: Any) -> None:
    await trio.sleep(5)
    app.handle.shut_down()


async def test_ap_9_without_interrupt_it_goes_on_to_its_end(autojump_clock: MockClock) -> None:
    async with serving(api(interrupt=False)(ticks)) as app:
        client = app.connect()
        await client.send(request("/?wait=10&count=3"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(settled_stop, app)
            response = await client.response()
        assert response.is_whole
        assert response.body == b'{"n":0}\n{"n":1}\n{"n":2}\n'


async def test_ap_9_without_interrupt_it_is_cut_at_the_deadline(
    autojump_clock: MockClock,
) -> None:
    async with TestServer(api(interrupt=False)(ticks)) as app:
        peer = app.connect()
        await peer.send(request("/?wait=10"))
        await trio.sleep(15)
        report = await app.shut_down(timeout=3)
        assert not report.is_clean
        assert trio.current_time() == 18
    assert closed == ["ticks"]


async def test_ap_9_a_client_that_leaves_ends_it(autojump_clock: MockClock) -> None:
    async with serving(api(ticks)) as app:
        client = app.connect()
        await client.send(request("/?wait=1"))
        await trio.sleep(3)
        await client.stream.aclose()
        await trio.sleep(3)
        assert closed == ["ticks"]


async def test_ap_9_head_does_not_start_it(autojump_clock: MockClock) -> None:
    async with TestServer(Router().get("/", api(ticks))) as app:
        response = await app.head("/")
        response.assert_ok().assert_header("content-type", "application/jsonl")
    assert closed == []


async def breaks() -> AsyncIterator[object]:
    yield 1
    yield object()


async def test_ap_9_a_value_without_json_severs_the_response(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(api(breaks)) as app:
        response = await app.connect().get("/")
        assert response.status == 200
        assert not response.is_whole
        assert b"1\n".startswith(response.body)
    assert "JSON has no object" in caplog.text


# -- AP-10 -------------------------------------------------------------------------------------


async def gives_item() -> Item:
    return ITEM


async def gives_maybe(n: int = 1) -> tuple[Literal[200, 202], Item] | None:
    return (200, ITEM) if n else None


async def gives_text() -> str:
    return "text"


async def gives_either(text: Annotated[bool, FromQuery] = True) -> str | Item:
    return "text" if text else ITEM


async def gives_anything():  # type: ignore[no-untyped-def]  # so that JSON is assumed
    return ITEM


@pytest.mark.parametrize(
    ("fn", "accept", "status"),
    [
        (gives_item, "application/json", 200),
        (gives_item, "Application/JSON;q=0.5", 200),
        (gives_item, "text/html, */*;q=0.1", 200),
        (gives_item, "application/*", 200),
        (gives_item, "", 200),
        (gives_item, "text/html", 406),
        (gives_item, "application/jsonl", 406),
        (gives_item, "application/json;q=0, */*", 406),
        (gives_item, "*/*;q=0", 406),
        (gives_item, "*/*, application/*;q=0.0", 406),
        (gives_item, "application/*;q=0, application/json", 200),
        (gives_maybe, "text/html", 406),
        (gives_anything, "text/html", 406),
        (gives_text, "application/json", 200),
        (gives_either, "image/png", 200),
        (ticks, "application/jsonl", 200),
        (ticks, "application/json", 406),
    ],
)
async def test_ap_10_accept_is_checked_before_the_function_runs(
    fn: Callable[..., object], accept: str, status: int, autojump_clock: MockClock
) -> None:
    ran: list[tt.Conn] = []

    class Count(tt.Handler):
        async def run(self, conn: tt.Conn) -> tt.Conn:
            ran.append(conn)
            return conn

    response = await ask((api(fn), Count()), "/?count=1&wait=0", headers={"accept": accept})
    response.assert_status(status)
    if status == 406:
        response.assert_header("content-type", "application/problem+json")
        assert "application/json" in response.json()["detail"]


async def test_ap_10_several_fields_count_together() -> None:
    async with serving(api(gives_item)) as app:
        fields = ("Accept: text/html", "Accept: application/json")
        assert (await app.connect().get("/", *fields)).status == 200


async def test_a_cut_while_a_function_waits_is_a_503(autojump_clock: MockClock) -> None:
    async def fn() -> str:
        await trio.sleep_forever()
        return "never"

    async with TestServer(api(fn)) as app:
        async with trio.open_nursery() as nursery:
            found: list[TestResponse] = []

            async def get() -> None:
                found.append(await app.get("/"))

            nursery.start_soon(get)
            await settled()
            app.shut_down(timeout=5)
        found[0].assert_status(503)


async def test_a_request_in_progress_is_answered_in_the_drain(autojump_clock: MockClock) -> None:
    async def fn(body: Item) -> Item:
        await trio.sleep(2)
        return body

    async with TestServer(api(fn)) as app:
        async with trio.open_nursery() as nursery:
            found: list[TestResponse] = []

            async def post() -> None:
                found.append(await app.post("/", json={"name": "a", "price": 1.5}))

            nursery.start_soon(post)
            await settled()
            app.shut_down()
        found[0].assert_ok().assert_body(ITEM_JSON)


async def test_a_client_that_leaves_in_its_body_is_logged_quietly(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def fn(body: Item) -> Item:
        return body

    async with serving(api(fn)) as app:
        client = app.connect()
        fields = ("Content-Type: application/json", "Content-Length: 50")
        await client.send(request("/", *fields, method="POST"), b'{"name"')
        await client.stream.aclose()
        await settled()
        assert (await app.connect().get("/")).status == 415
    assert caplog.text == ""
