"""The clauses of docs/spec/router.md."""

from __future__ import annotations

import logging
import sys
from contextlib import asynccontextmanager
from datetime import date
from itertools import permutations
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import trio

import trillium_trio as tt
from trillium_trio.conn import Mounted
from trillium_trio.handlers import Params, Router
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trillium_trio.conn import HandlerLike

UUID_TEXT = "ec38df32-ceda-4cfa-9b4a-1aeb94ad551a"


async def show(conn: tt.Conn) -> tt.Conn:
    """Answer with the template and the parameters."""
    params = Params.of(conn)
    return conn.ok(f"{params.template} {dict(params)!r}")


async def mounted_at(conn: tt.Conn) -> tt.Conn:
    mounted = Mounted.of(conn)
    return conn.ok(f"{mounted.prefix} + {mounted.path}")


async def answers(handler: HandlerLike, *requests: str) -> list[str]:
    """Send requests such as ``GET /``; return the statuses and bodies."""
    found = []
    async with TestServer(handler) as app:
        for each in requests:
            response = await app.request(*each.split(" "))
            text = response.body.decode().strip()
            found.append(
                f"{response.status} {text}" if response.status == 200 else str(response.status)
            )
    return found


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("", "begins with a slash"),
        ("users", "begins with a slash"),
        ("//", "empty segment"),
        ("/a//b", "empty segment"),
        ("/end//", "empty segment"),
        ("/a/../b", "segment . or .."),
        ("/.", "segment . or .."),
        ("/a?b=c", "query or fragment"),
        ("/a#b", "query or fragment"),
        ("/a%20b", "write the character itself"),
        ("/a\tb", "control character"),
        ("/a\n{id}", "control character"),
        ("/{id", "brace"),
        ("/id}", "brace"),
        ("/{{id}}", "brace"),
        ("/{}", "no identifier"),
        ("/{1a}", "no identifier"),
        ("/{a b}", "no identifier"),
        ("/{a.b}", "no identifier"),
        ("/{a}/{a}", "two parameters 'a'"),
        ("/{a}-{a}", "two parameters 'a'"),
        ("/{a:}", "converter ''"),
        ("/{a:number}", "there are str, int, float, uuid, path"),
        ("/{a}{b}", "without text between"),
        ("/{rest:path}/edit", "not at its end"),
        ("/x{rest:path}", "segment of its own"),
        ("/{a}.{rest:path}", "segment of its own"),
    ],
)
def test_rt_1_a_malformed_template_is_refused(template: str, reason: str) -> None:
    with pytest.raises(tt.ConfigError, match=reason) as caught:
        Router().get(template, show)
    assert repr(template) in str(caught.value)


async def test_rt_1_text_is_written_decoded(autojump_clock: object) -> None:
    router = Router().get("/café/100%/a b", "found")
    assert await answers(
        router, "GET /caf%C3%A9/100%25/a%20b", "GET /caf%c3%a9/%31%30%30%25/a%20b"
    ) == [
        "200 found",
        "200 found",
    ]


async def test_rt_2_converters(autojump_clock: object) -> None:
    router = Router()
    for kind in ("int", "float", "uuid", "path"):
        router.get(f"/{kind}/{{x:{kind}}}", show)
    router.get("/str/{x}", show)

    async def value(path: str) -> Any:  # Any: the converter's
        [answer] = await answers(router, f"GET {path}")
        return answer.partition(" ")[2].partition(" ")[2] if answer[:3] == "200" else answer

    for path, expected in {
        "/str/a": {"x": "a"},
        "/str/": "404",
        "/int/0": {"x": 0},
        "/int/007": {"x": 7},
        "/int/-1": "404",
        "/int/+1": "404",
        "/int/1_0": "404",
        "/int/%201": "404",
        "/int/%D9%A1": "404",  # ARABIC-INDIC DIGIT ONE
        "/int/%C2%B2": "404",  # SUPERSCRIPT TWO
        "/float/25.5": {"x": 25.5},
        "/float/5": {"x": 5.0},
        "/float/.5": "404",
        "/float/5.": "404",
        "/float/1e5": "404",
        "/float/nan": "404",
        f"/uuid/{UUID_TEXT}": {"x": UUID(UUID_TEXT)},
        f"/uuid/{UUID_TEXT.replace('-', '').upper()}": {"x": UUID(UUID_TEXT)},
        f"/uuid/{UUID_TEXT[:-1]}": "404",
        f"/uuid/{UUID_TEXT}0": "404",
        f"/uuid/{{{UUID_TEXT}}}": "404",
        "/path/": {"x": ""},
        "/path/a//b/": {"x": "a//b/"},
        "/path": "404",
    }.items():
        assert await value(path) == (expected if expected == "404" else repr(expected)), path


