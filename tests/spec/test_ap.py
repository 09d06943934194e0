"""AP-1 to AP-7 of docs/spec/api.md: arguments, and requests that do not fit."""

import json
import logging
import sys
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import pytest
from msgspec import Meta, Struct

import trillium_trio as tt
from tests.spec._api import (
    Colour,
    Db,
    Item,
    Login,
    Order,
    Person,
    Point,
    Range,
    Strict,
    User,
)
from tests.wire import chunked, request, serving
from trillium_trio.asgi import to_asgi
from trillium_trio.conn import HandlerLike, Mounted
from trillium_trio.handlers import (
    FromCookie,
    FromForm,
    FromHeader,
    FromQuery,
    Params,
    Problem,
    Router,
    api,
)
from trillium_trio.http import set_cookie
from trillium_trio.testing import TestResponse, TestServer

UUID_TEXT = "ec38df32-ceda-4cfa-9b4a-1aeb94ad551a"
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def ask(
    handler: HandlerLike, target: str = "/", method: str = "GET", **options: Any
) -> TestResponse:
    async with TestServer(handler) as app:
        return await app.request(method, target, **options)


async def send(handler: HandlerLike, value: object) -> TestResponse:
    return await ask(handler, method="POST", json=value)


def errors_of(response: TestResponse, status: int = 422) -> list[dict[str, str]]:
    response.assert_status(status).assert_header("content-type", "application/problem+json")
    document = response.json()
    assert document["status"] == status
    assert document["title"]
    errors = document["errors"]
    assert isinstance(errors, list)
    return errors


# -- AP-1 --------------------------------------------------------------------------------------


def plain(page: int) -> int:
    return page


async def bare(page) -> None: ...  # type: ignore[no-untyped-def]  # that is what is refused


