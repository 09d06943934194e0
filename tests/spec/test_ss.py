"""The clauses of docs/spec/sessions.md."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

import trillium_trio as tt
from trillium_trio.exceptions import ConfigError, MisuseError
from trillium_trio.handlers import MemoryStore, Session, Sessions
from trillium_trio.http import parse_cookies
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trillium_trio.testing import TestResponse

KEY = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2


class Browser:
    """Keeps the cookies of one application."""

    def __init__(self, app: TestServer) -> None:
        self.app = app
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, *, cookie: str = "") -> TestResponse:
        sent = cookie or "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        response = await self.app.get(path, headers={"cookie": sent} if sent else None)
        for line in response.headers.get_all("set-cookie"):
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return response

    @property
    def cookie(self) -> str:
        (value,) = self.cookies.values()
        return value


async def pages(conn: tt.Conn) -> tt.Conn:
    session = Sessions.of(conn)
    match conn.path:
        case "/count":
            session["n"] = session.get("n", 0) + 1
            return conn.ok(str(session["n"]))
        case "/append":
            session.setdefault("list", []).append("x")
            return conn.ok(str(session["list"]))
        case "/read":
            return conn.ok(f"{dict(session)} {session.is_new}")
        case "/renew":
            session.renew()
            return conn.ok("renewed")
        case "/delete":
            del session["n"]
            return conn.ok("deleted")
        case "/clear":
            session.clear()
            return conn.ok("cleared")
        case "/fail":
            session["n"] = 1000
            raise RuntimeError("after a change")
        case "/refuse":
            session["n"] = 1000
            raise tt.HttpError(409, "after a change")
        case "/large":
            session["text"] = "x" * 4000
            return conn.ok("")
        case "/object":
            session["when"] = object()
            return conn.ok("")
        case "/number":
            session["n"] = float("nan")
            return conn.ok("")
    return conn.ok("untouched")


KINDS: dict[str, Callable[[], Sessions]] = {
    "signed": lambda: Sessions(key=KEY),
    "encrypted": lambda: Sessions(key=KEY, encrypted=True),
    "store": lambda: Sessions(store=MemoryStore()),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def browser(kind: str) -> AsyncIterator[Browser]:
    async with TestServer((KINDS[kind](), pages)) as app:
        yield Browser(app)


async def test_ss_1_a_session_comes_back(browser: Browser) -> None:
    for n in range(1, 4):
        (await browser.get("/count")).assert_ok().assert_body(str(n))
    (await browser.get("/read")).assert_body("{'n': 3} False")


async def test_ss_1_a_change_inside_a_value_counts(browser: Browser) -> None:
    await browser.get("/append")
    (await browser.get("/append")).assert_body("['x', 'x']")
    (await browser.get("/read")).assert_body("{'list': ['x', 'x']} False")


@pytest.mark.parametrize("path", ["/object", "/number"])
async def test_ss_1_another_value_than_jsons_is_a_500_that_names_it(
    browser: Browser, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    await browser.get("/count")
    (await browser.get(path)).assert_status(500)
    name = "when" if path == "/object" else "n"
    assert f"session value '{name}'" in caplog.text
    (await browser.get("/count")).assert_body("2")


async def test_ss_1_names_are_strings() -> None:
    with pytest.raises(TypeError, match="1 is not"):
        Session()[1] = 2  # type: ignore[index]  # what is tested


async def test_ss_2_an_untouched_session_costs_nothing(browser: Browser) -> None:
    response = await browser.get("/untouched")
    response.assert_ok().assert_no_header("set-cookie").assert_no_header("vary")
    await browser.get("/count")
    (await browser.get("/untouched")).assert_no_header("set-cookie").assert_no_header("vary")


async def test_ss_2_what_was_only_read_is_not_saved(browser: Browser) -> None:
    (await browser.get("/read")).assert_no_header("set-cookie")
    await browser.get("/count")
    (await browser.get("/read")).assert_no_header("set-cookie")


async def test_ss_2_a_failure_saves_nothing_and_an_answered_error_does(browser: Browser) -> None:
    await browser.get("/count")
    (await browser.get("/fail")).assert_status(500).assert_no_header("set-cookie")
    (await browser.get("/read")).assert_body("{'n': 1} False")
    (await browser.get("/refuse")).assert_status(409)
    (await browser.get("/read")).assert_body("{'n': 1000} False")


async def test_ss_2_a_change_behind_the_head_is_misuse(kind: str) -> None:
    async def late(conn: tt.Conn) -> tt.Conn:
        session = Sessions.of(conn)
        session["n"] = 1
        await conn.ok("sent").send_now()
        for change in (session.clear, session.renew, lambda: session.pop("n")):
            with pytest.raises(MisuseError, match="too late for the session"):
                change()
        assert session["n"] == 1
        return conn

    async with TestServer((KINDS[kind](), late)) as app:
        (await app.get("/")).assert_ok()


async def test_ss_2_it_is_extended_when_half_of_its_time_has_passed(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(_handler_module().time, "time", lambda: now)
    async with TestServer((KINDS[kind](), pages)) as app:
        browser = Browser(app)
        await browser.get("/count")
        now += 7 * 86_400
        (await browser.get("/read")).assert_no_header("set-cookie")
        now += 1
        assert "set-cookie" in (await browser.get("/read")).headers
        now += 7 * 86_400
        (await browser.get("/read")).assert_body("{'n': 1} False").assert_no_header("set-cookie")


async def test_ss_3_it_ends_after_max_age(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(_handler_module().time, "time", lambda: now)
    async with TestServer((KINDS[kind](), pages)) as app:
        browser = Browser(app)
        await browser.get("/count")
        now += 14 * 86_400 - 1
        (await browser.get("/untouched")).assert_no_header("set-cookie")
        (await browser.get("/read", cookie=f"session={browser.cookie}")).assert_body(
            "{'n': 1} False"
        )
        now += 14 * 86_400
        (await browser.get("/read")).assert_body("{} True")


async def test_ss_3_the_store_forgets_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(_handler_module().time, "time", lambda: now)
    store = MemoryStore()
    assert await store.save("a", "record", 10, is_new=True)
    now += 9.9
    assert await store.load("a") == "record"
    now += 0.2
    assert await store.load("a") is None
    assert len(store) == 0


def test_ss_3_the_store_outlives_a_run_of_trio() -> None:
    store = MemoryStore()
    cookies: dict[str, str] = {}

    async def count(n: int) -> None:
        async with TestServer((Sessions(store=store), pages)) as app:
            browser = Browser(app)
            browser.cookies = cookies
            (await browser.get("/count")).assert_body(f"{n}")

    for n in (1, 2):
        clock = MockClock()
        clock.jump(1e9 * n)  # the clocks of two runs have nothing to do with one another
        trio.run(count, n, clock=clock)


@pytest.mark.parametrize("end", ["/clear", "/renew"])
async def test_ss_3_a_request_in_progress_does_not_save_what_was_ended(
    end: str, autojump_clock: MockClock
) -> None:
    async def slow(conn: tt.Conn) -> tt.Conn:
        if conn.path == "/slow":
            Sessions.of(conn)["n"] = 7
            await trio.sleep(5)
            conn.ok("")
        return conn

    async with TestServer((Sessions(store=MemoryStore()), slow, pages)) as app:
        browser = Browser(app)
        await browser.get("/count")
        old = f"session={browser.cookie}"
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _() -> None:
                response = await app.get("/slow", headers={"cookie": old})
                response.assert_ok().assert_no_header("set-cookie")

            await trio.sleep(1)
            await browser.get(end)
        (await browser.get("/read", cookie=old)).assert_body("{} True")
        left = "{} True" if end == "/clear" else "{'n': 1} False"
        (await browser.get("/read")).assert_body(left)


@pytest.mark.parametrize("path", ["/delete", "/clear"])
async def test_ss_3_an_emptied_session_is_removed(browser: Browser, kind: str, path: str) -> None:
    await browser.get("/count")
    old = browser.cookie
    response = await browser.get(path)
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert browser.cookies == {}
    copied = await browser.get("/read", cookie=f"session={old}")
    copied.assert_body("{} True" if kind == "store" else "{'n': 1} False")


async def test_ss_4_what_was_not_sealed_here_is_ignored(browser: Browser, kind: str) -> None:
    await browser.get("/count")
    good = browser.cookie
    # Within the seal, and not its last character, which has bits that mean nothing.
    turned = good[:-10] + ("A" if good[-10] != "A" else "B") + good[-9:]
    for bad in ("", "x", "a.b.c", good[:-1], turned, "é", "%00"):
        (await browser.get("/read", cookie=f"session={bad}")).assert_body("{} True")
    await browser.get("/count", cookie="session=chosen-by-somebody")
    assert browser.cookie != "chosen-by-somebody"


async def test_ss_4_the_first_valid_one_of_several_is_taken(browser: Browser) -> None:
    await browser.get("/count")
    cookie = f"session=forged; session={browser.cookie}"
    (await browser.get("/read", cookie=cookie)).assert_body("{'n': 1} False")


@pytest.mark.parametrize("encrypted", [False, True])
async def test_ss_4_a_seal_is_for_one_name(encrypted: bool) -> None:
    async with TestServer((Sessions(key=KEY, encrypted=encrypted), pages)) as app:
        browser = Browser(app)
        await browser.get("/count")
    other = Sessions(key=KEY, encrypted=encrypted, cookie="other")
    async with TestServer((other, pages)) as app:
        response = await app.get("/read", headers={"cookie": f"other={browser.cookie}"})
        response.assert_body("{} True")


async def test_ss_4_an_encrypted_one_cannot_be_read() -> None:
    async with TestServer((Sessions(key=KEY, encrypted=True), pages)) as app:
        browser = Browser(app)
        await browser.get("/append")
        plain = Browser(app)
        await plain.get("/append")
    assert browser.cookie != plain.cookie  # the same contents


@pytest.mark.parametrize("encrypted", [False, True])
async def test_ss_5_keys_rotate(encrypted: bool) -> None:
    client = Browser(TestServer(pages))

    async def count(*keys: str) -> str:
        async with TestServer((Sessions(key=keys, encrypted=encrypted), pages)) as app:
            client.app = app
            return str((await client.get("/count")).text)

    assert await count(OTHER) == "1"
    assert await count(KEY, OTHER) == "2"
    assert await count(KEY) == "3"
    assert await count(OTHER) == "1"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"key": "x" * 15}, "fewer than 16 bytes"),
        ({"key": [KEY, b"short"]}, "fewer than 16 bytes"),
        ({}, "needs a key, or a store"),
        ({"key": KEY, "store": MemoryStore()}, "a key or a store"),
        ({"store": MemoryStore(), "encrypted": True}, "a key or a store"),
        ({"key": KEY, "max_age": 0}, "max_age"),
        ({"key": KEY, "cookie": "a b"}, "not a token"),
        ({"key": KEY, "cookie": "__Host-a"}, "gets its prefix by itself"),
        ({"key": KEY, "path": "x"}, "does not begin with a slash"),
        ({"key": KEY, "same_site": "Lax"}, "strict, lax or none"),
    ],
)
def test_ss_5_a_wrong_setting_is_a_config_error(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Sessions(**settings)


def test_ss_5_a_key_just_long_enough() -> None:
    assert Sessions(key="x" * 16)


@pytest.mark.parametrize(
    ("module", "encrypted", "extra"),
    [("itsdangerous", False, "sessions"), ("cryptography", True, "encryption")],
)
def test_ss_5_without_the_extra_the_error_says_what_to_install(
    module: str, encrypted: bool, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'trillium-trio\[{extra}\]'"):
        Sessions(key=KEY, encrypted=encrypted)


async def test_ss_6_renew_changes_the_id() -> None:
    async with TestServer((Sessions(store=MemoryStore()), pages)) as app:
        browser = Browser(app)
        await browser.get("/count")
        old = browser.cookie
        await browser.get("/renew")
        assert browser.cookie != old
        (await browser.get("/read")).assert_body("{'n': 1} False")
        (await browser.get("/read", cookie=f"session={old}")).assert_body("{} True")


async def test_ss_7_the_cookie_is_private(browser: Browser) -> None:
    response = await browser.get("/count")
    _, *attributes = response.headers["set-cookie"].split("; ")
    assert attributes == ["Max-Age=1209600", "Path=/", "HttpOnly", "SameSite=Lax"]
    assert response.headers["vary"] == "Cookie"
    assert response.headers["cache-control"] == "private"
    (await browser.get("/read")).assert_header("vary", "Cookie").assert_no_header("cache-control")


async def test_ss_7_fields_of_the_application_are_kept(kind: str) -> None:
    async def page(conn: tt.Conn) -> tt.Conn:
        Sessions.of(conn)["n"] = 1
        conn.with_response_header("vary", "Accept, cookie")
        return conn.ok("").with_response_header("cache-control", "no-store")

    async with TestServer((KINDS[kind](), page)) as app:
        response = await app.get("/")
    response.assert_header("vary", "Accept, cookie").assert_header("cache-control", "no-store")


async def test_ss_7_over_tls_no_other_host_can_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tt.Conn, "is_secure", True)
    async with TestServer((Sessions(key=KEY), pages)) as app:
        browser = Browser(app)
        await browser.get("/count")
        assert list(browser.cookies) == ["__Host-session"]
        (await browser.get("/read")).assert_body("{'n': 1} False")
        cookie = f"session={browser.cookie}"
        (await browser.get("/read", cookie=cookie)).assert_body("{} True")


async def test_ss_7_a_sealed_session_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    async with TestServer((Sessions(key=KEY), pages)) as app:
        (await app.get("/large")).assert_status(500)
    assert "browsers accept 4096: give Sessions a store" in caplog.text


async def test_ss_8_the_store_is_asked_for_digests() -> None:
    store = MemoryStore()
    async with TestServer((Sessions(store=store), pages)) as app:
        browser = Browser(app)
        await browser.get("/count")
    assert await store.load(browser.cookie) is None
    record = await store.load(hashlib.sha256(browser.cookie.encode()).hexdigest())
    assert record is not None
    assert record.endswith(' {"n":1}')


@pytest.mark.parametrize("broken", ["load", "save", "delete"])
async def test_ss_8_a_store_that_fails_is_a_500(broken: str) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise OSError("the database is gone")

    store = MemoryStore()

    class Wrapped:
        def __getattr__(self, name: str) -> Any:  # Any: a method
            return fails if is_broken and name == broken else getattr(store, name)

    is_broken = False
    async with TestServer((Sessions(store=Wrapped()), pages)) as app:
        browser = Browser(app)
        await browser.get("/count")
        is_broken = True
        path = {"load": "/read", "save": "/count", "delete": "/clear"}[broken]
        (await browser.get(path)).assert_status(500)
        is_broken = False
        (await browser.get("/read")).assert_body("{'n': 1} False")


async def test_ss_8_the_memory_is_bounded() -> None:
    store = MemoryStore(max_sessions=2)
    for name in ("a", "b"):
        await store.save(name, name, 10, is_new=True)
    assert await store.load("a") == "a"
    await store.save("c", "c", 10, is_new=True)
    assert [await store.load(name) for name in ("a", "b", "c")] == ["a", None, "c"]
    assert len(store) == 2


async def test_ss_8_two_clients_have_two_sessions(browser: Browser) -> None:
    other = Browser(browser.app)
    await browser.get("/count")
    await other.get("/count")
    (await browser.get("/count")).assert_body("2")
    (await other.get("/read")).assert_body("{'n': 1} False")
    assert parse_cookies([f"a={other.cookie}"]) != parse_cookies([f"a={browser.cookie}"])


def _handler_module() -> Any:  # Any: a private module
    return sys.modules["trillium_trio.handlers.sessions._handler"]