async def test_rt_2_an_integer_is_as_long_as_python_takes(autojump_clock: object) -> None:
    digits = sys.get_int_max_str_digits()
    router = Router().get("/{n:int}", "number").get("/{s}", "text")
    found = await answers(router, f"GET /{'1' * digits}", f"GET /{'1' * (digits + 1)}")
    assert found == ["200 number", "200 text"]


class Day:
    rank = 40

    def parse(self, text: str) -> date:
        if text == "bug":
            raise LookupError(text)
        return date.fromisoformat(text)

    def format(self, value: date) -> str:
        return value.isoformat()


async def test_rt_2_a_converter_of_ones_own(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    router = Router(converters={"day": Day()}).get("/{day:day}", show, name="day")
    assert await answers(router, "GET /2026-11-26", "GET /2026-11-31", "GET /bug") == [
        "200 /{day:day} {'day': datetime.date(2026, 11, 26)}",
        "404",
        "500",
    ]
    assert "LookupError: bug" in caplog.text
    assert router.url_for("day", day=date(2026, 11, 26)) == "/2026-11-26"


async def test_rt_2_the_first_parameter_takes_as_much_as_it_can(autojump_clock: object) -> None:
    router = Router().get("/{a}_{b}", show).get("/n/{a:int}-{b}", show).get("/e/<{a}>", show)
    assert await answers(
        router, "GET /x_y_z", "GET /_x", "GET /x_", "GET /__x", "GET /n/1-2-3"
    ) == [
        "200 /{a}_{b} {'a': 'x_y', 'b': 'z'}",
        "404",
        "404",
        "200 /{a}_{b} {'a': '_', 'b': 'x'}",
        "404",
    ]
    assert await answers(router, "GET /e/%3C%3E", "GET /e/%3Ca%3E") == [
        "404",
        "200 /e/<{a}> {'a': 'a'}",
    ]


ROUTES = ["/a/b", "/a/{n:int}.x", "/a/{n}.x", "/a/{n:int}", "/a/{n}", "/a/{r:path}", "/{x}/b"]


async def test_rt_3_the_most_specific_route_wins_in_any_order(autojump_clock: object) -> None:
    paths = ["/a/b", "/a/1.x", "/a/c.x", "/a/1", "/a/c", "/a/c/d", "/c/b"]
    requests = [f"GET {path}" for path in paths]
    for order in list(permutations(ROUTES))[::331]:
        router = Router(*(("GET", each, each) for each in order))
        assert await answers(router, *requests) == [f"200 {each}" for each in ROUTES], order


async def test_rt_3_a_route_without_the_method_is_passed_over(autojump_clock: object) -> None:
    router = Router().post("/users/me", "me").get("/users/{id}", "user").put("/{a}/{b}", "put")
    found = await answers(
        router, "POST /users/me", "GET /users/me", "PUT /users/me", "DELETE /users/me"
    )
    assert found == ["200 me", "200 user", "200 put", "405"]


async def test_rt_3_a_dead_end_is_left_again(autojump_clock: object) -> None:
    router = Router().get("/{a}/x/1", "one").get("/b/{c}/2", "two").mount("/", mounted_at)
    assert await answers(router, "GET /b/x/1", "GET /b/x/2", "GET /b/x/3") == [
        "200 one",
        "200 two",
        "200 + /b/x/3",
    ]


def test_rt_3_converters_that_cannot_be_ordered_are_refused() -> None:
    router = Router(converters={"day": Day(), "other": Day()}).get("/{a:day}", show)
    with pytest.raises(tt.ConfigError, match="another rank"):
        router.get("/{a:other}/x", show)
    router.get("/{a:day}/x", show).get("/{a:int}/x", show)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/users/{id}", "/users/{name}"),
        ("/{a:int}/x", "/{b:int}/x"),
        ("/{a}.{b}", "/{c}.{d}"),
        ("/{a:path}", "/{b:path}"),
        ("/", "/"),
    ],
)
def test_rt_4_equal_routes_are_refused(first: str, second: str) -> None:
    router = Router().route(["GET", "PUT"], first, show)
    with pytest.raises(tt.ConfigError) as caught:
        router.route(["PUT", "POST"], second, show)
    assert f"PUT {second} is the same route as PUT {first}" in str(caught.value)
    with pytest.raises(tt.ConfigError, match="is the same route"):
        router.all(first, show).all(second, show)