async def unresolved(page: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


async def by_position(page: int, /) -> None: ...


async def many(*pages: int) -> None: ...


async def keywords(**pages: int) -> None: ...


async def no_json(body: complex) -> None: ...


async def deep_no_json(body: dict[str, list[Db]]) -> None: ...


async def object_in_query(item: Annotated[Item, FromQuery()]) -> None: ...


async def object_in_header(item: Annotated[Item, FromHeader()]) -> None: ...


async def scalar_form(page: Annotated[int, FromForm()]) -> None: ...


async def dict_form(fields: Annotated[dict[str, str], FromForm]) -> None: ...


async def two_bodies(item: Item, order: Order) -> None: ...


async def no_class(page: Annotated[list[int] | str, tt.State]) -> None: ...


async def no_result() -> Db:
    return Db()


@pytest.mark.parametrize(
    ("fn", "parts"),
    [
        (plain, ["plain", "async def", "trio.to_thread.run_sync"]),
        (bare, ["bare", "'page'", "annotation"]),
        (unresolved, ["unresolved", "Nowhere"]),
        (by_position, ["by_position", "'page'", "by name"]),
        (many, ["many", "'pages'", "by name"]),
        (keywords, ["keywords", "'pages'", "by name"]),
        (no_json, ["no_json", "'body'", "complex"]),
        (deep_no_json, ["deep_no_json", "'body'", "Db"]),
        (object_in_query, ["object_in_query", "'item'", "query"]),
        (object_in_header, ["object_in_header", "'item'", "header"]),
        (scalar_form, ["scalar_form", "'page'", "form"]),
        (dict_form, ["dict_form", "'fields'", "form"]),
        (two_bodies, ["two_bodies", "'item'", "'order'"]),
        (no_class, ["no_class", "'page'", "class"]),
        (no_result, ["no_result", "Db"]),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_ap_1_what_cannot_work_is_refused_when_it_is_built(
    fn: Callable[..., object], parts: list[str]
) -> None:
    with pytest.raises(tt.ConfigError) as caught:
        api(fn)
    assert [part for part in parts if part not in str(caught.value)] == []


@pytest.mark.parametrize("options", [{"status": 99}, {"status": 600}, {"responses": {1: "x"}}])
def test_ap_1_a_status_that_no_response_has_is_refused(options: dict[str, Any]) -> None:
    async def fine() -> None: ...

    with pytest.raises(tt.ConfigError, match="fine"):
        api(**options)(fine)


def test_ap_1_without_msgspec_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fine() -> None: ...

    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(ImportError, match=r"trillium-trio\[json\]"):
        api(fine)


def test_ap_1_its_name_is_that_of_the_function() -> None:
    assert api(no_params).name == "api(no_params)"


async def no_params() -> str:
    return "fine"


# -- AP-2 --------------------------------------------------------------------------------------


async def from_everywhere(  # type: ignore[no-untyped-def]  # a name is enough for a conn
    conn,
    the_conn: tt.Conn,
    db: Annotated[Db, tt.State],
    params: Params,
    user: User,
    shop: int,
    body: list[int],
    x_id: Annotated[str, FromHeader],
    agent: Annotated[str, FromHeader("user-agent")],
    theme: Annotated[str, FromCookie],
    lang: Annotated[str, FromCookie("language")],
    page: Annotated[int, FromQuery("p")],
    size: int,
    mounted: Mounted | None = None,
    other: Annotated[Order | None, tt.State] = None,
) -> str:
    assert conn is the_conn
    assert (type(db), user.name, params["shop"]) == (Db, "ann", str(shop))
    assert (mounted, other) == (None, None)
    return repr((shop, body, x_id, agent, theme, lang, page, size))


async def test_ap_2_each_argument_comes_from_its_place() -> None:
    async def authenticate(conn: tt.Conn) -> tt.Conn:
        return conn.with_state(User())

    router = Router().post("/{shop}", (authenticate, api(from_everywhere)))
    response = await ask(
        (tt.State(Db()), router),
        "/7?p=2&size=3&shop=8",
        "POST",
        json=[1],
        headers={"x-id": "i", "user-agent": "me", "cookie": 'theme="dark"; language=de; theme=x'},
    )
    response.assert_ok().assert_body("(7, [1], 'i', 'me', 'dark', 'de', 2, 3)")


async def uses_db(db: Annotated[Db, tt.State]) -> str:
    return type(db).__name__


async def uses_user(user: User) -> str:
    return user.name


async def test_ap_2_shared_state_is_found_as_well() -> None:
    config = tt.config().with_shared_state(Db())
    async with TestServer(api(uses_db), config) as app:
        (await app.get("/")).assert_ok().assert_body("Db")


@pytest.mark.parametrize(("fn", "part"), [(uses_db, "Db"), (uses_user, "Authenticate")])
async def test_ap_2_a_value_that_is_missing_is_a_500_that_the_log_explains(
    fn: Callable[..., object], part: str, caplog: pytest.LogCaptureFixture
) -> None:
    (await ask(api(fn))).assert_status(500)
    assert "MisuseError" in caplog.text
    assert part in caplog.text


async def in_query_or_path(name: str) -> str:
    return name


async def in_query_always(name: Annotated[str, FromQuery]) -> str:
    return name


async def test_ap_2_a_name_of_the_template_is_in_the_path() -> None:
    router = (
        Router().get("/query", api(in_query_or_path)).get("/path/{name}", api(in_query_or_path))
    )
    router.get("/always/{name}", api(in_query_always))
    async with TestServer((Router().mount("/{outer}", router), router)) as app:
        assert (await app.get("/query?name=a")).body == b"a"
        assert (await app.get("/path/b%20c?name=a")).body == b"b c"
        assert (await app.get("/always/b?name=a")).body == b"a"
        assert (await app.get("/x/path/b")).body == b"b"


# -- AP-3 --------------------------------------------------------------------------------------


def taking(type_: Any, default: object = ...) -> Any:
    """Return a handler that answers with its argument ``x`` from the query."""

    async def fn(x: Any) -> str:
        return repr(x)

    async def fn_with_default(x: Any = default) -> str:
        return repr(x)

    chosen: Any = fn if default is ... else fn_with_default
    chosen.__annotations__["x"] = type_
    return api(chosen)


@pytest.mark.parametrize(
    ("type_", "query", "value"),
    [
        (int, "x=5", 5),
        (int, "x=-5", -5),
        (float, "x=2.5", 2.5),
        (bool, "x=true", True),
        (bool, "x=0", False),
        (str, "x=", ""),
        (str, "x=a%20%C3%A9", "a é"),
        (Decimal, "x=1.10", Decimal("1.10")),
        (date, "x=2026-11-26", date(2026, 11, 26)),
        (datetime, "x=2026-11-26T10:00:00", datetime(2026, 11, 26, 10)),
        (UUID, f"x={UUID_TEXT}", UUID(UUID_TEXT)),
        (Colour, "x=red", Colour.RED),
        (Literal["a", 2], "x=a", "a"),
        (int | None, "x=5", 5),
        (list[int], "x=1&x=2", [1, 2]),
        (set[str], "x=a&x=a", {"a"}),
        (tuple[int, ...], "x=3", (3,)),
        (list[Colour], "x=red", [Colour.RED]),
        (Annotated[int, Meta(ge=1, le=3)], "x=3", 3),
    ],
    ids=str,
)
async def test_ap_3_text_becomes_what_the_annotation_says(
    type_: Any, query: str, value: object
) -> None:
    response = await ask(taking(type_), f"/?{query}")
    response.assert_ok().assert_body(repr(value))


@pytest.mark.parametrize(
    ("type_", "query", "detail"),
    [
        (int, "", "is missing"),
        (int, "x=", "Expected `int`"),
        (int, "x=%2B5", "Expected `int`"),
        (int, "x=1_000", "Expected `int`"),
        (int, "x=%D9%A5", "Expected `int`"),
        (int, f"x={'1' * 5000}", "Integer value out of range"),
        (float, "x=nan", "Expected a finite number"),
        (float, "x=-Infinity", "Expected a finite number"),
        (list[float], "x=1&x=inf", "Expected a finite number"),
        (float, "x=1e999", "Number out of range"),
        (Decimal, "x=NaN", "Expected a finite number"),
        (Decimal, "x=%20nan", "Expected a finite number"),
        (Decimal, "x=-sNaN12", "Expected a finite number"),
        (Decimal, "x=in_f%20", "Expected a finite number"),
        (bool, "x=yes", "Expected `bool`"),
        (date, "x=2026-13-01", "Invalid RFC3339 encoded date"),
        (UUID, "x=1", "Invalid UUID"),
        (Colour, "x=green", "Expected one of 'blue', 'red'"),
        (list[Colour | None], "x=red&x=green", "value 2: Expected one of 'blue', 'red'"),
        (Literal[1, 2], "x=3", "Expected one of 1, 2"),
        (int, "x=1&x=2", "is given 2 times; expected once"),
        (list[int], "x=1&x=b", "value 2: Expected `int`"),
        (Annotated[int, Meta(ge=1)], "x=0", "Expected `int` >= 1"),
    ],
    ids=str,
)
async def test_ap_3_other_text_is_refused(type_: Any, query: str, detail: str) -> None:
    response = await ask(taking(type_), f"/?{query}")
    assert errors_of(response) == [{"in": "query", "parameter": "x", "detail": detail}]


async def test_ap_3_a_default_is_given_as_it_is() -> None:
    default = object()
    (await ask(taking(int, default))).assert_body(repr(default))


async def from_header(ids: Annotated[list[int], FromHeader("x-ids")] = []) -> str:  # noqa: B006
    return repr(ids)


async def from_cookies(seen: Annotated[list[int], FromCookie]) -> str:
    return repr(seen)


async def test_ap_3_a_list_from_header_fields_is_split_at_commas(autojump_clock: object) -> None:
    async with serving(api(from_header)) as app:
        response = await app.connect().get("/", "X-Ids: 1, 2", "x-ids: ,3 ")
        assert response.body == b"[1, 2, 3]"
        assert (await app.connect().get("/")).body == b"[]"


async def test_ap_3_a_list_takes_all_cookies_of_a_name() -> None:
    response = await ask(api(from_cookies), headers={"cookie": "a=b; seen=1; nothing; seen=2"})
    response.assert_ok().assert_body("[1, 2]")


async def from_cookie(theme: Annotated[str, FromCookie]) -> str:
    return theme


@pytest.mark.parametrize("value", ["a b", "ä;,", '"', "50%"])
async def test_ap_3_a_cookie_is_read_as_it_was_set(value: str) -> None:
    cookie = set_cookie("theme", value, secure=True).partition(";")[0]
    (await ask(api(from_cookie), headers={"cookie": cookie})).assert_body(value)


async def typed_path(id: UUID) -> str:  # noqa: A002
    return repr(id)


async def test_ap_3_what_a_converter_has_made_is_passed_as_it_is() -> None:
    for template in ("/{id:uuid}", "/{id}"):
        response = await ask(Router().get(template, api(typed_path)), f"/{UUID_TEXT}")
        response.assert_ok().assert_body(repr(UUID(UUID_TEXT)))


# -- AP-4 --------------------------------------------------------------------------------------


async def take_item(item: Item) -> str:
    return repr(item)


async def take_items(items: list[Item]) -> str:
    return repr(items)


async def take_person(person: Person) -> str:
    return repr(person)


async def take_people(people: dict[str, Person]) -> str:
    return repr(people)


async def take_point(point: Point) -> str:
    return repr(point)


async def take_range(range_: Range) -> str:
    return repr(range_)


async def take_numbers(body: list[int]) -> str:
    return repr(body)


async def take_text(body: str) -> str:
    return repr(body)


async def take_bytes(body: bytes) -> bytes:
    return body[::-1]


async def take_maybe(body: Item | None = None) -> str:
    return repr(body)


async def take_login(login: Annotated[Login, FromForm]) -> str:
    return repr(login)


async def take_person_form(person: Annotated[Person, FromForm()]) -> str:
    return repr(person)


@pytest.mark.parametrize(
    ("fn", "value", "text"),
    [
        (take_item, {"name": "a", "price": 1}, "Item(name='a', price=1.0, tags=[])"),
        (take_items, [{"name": "a", "price": 1}], "[Item(name='a', price=1.0, tags=[])]"),
        (take_person, {"name": "a"}, "Person(name='a', born=datetime.date(2000, 1, 1))"),
        (
            take_people,
            {"b": {"name": "a", "born": "2001-01-01"}},
            "{'b': Person(name='a', born=datetime.date(2001, 1, 1))}",
        ),
        (take_point, {"x": 1, "y": 2}, "Point(x=1, y=2)"),
        (take_range, {"low": 1, "high": 2}, "{'low': 1, 'high': 2}"),
        (take_numbers, [1, 2], "[1, 2]"),
        (take_text, "é", "'é'"),
        (take_maybe, {"name": "a", "price": 1}, "Item(name='a', price=1.0, tags=[])"),
    ],
)
async def test_ap_4_a_body_becomes_what_the_annotation_says(
    fn: Callable[..., object], value: object, text: str
) -> None:
    (await send(api(fn), value)).assert_ok().assert_body(text)


async def test_ap_4_an_empty_body_is_the_default(autojump_clock: object) -> None:
    (await ask(api(take_maybe), method="POST")).assert_ok().assert_body("None")
    async with serving(api(take_maybe)) as app:
        client = app.connect()
        fields = ("Transfer-Encoding: chunked", "Content-Type: application/json")
        await client.send(request("/", *fields, method="POST", body=chunked()))
        assert (await client.response()).body == b"None"


async def test_ap_4_bytes_are_read_as_they_are() -> None:
    (await ask(api(take_bytes), method="PUT", body=b"abc")).assert_ok().assert_body(b"cba")


async def test_ap_4_a_form_becomes_an_object() -> None:
    body = b"user=a+%C3%A9&age=5&languages=de&languages=en&colour=red&unknown=1&unknown=2"
    response = await ask(api(take_login), method="POST", body=body, headers=FORM)
    response.assert_ok().assert_body(
        "Login(user='a é', age=5, languages=['de', 'en'], colour=<Colour.RED: 'red'>, "
        "height=None, balance=None)"
    )
    response = await ask(api(take_person_form), method="POST", body=b"name=a", headers=FORM)
    response.assert_ok().assert_body("Person(name='a', born=datetime.date(2000, 1, 1))")


@pytest.mark.parametrize(
    "media_type", ["Application/JSON", "application/json; charset=utf-8", "application/x+json"]
)
async def test_ap_4_other_names_of_json_are_json(media_type: str) -> None:
    response = await ask(
        api(take_numbers), method="POST", body=b"[1]", headers={"content-type": media_type}
    )
    response.assert_ok()


# -- AP-5 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "headers", "make"),
    [
        (take_text, JSON, lambda size: b'"%s"' % (b"a" * (size - 2))),
        (take_login, FORM, lambda size: b"age=1&user=" + b"a" * (size - 11)),
    ],
)
async def test_ap_5_the_byte_limit_of_json_holds(
    fn: Callable[..., object], headers: dict[str, str], make: Callable[[int], bytes]
) -> None:
    config = tt.config().with_http(tt.HttpConfig(max_json_bytes=100))
    async with TestServer(api(fn), config) as app:
        for size, status in ((99, 200), (100, 200), (101, 413)):
            response = await app.post("/", body=make(size), headers=headers)
            response.assert_status(status)
        response.assert_header("content-type", "application/problem+json")
        response.assert_header("connection", "close")
        assert response.json() == {"title": "Content Too Large", "status": 413}


async def test_ap_5_bytes_have_the_limit_of_bodies() -> None:
    config = tt.config().with_http(tt.HttpConfig(max_json_bytes=10, max_body_bytes=20))
    async with TestServer(api(take_bytes), config) as app:
        for size, status in ((20, 200), (21, 413)):
            (await app.post("/", body=b"a" * size)).assert_status(status)


async def take_any(body: Any) -> str:
    return str(len(body))


async def test_ap_5_json_is_100_levels_deep_at_most() -> None:
    async with TestServer(api(take_any)) as app:
        for depth, status in ((99, 200), (100, 200), (101, 400), (100_000, 400)):
            body = b"[" * depth + b"]" * depth
            response = await app.post("/", body=body, headers=JSON)
            response.assert_status(status)
        assert response.json()["detail"] == "the JSON is nested too deeply"


async def test_ap_4_a_form_has_1000_fields_at_most() -> None:
    async with TestServer(api(take_login)) as app:
        for count, status in ((998, 200), (999, 400)):
            body = b"user=a&age=1" + b"&languages=x" * count
            (await app.post("/", body=body, headers=FORM)).assert_status(status)


# -- AP-6 --------------------------------------------------------------------------------------


STR_GOT_INT = "Expected `str`, got `int`"
AT_LEAST_0 = "Expected `float` >= 0.0"
ONE_COLOUR = "Expected one of 'blue', 'red'"


async def take_order(order: Order) -> str:
    return repr(order)


async def take_strict(strict: Strict) -> str:
    return repr(strict)


async def take_colours(body: list[dict[str, Colour]]) -> str:
    return repr(body)


class Painted(Struct):
    colours: list[Colour | None]


async def take_painted(painted: Painted) -> str:
    return repr(painted)


@pytest.mark.parametrize(
    ("fn", "value", "pointers"),
    [
        (take_order, {"items": [{"name": 5, "price": 1}]}, {"#/items/0/name": STR_GOT_INT}),
        (take_order, {"items": [{"name": "a", "price": -1}]}, {"#/items/0/price": AT_LEAST_0}),
        (take_order, {"items": [{"name": "a"}]}, {"#/items/0/price": "is missing"}),
        (take_order, {"items": [], "notes": {"a": "b"}}, {"#/notes": "Expected `int`, got `str`"}),
        (take_order, [], {"#": "Expected `object`, got `array`"}),
        (take_strict, {"a/b~c": "x"}, {"#/a~1b~0c": "Expected `int`, got `str`"}),
        (take_strict, {"a/b~c": 1, "d": 2}, {"#/d": "is unknown"}),
        (take_strict, {"a/b~c": 1, "ä 5%": 2}, {"#/%C3%A4%205%25": "is unknown"}),
        (take_painted, {"colours": ["red", "green"]}, {"#/colours/1": ONE_COLOUR}),
        (take_point, {"x": 2, "y": 1}, {"#": "x is beyond y"}),
        (
            take_person,
            {"born": "then"},
            {
                "#/name": "Field required",
                "#/born": "Input should be a valid date or datetime, input is too short",
            },
        ),
        (take_people, {"a": {}}, {"#/name": "Field required"}),
    ],
)  # fmt: skip
async def test_ap_6_a_body_that_does_not_fit_is_a_422_with_pointers(
    fn: Callable[..., object], value: object, pointers: dict[str, str]
) -> None:
    errors = errors_of(await send(api(fn), value))
    assert {each["in"] for each in errors} == {"body"}
    assert {each["pointer"]: each["detail"] for each in errors} == pointers


@pytest.mark.parametrize(
    ("fn", "body"),
    [
        *((take_any, body) for body in (b"NaN", b'"\\ud800"', b"[1] 2", "[]".encode("utf-16"))),
        *(
            (fn, body)
            for fn in (take_any, take_item, take_person, take_people)
            for body in (b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b'{"x": "\xff"}')
        ),
    ],
)
async def test_ap_6_what_is_no_json_is_a_400(fn: Callable[..., object], body: bytes) -> None:
    response = await ask(api(fn), method="POST", body=body, headers=JSON)
    response.assert_status(400).assert_header("content-type", "application/problem+json")
    detail = response.json()["detail"]
    assert detail.startswith("the body is not JSON: ")
    assert "\n" not in detail
    assert "http" not in detail


@pytest.mark.parametrize("body", [b"a", b"user=%FF", b"user=\xc3\xa9", b"&&"])
async def test_ap_6_what_is_no_form_is_a_400(body: bytes) -> None:
    response = await ask(api(take_login), method="POST", body=body, headers=FORM)
    response.assert_status(400).assert_header("content-type", "application/problem+json")


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        (b"", "#/user", "is missing"),
        (b"user=a&age=b", "#/age", "Expected `int`, got `str`"),
        (b"user=a&user=b&age=1", "#/user", "is given 2 times; expected once"),
        (b"user=a&age=1&height=-inf", "#/height", "Expected a finite number"),
        (b"user=a&age=1&balance=nan", "#/balance", "Expected a finite number"),
        (b"user=a&age=1&colour=green", "#/colour", "Expected one of 'blue', 'red'"),
    ],
)
async def test_ap_6_a_form_that_does_not_fit_is_a_422(
    body: bytes, pointer: str, detail: str
) -> None:
    response = await ask(api(take_login), method="POST", body=body, headers=FORM)
    assert errors_of(response) == [{"in": "body", "pointer": pointer, "detail": detail}]


