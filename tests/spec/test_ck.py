"""The clauses of docs/spec/cookies.md."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trillium_trio as tt
from trillium_trio.codec import HeadLimits, read_head
from trillium_trio.exceptions import MisuseError
from trillium_trio.handlers import CookieJar, Cookies
from trillium_trio.http import parse_cookies, set_cookie
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from trillium_trio.testing import TestResponse


async def ask(change: Callable[[CookieJar], object], *, cookie: str = "") -> TestResponse:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(str(change(Cookies.of(conn))))

    async with TestServer((Cookies(), handler)) as app:
        return await app.get("/", headers={"cookie": cookie} if cookie else None)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("a=1; b=2", {"a": ["1"], "b": ["2"]}),
        ("a=1;b=2", {"a": ["1"], "b": ["2"]}),
        (" a = 1 ;; b=2;", {"a": ["1"], "b": ["2"]}),
        ("a", {}),
        ("=1; b=2", {"b": ["2"]}),
        ("a b=1; c=3", {"c": ["3"]}),
        ('"a"=1; c=3', {"c": ["3"]}),
        ("a=", {"a": [""]}),
        ("a===b", {"a": ["==b"]}),
        ('a="b"', {"a": ["b"]}),
        ('a="', {"a": ['"']}),
        ('a="b', {"a": ['"b']}),
        ('a={"x":1,"y":2}', {"a": ['{"x":1,"y":2}']}),
        ("a=%C3%A9%3B", {"a": ["é;"]}),
        ("a=100%", {"a": ["100%"]}),
        ("a=%ff", {"a": ["%ff"]}),
        ("é".encode().decode("latin-1").join(["a=", ""]), {"a": ["é"]}),
        ("a=\xff", {"a": ["\xff"]}),
        ("$Version=1; a=1", {"$Version": ["1"], "a": ["1"]}),
        ("a=1, b=2", {"a": ["1, b=2"]}),
    ],
)
def test_ck_1_a_bad_pair_costs_only_itself(field: str, expected: dict[str, list[str]]) -> None:
    assert parse_cookies([field]) == expected


def test_ck_1_several_fields_are_one_list() -> None:
    assert parse_cookies(["a=1", "b=2; a=3"]) == {"a": ["1", "3"], "b": ["2"]}


async def test_ck_2_the_first_of_several_is_the_value() -> None:
    response = await ask(lambda jar: (jar["a"], jar.get_all("a"), len(jar)), cookie="a=1; a=2")
    response.assert_ok().assert_body("('1', ['1', '2'], 1)")


async def test_ck_2_a_cookie_that_was_not_sent_is_a_key_error() -> None:
    response = await ask(lambda jar: (jar.get("b"), "b" in jar, jar.get_all("b"), list(jar)))
    response.assert_body("(None, False, [], [])")


async def test_ck_3_changes_become_fields_and_are_seen_at_once() -> None:
    def change(jar: CookieJar) -> object:
        jar.set("theme", "light")
        jar.set("theme", "dark")
        jar.set("theme", "blue", path="/admin")
        jar.delete("old")
        return jar["theme"], "old" in jar

    response = await ask(change, cookie="old=1")
    response.assert_ok().assert_body("('blue', False)")
    assert response.headers.get_all("set-cookie") == [
        "theme=dark; Path=/; HttpOnly; SameSite=Lax",
        "theme=blue; Path=/admin; HttpOnly; SameSite=Lax",
        "old=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax",
    ]


async def test_ck_3_every_cookie_that_can_be_set_can_be_deleted() -> None:
    # Browsers keep partitioned cookies apart, and ignore Lax in responses to other sites.
    response = await ask(
        lambda jar: jar.delete("a", secure=True, same_site="none", partitioned=True)
    )
    assert response.headers.get_all("set-cookie") == [
        "a=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=None; Partitioned"
    ]


async def test_ck_3_a_change_is_sent_with_the_response_to_an_exception() -> None:
    async def fails(conn: tt.Conn) -> tt.Conn:
        Cookies.of(conn).set("a", "1")
        raise tt.HttpError(409, "conflict")

    async with TestServer((Cookies(), fails)) as app:
        response = await app.get("/")
    assert response.status == 409
    assert response.headers.get_all("set-cookie") == ["a=1; Path=/; HttpOnly; SameSite=Lax"]


async def test_ck_3_a_change_behind_the_head_is_misuse() -> None:
    errors: list[Exception] = []

    async def late(conn: tt.Conn) -> tt.Conn:
        await conn.ok("sent").send_now()
        for change in (Cookies.of(conn).set, lambda name, _: Cookies.of(conn).delete(name)):
            with pytest.raises(MisuseError, match="'a' is too late") as caught:
                change("a", "1")
            errors.append(caught.value)
        return conn

    async with TestServer((Cookies(), late)) as app:
        (await app.get("/")).assert_ok().assert_no_header("set-cookie")
    assert len(errors) == 2


async def test_ck_3_without_the_handler_the_error_names_it() -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        with pytest.raises(MisuseError, match="Cookies leaves it"):
            Cookies.of(conn)
        return conn.ok("")

    async with TestServer(handler) as app:
        (await app.get("/")).assert_ok()


@pytest.mark.parametrize(("is_tls", "expected"), [(False, ""), (True, "; Secure")])
async def test_ck_4_a_cookie_is_as_private_as_its_request(is_tls: bool, expected: str) -> None:
    parsed = read_head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", HeadLimits())
    assert parsed is not None
    jar = CookieJar(parsed[0], is_secure=is_tls)
    jar.set("a", "1")
    assert jar.take_lines() == [f"a=1; Path=/{expected}; HttpOnly; SameSite=Lax"]


def test_ck_4_every_attribute_can_be_chosen() -> None:
    line = set_cookie(
        "__Secure-a",
        "é; 100%",
        max_age=60,
        expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        path="/x",
        domain=".example.com",
        secure=True,
        http_only=False,
        same_site="none",
        partitioned=True,
    )
    assert line == (
        "__Secure-a=%C3%A9%3B%20100%25; Max-Age=60; Expires=Wed, 02 Jan 2030 03:04:05 GMT; "
        "Path=/x; Domain=example.com; Secure; SameSite=None; Partitioned"
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"name": ""}, "not a token"),
        ({"name": "a b"}, "not a token"),
        ({"name": "a\r\nb"}, "not a token"),
        ({"value": "x" * 4096}, "4097 bytes"),
        ({"path": "/a;b"}, "no value for an attribute"),
        ({"path": "/a\r\nset-cookie: b=1"}, "no value for an attribute"),
        ({"path": "/" + "x" * 1024}, "no value for an attribute"),
        ({"path": "a"}, "does not begin with a slash"),
        ({"domain": "exa mple.com"}, "is no domain"),
        ({"domain": "a;b"}, "no value for an attribute"),
        ({"domain": ""}, "is no domain"),
        ({"name": "__Secure-a", "secure": False}, "demands secure"),
        ({"name": "__Host-a", "secure": False}, "demands secure"),
        ({"name": "__host-a", "path": "/x"}, "demands the path / and no domain"),
        ({"name": "__Host-a", "domain": "example.com"}, "demands the path / and no domain"),
        ({"same_site": "none", "secure": False}, "without secure"),
        ({"same_site": "Lax"}, "is strict, lax or none"),
        ({"partitioned": True, "secure": False}, "without secure"),
    ],
)
def test_ck_5_what_a_browser_would_refuse_is_refused(
    arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        set_cookie(**{"name": "a", "value": "1", "secure": True, **arguments})


def test_ck_5_just_within_the_limits() -> None:
    assert set_cookie("a", "x" * 4095, path="/" + "x" * 1023, secure=True)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300))
def test_ck_5_any_value_comes_back(value: str) -> None:
    sent = set_cookie("a", value, secure=False).partition(";")[0]
    assert sent.isascii()
    assert parse_cookies([sent]) == {"a": [value]}