def test_rt_4_different_routes_are_accepted() -> None:
    Router().get("/{a}", show).post("/{b}", show).get("/{a}/", show).get("/{a:int}", show).all(
        "/{c}", show
    ).head("/{d}", show)
    Router().mount("/a", show).get("/a", show)
    with pytest.raises(tt.ConfigError, match="mounted twice"):
        Router().mount("/a", show).mount("/a/", show)


@pytest.mark.parametrize("method", ["get", "", "GE T", "CONNECT", "GET\r\n", 5])
def test_rt_4_a_method_is_a_token_in_capitals(method: Any) -> None:  # Any: also what is no str
    with pytest.raises(tt.ConfigError, match=r"/x"):
        Router().route([method], "/x", show)
    with pytest.raises(tt.ConfigError, match="no method"):
        Router().route([], "/x", show)
    with pytest.raises(tt.ConfigError, match="twice"):
        Router().route(["GET", "GET"], "/x", show)


async def test_rt_4_all_takes_what_nothing_else_takes(autojump_clock: object) -> None:
    router = Router().all("/x", "all").get("/x", "get")
    assert await answers(router, "GET /x", "PURGE /x", "OPTIONS /x") == [
        "200 get",
        "200 all",
        "200 all",
    ]


async def test_rt_4_no_route_is_added_after_the_start(autojump_clock: object) -> None:
    router = Router().get("/x", "x")
    async with TestServer(router):
        with pytest.raises(tt.MisuseError, match="/y was added after"):
            router.get("/y", "y")


async def test_rt_5_an_encoded_slash_stays_in_its_segment(autojump_clock: object) -> None:
    router = Router().get("/a/{x}", show).get("/a/b/c", "three").get("/f/{x:path}", show)
    assert await answers(
        router, "GET /a/b%2Fc", "GET /a%2Fb", "GET /a/%252F", "GET /f/a%2fb", "GET /f/a/b%20c"
    ) == [
        "200 /a/{x} {'x': 'b/c'}",
        "404",
        "200 /a/{x} {'x': '%2F'}",
        "404",
        "200 /f/{x:path} {'x': 'a/b c'}",
    ]


@pytest.mark.parametrize(
    "path",
    ["/f/..", "/f/./x", "/f/%2e%2E/x", "/f/.%2e", "/f/a%00", "/f/%", "/f/%4", "/f/%zz", "/f/%ff"],
)
async def test_rt_5_a_path_that_means_something_else_matches_nothing(
    path: str, autojump_clock: object
) -> None:
    router = Router().get("/f/{x:path}", "file").get("/{a}/{b}", "text").mount("/f", "mount")
    assert await answers(router, f"GET {path}", "GET /f/..a", "GET /f/.a") == [
        "404",
        "200 file",
        "200 file",
    ]


async def test_rt_6_what_no_route_matches_is_passed_on(autojump_clock: object) -> None:
    async def note(conn: tt.Conn) -> tt.Conn:
        return conn.with_status(202).with_body("noted")

    first, second = Router().get("/a", "first"), Router().get("/b", "second")
    app = (first.get("/n", note), second.get("/n", "after note"))
    assert await answers(app, "GET /a", "GET /b", "GET /c", "GET /n") == [
        "200 first",
        "200 second",
        "404",
        "200 after note",
    ]


async def test_rt_6_no_less_specific_route_is_tried_after_a_mount(autojump_clock: object) -> None:
    router = Router().mount("/a", Router().get("/x", "x")).get("/{any:path}", "any")
    router.mount("/", "everything")
    assert await answers((router, "next"), "GET /a/x", "GET /a/y", "GET /b", "POST /b") == [
        "200 x",
        "200 next",
        "200 any",
        "200 everything",
    ]


async def test_rt_7_a_path_without_the_method_is_a_405(autojump_clock: object) -> None:
    router = Router().get("/users/{id}", show).put("/users/me", show).delete("/{a}/{b}", show)
    async with TestServer((router, "next")) as app:
        response = await app.post("/users/me")
        assert (response.status, response.body) == (405, b"Method Not Allowed\n")
        assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
        response = await app.post("/users/1")
        assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS"