@pytest.mark.parametrize(
    ("fn", "given", "expected"),
    [
        (take_item, "text/plain", "application/json"),
        (take_item, "application/jsonp", "application/json"),
        (take_item, "", "application/json"),
        (take_item, FORM["content-type"], "application/json"),
        (take_login, "application/json", FORM["content-type"]),
        (take_login, "multipart/form-data; boundary=x", FORM["content-type"]),
    ],
)
async def test_ap_6_another_content_type_is_a_415(
    fn: Callable[..., object], given: str, expected: str
) -> None:
    headers = {"content-type": given} if given else {}
    response = await ask(api(fn), method="POST", body=b"{}", headers=headers)
    response.assert_status(415).assert_header("accept", expected)
    response.assert_header("content-type", "application/problem+json")


async def several(
    id: int,  # noqa: A002
    body: Item,
    page: int,
    size: Annotated[int, FromHeader("x-size")],
) -> None: ...


async def test_ap_6_all_parameters_that_are_wrong_are_listed() -> None:
    router = Router().post("/{id}", api(several))
    async with TestServer(router) as app:
        response = await app.post("/5?page=x", json={})
        assert errors_of(response) == [
            {"in": "query", "parameter": "page", "detail": "Expected `int`"},
            {"in": "header", "parameter": "x-size", "detail": "is missing"},
        ]
        response = await app.post("/five?page=1", json={}, headers={"x-size": "1"})
        assert errors_of(response, 404) == [
            {"in": "path", "parameter": "id", "detail": "Expected `int`"}
        ]


