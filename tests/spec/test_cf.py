"""The clauses of docs/spec/cross-site.md."""

from __future__ import annotations

import logging
from itertools import product
from typing import Any

import pytest

import trillium_trio as tt
from trillium_trio.handlers import Csrf, ErrorPages, Forwarded, WebSocket, WebSocketConn
from trillium_trio.http import is_same_origin
from trillium_trio.testing import TestServer

HOST = "example.com"
TRUSTED = "https://login.example.com"

SAFE = ["GET", "HEAD", "OPTIONS"]
OTHERS = ["POST", "PUT", "PATCH", "DELETE", "QUERY"]
# None: the field is missing. Several values: several lines.
SITES: list[list[str]] = [
    [],
    ["same-origin"],
    ["none"],
    ["same-site"],
    ["cross-site"],
    ["Same-Origin"],
    ["unheard-of"],
    [""],
    ["same-origin", "none"],
    ["same-origin", "cross-site"],
]
# Each Origin, and whether it is the request's own (on a plain connection).
ORIGINS: list[tuple[list[str], bool]] = [
    ([], False),
    (["https://example.com"], True),
    (["http://example.com"], True),
    (["https://EXAMPLE.com:443"], True),
    (["http://example.com:80"], True),
    (["https://example.com:80"], False),
    (["https://example.com:8443"], False),
    (["https://www.example.com"], False),
    (["https://example.com.evil.org"], False),
    (["https://evil-example.com"], False),
    (["https://user@example.com"], False),
    (["https://evil.org/example.com"], False),
    (["https://example.com/"], False),
    (["https://example.com/x"], False),
    (["example.com"], False),
    (["//example.com"], False),
    (["null"], False),
    ([""], False),
    (["https://example.com", "https://example.com"], False),
    ([TRUSTED, "https://evil.org"], False),
]


async def answer(conn: tt.Conn) -> tt.Conn:
    return conn.ok("done")


async def ask(
    handler: Any,
    method: str,
    *,
    sites: list[str] | None = None,
    origins: list[str] | None = None,
    host: str = HOST,
    more: tuple[tuple[str, str], ...] = (),
) -> int:
    headers = [
        ("host", host),
        *(("sec-fetch-site", each) for each in sites or ()),
        *(("origin", each) for each in origins or ()),
        *more,
    ]
    async with TestServer(handler) as app:
        return (await app.request(method, "/", headers=headers)).status


async def statuses(method: str) -> dict[tuple[str, ...], int]:
    """Ask with every combination of the two fields; the keys are the lines."""
    found = {}
    async with TestServer((Csrf(trusted_origins=[TRUSTED]), answer)) as app:
        for sites, (origins, _) in product(SITES, [*ORIGINS, ([TRUSTED], False)]):
            fields = [("host", HOST)]
            fields += [("sec-fetch-site", each) for each in sites]
            fields += [("origin", each) for each in origins]
            response = await app.request(method, "/", headers=fields)
            found[(*sites, "|", *origins)] = response.status
    return found


@pytest.mark.parametrize("method", SAFE)
async def test_cf_1_safe_methods_are_passed_on(method: str) -> None:
    assert set((await statuses(method)).values()) == {200}


@pytest.mark.parametrize("method", OTHERS)
async def test_cf_2_every_combination_of_the_two_fields(method: str) -> None:
    found = await statuses(method)
    expected = {}
    for sites, (origins, is_own) in product(SITES, [*ORIGINS, ([TRUSTED], False)]):
        match sites:
            case ["same-origin"] | ["none"]:
                is_allowed = True
            case []:
                is_allowed = not origins or is_own or origins == [TRUSTED]
            case _:
                is_allowed = origins == [TRUSTED]
        expected[(*sites, "|", *origins)] = 200 if is_allowed else 403
    assert found == expected
    # The table is about both answers.
    assert set(found.values()) == {200, 403}


async def test_cf_1_a_websocket_has_its_own_check() -> None:
    async def hello(ws: WebSocketConn) -> None:
        await ws.send("hello")

    async with TestServer((Csrf(), WebSocket(hello))) as app:
        async with app.websocket("/", headers={"origin": "http://testserver"}):
            pass
        with pytest.raises(AssertionError, match="403"):
            async with app.websocket("/", headers={"origin": "https://evil.org"}):
                pass


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("example.com:8080", "http://example.com:8080", 200),
        ("example.com:8080", "http://example.com", 403),
        ("example.com:80", "http://example.com", 200),
        ("Example.COM", "http://example.com", 200),
        ("[::1]:8080", "http://[::1]:8080", 200),
        ("[::1]:8080", "http://[::1]:8081", 403),
        ("[::1]", "http://[::1]", 200),
    ],
)
async def test_cf_3_host_and_port_are_compared(host: str, origin: str, status: int) -> None:
    assert await ask((Csrf(), answer), "POST", origins=[origin], host=host) == status