async def test_rt_7_routers_in_a_row(autojump_clock: object) -> None:
    first = Router(method_not_allowed=False).get("/a", "get").get("/b", "get")
    last = Router().post("/a", "post").post("/c", "post")
    async with TestServer((first, last)) as app:
        assert (await app.post("/a")).body == b"post"
        assert (await app.get("/a")).body == b"get"
        for path, allow in {
            "/a": "GET, HEAD, OPTIONS, POST",
            "/b": "GET, HEAD, OPTIONS",
            "/c": "OPTIONS, POST",
        }.items():
            response = await app.delete(path)
            assert (response.status, response.headers["allow"]) == (405, allow)
        assert (await app.delete("/d")).status == 404
    assert await answers(first, "POST /a") == ["404"]


async def test_rt_8_head_and_options(autojump_clock: object) -> None:
    async def method(conn: tt.Conn) -> tt.Conn:
        return conn.ok("").with_response_header("x-method", conn.method)

    router = Router().get("/a", method).post("/a", "post").get("/b", "get").head("/b", method)
    async with TestServer((router, "next")) as app:
        assert (await app.head("/a")).headers["x-method"] == "HEAD"
        assert (await app.head("/b")).headers["x-method"] == "HEAD"
        response = await app.request("OPTIONS", "/a")
        assert (response.status, response.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        response = await app.request("OPTIONS", "*")
        assert (response.status, response.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        assert (await app.request("OPTIONS", "/c")).body == b"next"


async def test_rt_8_they_can_be_switched_off(autojump_clock: object) -> None:
    router = Router(head=False, options=False).get("/a", "get")
    async with TestServer(router) as app:
        for method in ("HEAD", "OPTIONS"):
            response = await app.request(method, "/a")
            assert (response.status, response.headers["allow"]) == (405, "GET")
        assert (await app.request("OPTIONS", "*")).status == 404
    assert await answers(Router().options("/a", "mine"), "OPTIONS /a") == ["200 mine"]


async def test_rt_9_the_slash_at_the_end(autojump_clock: object) -> None:
    def router(trailing_slash: Any) -> Router:  # Any: also what is none of them
        found = Router(trailing_slash=trailing_slash).get("/a", "a").get("/b/", "b").get("/", "/")
        return found.get("/p/{x}", show).post("/m", "post").get("/m/", "get")

    requests = ["GET /a", "GET /a/", "GET /b", "GET /b/", "GET /", "GET /p/1/", "GET /c/"]
    strict = await answers(router("strict"), *requests, "GET /m")
    assert strict == ["200 a", "404", "404", "200 b", "200 /", "404", "404", "405"]
    redirect = await answers(router("redirect"), *requests, "GET /m")
    assert redirect == ["200 a", "308", "308", "200 b", "200 /", "308", "404", "405"]
    ignore = await answers(router("ignore"), *requests, "GET /m", "POST /m/", "PUT /m")
    assert ignore == [
        *("200 a", "200 a", "200 b", "200 b", "200 /", "200 /p/{x} {'x': '1'}", "404"),
        *("200 get", "200 post", "405"),
    ]
    with pytest.raises(tt.ConfigError, match="trailing_slash"):
        router("maybe")


async def test_rt_9_a_redirect_keeps_the_query_and_the_host(autojump_clock: object) -> None:
    def redirecting() -> Router:
        return Router(trailing_slash="redirect")

    router = redirecting().mount("/in", redirecting().get("/x", "x")).get("/{a}/", "a")
    async with TestServer(router) as app:
        response = await app.get("/caf%C3%A9?x=%20&y")
        assert response.headers["location"] == "/caf%C3%A9/?x=%20&y"
        assert (await app.get("/in/x/?q")).headers["location"] == "/in/x?q"
    hostile = redirecting().mount("/", redirecting().get("/{host}/x/", "x"))
    async with TestServer(hostile) as app:
        assert (await app.get("/evil.example/x")).headers["location"] == "/evil.example/x/"
        assert (await app.get("//evil.example/x")).status == 404
    # Here the path would match.
    async with TestServer(redirecting().mount("/{x}", "m").get("/{r:path}", "r")) as app:
        assert (await app.get("//evil.example")).status == 200
    below = redirecting().mount("/", redirecting().get("/evil.example/", "x"))
    async with TestServer(below) as app:
        assert (await app.get("//evil.example")).status == 404


async def test_rt_10_the_parameters_are_on_the_conn(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    class Log(tt.Handler):
        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            params = conn.state(Params)
            seen.append("none" if params is None else f"{params.name} {params.template}")
            return conn

    async def wrong(conn: tt.Conn) -> tt.Conn:
        return conn.ok(Params.of(conn)["ident"])

    router = Router().get("/a/{id:int}", show, name="a").get("/w/{id}", wrong)
    found = await answers((Log(), router), "GET /a/1", "GET /b", "GET /w/1")
    assert found == ["200 /a/{id:int} {'id': 1}", "404", "500"]
    assert seen == ["a /a/{id:int}", "none", "None /w/{id}"]
    assert "/w/{id} has no parameter 'ident'; there are: id" in caplog.text


class Noting(tt.Handler):
    """Notes the hooks that are called."""

    def __init__(self, name: str, log: list[str]) -> None:
        self._name, self._log = name, log

    async def init(self, info: tt.Info) -> None:
        self._log.append(f"{self._name}.init")

    @asynccontextmanager
    async def lifespan(self, info: tt.Info) -> AsyncIterator[None]:
        self._log.append(f"{self._name}.enter")
        yield
        self._log.append(f"{self._name}.exit")

    async def run(self, conn: tt.Conn) -> tt.Conn:
        if "upgrade" in conn.request_headers:
            conn.with_response_header("upgrade", "x")
            return conn.with_response_header("connection", "upgrade").upgrade()
        return conn

    async def before_send(self, conn: tt.Conn) -> tt.Conn:
        mounted = conn.state(Mounted)
        self._log.append(f"{self._name}.before_send{mounted.prefix if mounted else ''}")
        return conn

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        return True

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        await upgrade.transport.send_some(f"{self._name} {Params.of(upgrade)['x']}".encode())


async def test_rt_11_the_hooks_of_the_chosen_handler(autojump_clock: object) -> None:
    log: list[str] = []
    api, router = Router(), Router()
    # Routes that are added after the router was put into others.
    app = (Noting("front", log), router, Noting("end", log))
    router.mount("/api", (Noting("auth", log), api))
    router.get("/a", Noting("a", log)).get("/b", Noting("b", log))
    api.get("/{x}", Noting("c", log))
    async with TestServer(app) as server:
        names = ["front", "auth", "c", "a", "b", "end"]
        assert log == [f"{each}.init" for each in names] + [f"{each}.enter" for each in names]
        log.clear()
        assert (await server.get("/a")).status == 404
        assert log == ["end.before_send", "a.before_send", "front.before_send"]
        log.clear()
        await server.get("/api/1")
        assert log == [
            *("end.before_send", "c.before_send/api", "auth.before_send/api"),
            "front.before_send",
        ]
        log.clear()
        await server.get("/nothing")
        assert log == ["end.before_send", "front.before_send"]
        log.clear()
    assert log == [f"{each}.exit" for each in reversed(names)]


async def test_rt_11_an_upgrade_reaches_the_chosen_handler(autojump_clock: object) -> None:
    log: list[str] = []
    api = Router().get("/{x}", Noting("c", log)).get("/other", Noting("d", log))
    async with TestServer(Router().get("/{x}", Noting("a", log)).mount("/api", api)) as app:
        for path, expected in {"/7": b"a 7", "/api/8": b"c 8"}.items():
            peer = app.connect()
            await peer.send(
                b"GET %b HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
                % path.encode()
            )
            assert (await peer.receive_until_closed()).endswith(b"\r\n\r\n" + expected)


async def test_rt_11_before_send_runs_only_if_the_router_ran(autojump_clock: object) -> None:
    log: list[str] = []
    router = Router().get("/", Noting("a", log))
    async with TestServer(("answered", router)) as app:
        log.clear()
        assert (await app.get("/")).body == b"answered"
        assert log == []


async def test_rt_12_a_mount_has_everything_below_its_prefix(autojump_clock: object) -> None:
    router = Router().mount("/a", mounted_at).mount("/t/{x}/b/", mounted_at)
    assert await answers(
        router, "GET /a", "POST /a/", "GET /a/b/", "GET /ab", "GET /t/%20/b/c%2Fd?q", "GET /t/x"
    ) == [
        "200 /a + /",
        "200 /a + /",
        "200 /a + /b/",
        "404",
        "200 /t/%20/b + /c%2Fd",
        "404",
    ]


async def test_rt_12_routers_in_routers(autojump_clock: object) -> None:
    inner = Router().get("/", show).get("/{id:int}", show).mount("/deep/{z}", mounted_at)
    outer = Router().mount("/{tenant}/users", (tt.State(1), inner))
    assert await answers(
        outer, "GET /t/users", "GET /t/users/5", "GET /t/users/deep/er/x", "POST /t/users/5"
    ) == [
        "200 /{tenant}/users/ {'tenant': 't'}",
        "200 /{tenant}/users/{id:int} {'tenant': 't', 'id': 5}",
        "200 /t/users/deep/er + /x",
        "405",
    ]


async def test_rt_12_nobody_behind_a_mount_is_mounted(autojump_clock: object) -> None:
    first = Router().mount("/a", Router().get("/x", "x"))
    second = Router().get("/a/y", "y").mount("/a", (Router().get("/z", "z"), mounted_at))
    assert await answers((first, second), "GET /a/x", "GET /a/y", "GET /a/z", "GET /a/w") == [
        "200 x",
        "200 y",
        "200 z",
        "200 /a + /w",
    ]


async def test_rt_12_a_route_with_a_path_parameter_is_like_a_mount(autojump_clock: object) -> None:
    inner = Router().get("/{id:int}", show).get("/{more:path}", mounted_at)
    router = (
        Router()
        .get("/f/{rest:path}", mounted_at)
        .get("/{tenant}/users/{rest:path}", inner)
        .mount("/m", Router().get("/{rest:path}", mounted_at))
    )
    requests = ("/f/", "/f/a%20b/c", "/t/users/5", "/t/users/x/y", "/m/a/b")
    assert await answers((router, mounted_at), *(f"GET {path}" for path in requests)) == [
        "200 /f + /",
        "200 /f + /a%20b/c",
        "200 /{tenant}/users/{id:int} {'tenant': 't', 'rest': '5', 'id': 5}",
        "200 /t/users + /x/y",
        "200 /m + /a/b",
    ]
    passing = Router().get("/f/{rest:path}", None)
    inner = Router().get("/{rest:path}", mounted_at)
    assert await answers((passing, inner), "GET /f/x") == ["200 + /f/x"]


async def test_rt_12_conflicts_of_nested_routers(autojump_clock: object) -> None:
    router = Router().mount("/{id}", Router().mount("/x", Router().get("/{id}", show)))
    with pytest.raises(tt.ConfigError, match=r"'id' of /\{id\} is also one of the prefix"):
        async with TestServer(router):
            raise AssertionError
    a, b = Router(), Router()
    a.mount("/b", (tt.State(1), b))
    for mount in (b.mount, b.get):
        with pytest.raises(tt.ConfigError, match="itself"):
            mount("/a", a)
    with pytest.raises(tt.ConfigError, match="path parameter"):
        a.mount("/{x:path}", "x")


def test_rt_13_url_for() -> None:
    inner = Router().get("/{id:int}", show, name="user").get("/", show, name="all")
    router = (
        Router()
        .get("/f/{x:path}", show, name="file")
        .get("/p/{a}.{b}", show, name="pair")
        .get("/n/{n:float}/{u:uuid}", show, name="typed")
        .mount("/{tenant}/users", (tt.State(1), inner), name="users")
        .mount("/plain", Router().get("/x", show, name="x"))
    )
    assert router.url_for("file", x="a b/ü?") == "/f/a%20b/%C3%BC%3F"
    assert router.url_for("pair", a="a/b", b="c") == "/p/a%2Fb.c"
    assert router.url_for("typed", n=1e-5, u=UUID(UUID_TEXT)) == f"/n/0.00001/{UUID_TEXT}"
    assert router.url_for("users:user", tenant="t", id=5) == "/t/users/5"
    assert router.url_for("users:all", tenant="t") == "/t/users/"
    assert router.url_for("users", tenant="t", path="a/b") == "/t/users/a/b"
    assert router.url_for("users", tenant="t") == "/t/users/"
    assert router.url_for("x") == "/plain/x"
    for name in ("user", "nothing", "users:nothing", "file:x"):
        with pytest.raises(
            tt.MisuseError, match="file, pair, typed, users, users:all, users:user, x"
        ):
            router.url_for(name)
    for params in ({}, {"x": "a", "y": "b"}):
        with pytest.raises(tt.MisuseError, match=r"takes \(x\)"):
            router.url_for("file", **params)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("/{x}", ""),
        ("/{x}", "."),
        ("/{x}", ".."),
        ("/{x}", "\0"),
        ("/{x:int}", -1),
        ("/{x:float}", -0.5),
        ("/{x:float}", float("inf")),
        ("/{x:float}", float("nan")),
        ("/{x:uuid}", "1"),
        ("/{x:path}", "a/../b"),
        ("/<{x}>", ""),
    ],
)
def test_rt_13_a_value_that_would_not_match_again(template: str, value: object) -> None:
    router = Router().get(template, show, name="x")
    with pytest.raises(ValueError, match=r"\{x"):
        router.url_for("x", x=value)


def test_rt_13_names_are_unique() -> None:
    router = Router().get("/a", show, name="a").post("/a", show, name="a")
    assert router.url_for("a") == "/a"
    with pytest.raises(tt.ConfigError, match="have the name 'a'"):
        router.get("/b", show, name="a")
    with pytest.raises(tt.ConfigError, match="colon"):
        router.get("/b", show, name="a:b")


def test_rt_14_repr_shows_the_table() -> None:
    inner = Router().get("/{id:int}", show)
    router = Router((("GET", "PUT"), "/", show)).all("/a", show).mount("/users", (show, inner))
    assert repr(router).splitlines() == [
        "<Router(3 routes)>",
        "  GET, PUT  /                show",
        "  *         /a               show",
        "  *         /users/...       (show, Router(1 route))",
        "  GET       /users/{id:int}  show",
    ]


def test_rt_4_a_decorator_leaves_the_function_as_it_is() -> None:
    router = Router()

    @router.get("/a")
    @router.post("/b", name="b")
    async def both(conn: tt.Conn) -> tt.Conn:
        return conn

    assert router.url_for("b") == "/b"
    assert callable(both)
    assert router.name == "Router(2 routes)"


async def test_a_handler_that_returns_no_conn_is_named(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def forgets(conn: tt.Conn) -> None:
        conn.ok("x")

    handler: Any = forgets  # Any: the type checker would find it
    assert await answers(Router().get("/", handler), "GET /") == ["500"]
    assert "forgets returned NoneType instead of its conn" in caplog.text


async def test_a_drain_waits_for_a_route_and_a_cut_ends_it(autojump_clock: object) -> None:
    entered = trio.Event()

    async def slow(conn: tt.Conn) -> tt.Conn:
        entered.set()
        await trio.sleep(float(Params.of(conn)["seconds"]))
        return conn.ok("done")

    for seconds, expected, is_clean in ((1, 200, True), (1000, 503, False)):
        entered = trio.Event()
        async with TestServer(Router().mount("/m", Router().get("/{seconds:int}", slow))) as app:
            peer = app.connect()
            await peer.send(b"GET /m/%d HTTP/1.1\r\nHost: h\r\n\r\n" % seconds)
            await entered.wait()
            report = await app.shut_down(timeout=10)
            response = await peer.receive_response()
        assert (response.status, report.is_clean) == (expected, is_clean)


async def test_a_client_that_leaves_ends_its_route(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    left = trio.Event()

    async def wait(conn: tt.Conn) -> tt.Conn:
        async with conn.cancel_on_disconnect(eof=True):
            await trio.sleep_forever()
        left.set()
        return conn.ok("nobody reads this")

    async with TestServer(Router().get("/{x}", wait)) as app:
        peer = app.connect()
        await peer.send(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
        peer.close()
        await left.wait()


def test_rt_15_routes_are_listed_with_their_prefixes() -> None:
    inner = Router().get("/", show).post("/{b:int}", (show, mounted_at))
    router = (
        Router()
        .get("/a", show)
        .mount("/{x}", inner)
        .mount("/", (mounted_at, Router().put("/c", show)))
        .mount("/other", mounted_at)
        .all("/d/{rest:path}", show)
    )
    assert [(methods, template) for methods, template, _ in router.routes()] == [
        (("GET",), "/a"),
        (("GET",), "/{x}/"),
        (("POST",), "/{x}/{b:int}"),
        (("PUT",), "/c"),
        (None, "/d/{rest:path}"),
    ]
    # They are what a router is made from.
    again = Router(*router.routes())
    assert list(again.routes()) == list(router.routes())
