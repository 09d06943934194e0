"""The clauses of docs/spec/cross-origin.md."""

from __future__ import annotations

from typing import Any

import pytest

import trillium_trio as tt
from trillium_trio.exceptions import ConfigError
from trillium_trio.handlers import Cors
from trillium_trio.testing import TestServer

ORIGIN = "https://app.example.com"
PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "PUT",
    "access-control-request-headers": "content-type, x-token",
}
ALLOW = "access-control-allow-"


async def answer(conn: tt.Conn) -> tt.Conn:
    if conn.path == "/fail":
        raise tt.HttpError(409)
    return conn.ok(conn.method)


async def test_cr_1_a_preflight_is_answered() -> None:
    async with TestServer((Cors([ORIGIN]), answer)) as app:
        response = await app.request("OPTIONS", "/", headers=PREFLIGHT)
    response.assert_status(204).assert_body("")
    response.assert_header(f"{ALLOW}origin", ORIGIN)
    response.assert_header(f"{ALLOW}methods", "DELETE, GET, HEAD, PATCH, POST, PUT")
    response.assert_header(f"{ALLOW}headers", "content-type, x-token")
    response.assert_header("access-control-max-age", "600")


async def test_cr_1_that_of_another_origin_is_refused() -> None:
    headers = {**PREFLIGHT, "origin": "https://evil.example"}
    async with TestServer((Cors([ORIGIN]), answer)) as app:
        response = await app.request("OPTIONS", "/", headers=headers)
    response.assert_status(403).assert_body("the origin https://evil.example is not allowed\n")
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize("missing", ["origin", "access-control-request-method"])
async def test_cr_1_other_options_are_passed_on(missing: str) -> None:
    headers = {name: value for name, value in PREFLIGHT.items() if name != missing}
    async with TestServer((Cors([ORIGIN]), answer)) as app:
        (await app.request("OPTIONS", "/", headers=headers)).assert_ok().assert_body("OPTIONS")


async def test_cr_1_methods_and_fields_can_be_limited() -> None:
    cors = Cors("*", methods=["GET"], headers=["x-a", "x-b"], max_age=0)
    async with TestServer((cors, answer)) as app:
        response = await app.request("OPTIONS", "/", headers=PREFLIGHT)
    response.assert_header(f"{ALLOW}methods", "GET").assert_header(f"{ALLOW}headers", "x-a, x-b")
    response.assert_header(f"{ALLOW}origin", "*").assert_header("access-control-max-age", "0")


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/fail", 409)])
async def test_cr_2_responses_to_allowed_origins_are_marked(path: str, status: int) -> None:
    cors = Cors([ORIGIN], expose=["x-count", "link"])
    async with TestServer((cors, answer)) as app:
        response = await app.get(path, headers={"origin": ORIGIN})
    response.assert_status(status).assert_header(f"{ALLOW}origin", ORIGIN)
    response.assert_header("access-control-expose-headers", "x-count, link")
    response.assert_no_header(f"{ALLOW}credentials")


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
async def test_cr_2_others_are_served_and_not_marked(origin: str | None) -> None:
    async with TestServer((Cors([ORIGIN]), answer)) as app:
        response = await app.get("/", headers=None if origin is None else {"origin": origin})
    response.assert_ok().assert_no_header(f"{ALLOW}origin")


@pytest.mark.parametrize(
    ("origins", "origin", "is_allowed"),
    [
        (["https://a.org"], "https://a.org", True),
        (["https://A.org"], "https://a.org", True),
        (["https://a.org"], "http://a.org", False),
        (["https://a.org"], "https://a.org:8443", False),
        (["https://a.org:8443"], "https://a.org:8443", True),
        (["https://a.org"], "https://a.org.evil.com", False),
        (["https://a.org"], "https://xa.org", False),
        (["https://*.a.org"], "https://x.a.org", True),
        (["https://*.a.org"], "https://x.y.a.org", True),
        (["https://*.a.org"], "https://a.org", False),
        (["https://*.a.org"], "https://.a.org", False),
        (["https://*.a.org"], "https://evil.com/.a.org", False),
        (["https://*.a.org"], "https://evil.com@x.a.org", False),
        (["https://*.a.org:1"], "https://x.a.org:1", True),
        (["https://*.a.org"], "https://x.a.org:1", False),
        (["null"], "null", True),
        ("*", "null", True),
        (lambda origin: origin.endswith(":1"), "x:1", True),
        (lambda origin: origin.endswith(":1"), "x:2", False),
    ],
)
async def test_cr_3_an_origin_is_compared_whole(
    origins: Any, origin: str, is_allowed: bool
) -> None:
    async with TestServer((Cors(origins), answer)) as app:
        response = await app.get("/", headers={"origin": origin})
    assert (f"{ALLOW}origin" in response.headers) is is_allowed


@pytest.mark.parametrize(
    "origins", ["https://a.org", ["a.org"], ["https://a.org/"], ["https://"], ["https://a.*"]]
)
def test_cr_3_what_is_no_origin_is_a_config_error(origins: Any) -> None:
    with pytest.raises(ConfigError, match="Cors: "):
        Cors(origins)


async def test_cr_4_credentials_need_a_list() -> None:
    with pytest.raises(ConfigError, match="list the origins"):
        Cors("*", credentials=True)
    with pytest.raises(ConfigError, match=r"'\*' is no origin"):
        Cors(["*"], credentials=True)
    async with TestServer((Cors([ORIGIN], credentials=True), answer)) as app:
        response = await app.get("/", headers={"origin": ORIGIN})
        response.assert_header(f"{ALLOW}credentials", "true")
        response.assert_header(f"{ALLOW}origin", ORIGIN)
        (await app.get("/")).assert_no_header(f"{ALLOW}credentials")


async def test_cr_5_caches_are_told() -> None:
    async with TestServer((Cors([ORIGIN]), answer)) as app:
        (await app.get("/")).assert_header("vary", "Origin")
        response = await app.request("OPTIONS", "/", headers=PREFLIGHT)
        assert response.headers["vary"] == (
            "Access-Control-Request-Method, Access-Control-Request-Headers, Origin"
        )
    async with TestServer((Cors("*"), answer)) as app:
        (await app.get("/", headers={"origin": ORIGIN})).assert_no_header("vary")