@pytest.mark.parametrize(
    ("proto", "origin", "status"),
    [
        ("https", "https://shop.example.com", 200),
        ("https", "http://shop.example.com", 403),
        ("http", "https://shop.example.com", 200),
        ("http", "http://shop.example.com", 200),
        ("https", f"https://{HOST}", 403),
    ],
)
async def test_cf_3_behind_a_proxy_the_host_and_the_scheme_are_the_clients(
    proto: str, origin: str, status: int
) -> None:
    proxy = (("forwarded", f"for=192.0.2.1;proto={proto};host=shop.example.com"),)
    app = (Forwarded(["unix"]), Csrf(), answer)
    assert await ask(app, "POST", origins=[origin], more=proxy) == status


async def test_cf_3_who_is_no_proxy_does_not_choose_the_host() -> None:
    claim = (("forwarded", "for=192.0.2.1;proto=https;host=evil.org"),)
    app = (Forwarded(["192.0.2.0/24"]), Csrf(), answer)
    assert await ask(app, "POST", origins=["https://evil.org"], more=claim) == 403
    assert await ask(app, "POST", origins=[f"https://{HOST}"], more=claim) == 200


def test_cf_3_over_tls_the_scheme_is_known() -> None:
    assert is_same_origin("https://example.com", host=HOST, is_secure=True)
    assert not is_same_origin("http://example.com", host=HOST, is_secure=True)
    assert not is_same_origin("http://example.com:443", host=HOST, is_secure=True)
    assert not is_same_origin("https://example.com", host=None, is_secure=True)


@pytest.mark.parametrize(
    ("trusted", "origin", "status"),
    [
        ("https://a.org", "https://a.org", 200),
        ("https://A.org", "https://a.org", 200),
        ("https://a.org:443", "https://a.org", 200),
        ("https://a.org:8443", "https://a.org:8443", 200),
        ("https://a.org", "https://a.org:8443", 403),
        ("https://a.org", "http://a.org", 403),
        ("https://a.org", "https://x.a.org", 403),
        ("https://a.org", "https://a.org.evil.org", 403),
        ("https://a.org", "null", 403),
        ("app+x://abc", "app+x://abc", 200),
    ],
)
@pytest.mark.parametrize("sites", [["cross-site"], ["same-site"], []])
async def test_cf_4_origins_can_be_trusted(
    trusted: str, origin: str, status: int, sites: list[str]
) -> None:
    handler = (Csrf(trusted_origins=[trusted]), answer)
    assert await ask(handler, "POST", sites=sites, origins=[origin]) == status


@pytest.mark.parametrize(
    "origins",
    [
        "https://a.org",
        ["a.org"],
        ["//a.org"],
        ["https://"],
        ["https://a.org/"],
        ["https://a.org/path"],
        ["https://a.org?x"],
        ["https://u@a.org"],
        ["https://a.org:"],
        ["https://a.org:x"],
        ["https://*.a.org"],
        ["*"],
        ["null"],
        [""],
        ["https://a.org", "b.org"],
    ],
)
def test_cf_4_what_is_no_origin_is_a_config_error(origins: Any) -> None:
    with pytest.raises(tt.ConfigError, match="Csrf: "):
        Csrf(trusted_origins=origins)


async def test_cf_5_a_refusal_is_a_403_with_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        seen.append(conn.method)
        return conn.ok("done")

    fields = {"sec-fetch-site": "cross-site", "origin": "https://evil.org"}
    with caplog.at_level(logging.INFO):
        async with TestServer((ErrorPages(), Csrf(), handler)) as app:
            response = await app.post("/", body=b"amount=1000", headers=fields)
            response.assert_status(403).assert_body("Forbidden\n")
            response = await app.post("/", headers={**fields, "accept": "application/problem+json"})
            response.assert_json({"status": 403, "title": "Forbidden"})
    assert seen == []
    assert "a page of another origin has sent it: Sec-Fetch-Site 'cross-site'" in caplog.text
    assert "Origin 'https://evil.org'" in caplog.text