async def test_ap_6_a_body_is_not_asked_for_if_a_parameter_is_wrong(
    autojump_clock: object,
) -> None:
    async with serving(Router().post("/{id}", api(several))) as app:
        client = app.connect()
        fields = ("Expect: 100-continue", "Content-Length: 5", "Content-Type: application/json")
        await client.send(request("/x", *fields, method="POST"))
        response = await client.response()
        assert (response.status, response.informational) == (404, [])


# -- AP-7 --------------------------------------------------------------------------------------


async def raises(kind: str) -> None:
    match kind:
        case "http":
            raise tt.HttpError(410, "secret", {"x-why": "old"})
        case "limit":
            raise tt.TooManyRequests("secret", retry_after=3)
        case "problem":
            raise Problem(
                409,
                "the name is taken",
                type="https://example.com/taken",
                title="Taken",
                headers={"x-why": "taken", "Content-Type": "text/plain"},
                extensions={"name": "é"},
            )
    raise ValueError("secret")


async def raise_problem(conn: tt.Conn) -> tt.Conn:
    raise Problem(402, "pay first")


async def test_ap_7_errors_are_problem_documents(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trillium_trio")
    async with TestServer(api(raises)) as app:
        response = await app.get("/?kind=http")
        response.assert_status(410).assert_header("x-why", "old")
        response.assert_header("content-type", "application/problem+json")
        assert response.json() == {"title": "Gone", "status": 410}
        assert "410 secret" in caplog.text
        response = await app.get("/?kind=limit")
        response.assert_status(429).assert_header("retry-after", "3")
        response = await app.get("/?kind=problem")
        response.assert_status(409).assert_header("x-why", "taken")
        response.assert_header("content-type", "application/problem+json")
        assert response.json() == {
            "type": "https://example.com/taken",
            "title": "Taken",
            "status": 409,
            "detail": "the name is taken",
            "name": "é",
        }
        assert "409 the name is taken" in caplog.text
        response = await app.get("/?kind=other")
        response.assert_status(500).assert_body("Internal Server Error\n")


async def test_ap_7_a_problem_is_answered_in_any_handler() -> None:
    response = await ask(raise_problem)
    response.assert_status(402).assert_header("content-type", "application/problem+json")
    assert response.json() == {"title": "Payment Required", "status": 402, "detail": "pay first"}


async def test_ap_7_a_problem_is_answered_under_another_server() -> None:
    transport = httpx.ASGITransport(to_asgi(raise_problem))
    async with httpx.AsyncClient(transport=transport, base_url="http://elsewhere") as client:
        response = await client.get("/")
    assert response.status_code == 402
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "pay first"


async def test_ap_7_a_body_that_is_no_bytes_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(tt.HttpError):
        body = "text"  # type: ignore[assignment]  # that is what is odd

    async def odd(conn: tt.Conn) -> tt.Conn:
        raise Odd(400)

    (await ask(odd)).assert_status(500)
    assert "Odd" in caplog.text


def test_ap_7_a_problem_is_checked_when_it_is_made() -> None:
    with pytest.raises(TypeError):
        Problem(400, extensions={"x": object()})
    with pytest.raises(ValueError, match="JSON"):
        Problem(400, extensions={"x": float("nan")})
    assert json.loads(Problem(499).body or b"") == {"status": 499}
