"""The clauses of docs/spec/requests.md."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trillium_trio as tt
from trillium_trio.exceptions import ConfigError, MisuseError
from trillium_trio.handlers import (
    ConnId,
    ConnIdFilter,
    Head,
    Host,
    MethodOverride,
    RedirectHttps,
)
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


async def ident(conn: tt.Conn) -> tt.Conn:
    return conn.ok(ConnId.of(conn))


async def method(conn: tt.Conn) -> tt.Conn:
    return conn.ok(conn.method)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-request-id": "a.B-c_9"}, "a.B-c_9"),
        ({"x-request-id": "x" * 64}, "x" * 64),
        ({"x-request-id": "abc", "traceparent": PARENT}, "abc"),
        ({"traceparent": PARENT}, TRACE),
        ({"x-request-id": "a b", "traceparent": PARENT}, TRACE),
    ],
)
async def test_rq_1_a_request_keeps_its_id(headers: dict[str, str], expected: str) -> None:
    async with TestServer((ConnId(), ident)) as app:
        response = await app.get("/", headers=headers)
    response.assert_body(expected).assert_header("x-request-id", expected)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-request-id": ""},
        {"x-request-id": "x" * 65},
        {"x-request-id": "a/b"},
        {"x-request-id": 'a"b'},
        {"x-request-id": "\xe9"},
        {"traceparent": PARENT.upper()},
        {"traceparent": f"ff{PARENT[2:]}"},
        {"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": f"{PARENT}-x"},
    ],
)
async def test_rq_1_or_gets_one(headers: dict[str, str]) -> None:
    async with TestServer((ConnId(), ident)) as app:
        first = await app.get("/", headers=headers)
        second = await app.get("/", headers=headers)
    assert len(first.text) == 16
    assert first.text not in {second.text, *headers.values()}
    first.assert_header("x-request-id", first.text)


async def test_rq_1_also_with_an_error() -> None:
    async def fails(conn: tt.Conn) -> tt.Conn:
        raise tt.HttpError(409, ConnId.of(conn))

    async with TestServer((ConnId(make=lambda: "made"), fails)) as app:
        (await app.get("/")).assert_status(409).assert_header("x-request-id", "made")


async def test_rq_1_fields_can_be_chosen() -> None:
    handler = ConnId(header=None, response_header=None, make=lambda: "made")
    async with TestServer((handler, ident)) as app:
        response = await app.get("/", headers={"x-request-id": "sent"})
    response.assert_body("made").assert_no_header("x-request-id")


async def test_rq_1_without_the_handler_the_error_names_it() -> None:
    async def asks(conn: tt.Conn) -> tt.Conn:
        with pytest.raises(MisuseError, match="ConnId leaves it"):
            ConnId.of(conn)
        return conn.ok("")

    async with TestServer(asks) as app:
        (await app.get("/")).assert_ok()


async def test_rq_2_its_log_lines_have_the_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(ConnIdFilter())
    caplog.set_level(logging.INFO)
    log = logging.getLogger("tests.application")

    async def beside() -> None:
        log.info("beside")

    async def logs(conn: tt.Conn) -> tt.Conn:
        if conn.path == "/bare":
            log.info("bare")
            return conn.ok("")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beside)
        log.info("inside")
        return conn.ok("")

    async def only_some(conn: tt.Conn) -> tt.Conn:
        return conn if conn.path == "/bare" else await conn_id.run(conn)

    conn_id = ConnId()
    async with TestServer((only_some, logs)) as app, app.session() as session:
        await session.get("/", headers={"x-request-id": "first"})
        await session.get("/bare")
        await session.get("/", headers={"x-request-id": "second"})
    seen = [
        (record.message, record.__dict__["conn_id"])
        for record in caplog.records
        if record.name == log.name
    ]
    assert seen == [
        ("beside", "first"),
        ("inside", "first"),
        ("bare", "-"),
        ("beside", "second"),
        ("inside", "second"),
    ]


@pytest.mark.parametrize(
    ("host", "is_served"),
    [
        ("example.com", True),
        ("EXAMPLE.com:8080", True),
        ("example.com.", True),
        ("example.com:", True),
        ("a.example.org", True),
        ("a.b.example.org:1", True),
        ("[::1]:80", True),
        ("example.org", False),
        ("xexample.com", False),
        ("example.com.evil.org", False),
        ("aexample.org", False),
        ("localhost", False),
        ("[::2]", False),
    ],
)
async def test_rq_3_other_hosts_are_refused(host: str, is_served: bool) -> None:
    app_ = (Host("example.com", "*.example.org", "[::1]"), "served")
    async with TestServer(app_) as app:
        response = await app.get("/", headers={"host": host})
    response.assert_status(200 if is_served else 421)


async def test_rq_3_a_request_without_a_host_is_refused() -> None:
    async with TestServer((Host("example.com"), "served")) as app:
        peer = app.connect()
        await peer.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await peer.receive_until_closed()).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize("name", ["example.com:80", "a.*.org", "*", "*.a.*"])
def test_rq_3_a_wrong_name_is_a_config_error(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name of a host"):
        Host(name)
    with pytest.raises(ConfigError, match="needs the names"):
        Host()


@pytest.mark.parametrize(
    ("host", "target", "settings", "expected"),
    [
        ("a.org", "/x?y=1", {}, "https://a.org/x?y=1"),
        ("a.org:80", "/", {}, "https://a.org/"),
        ("a.org:80", "/", {"port": 8443}, "https://a.org:8443/"),
        ("[::1]:80", "//evil.org/%2f", {}, "https://[::1]//evil.org/%2f"),
        ("[::1]", "/", {}, "https://[::1]/"),
    ],
)
async def test_rq_4_plain_http_is_redirected(
    host: str, target: str, settings: dict[str, Any], expected: str
) -> None:
    async with TestServer((RedirectHttps(**settings), "served")) as app:
        response = await app.post(target, headers={"host": host})
    response.assert_status(308).assert_header("location", expected)


@pytest.mark.parametrize("path", ["/.well-known/acme-challenge/token"])
async def test_rq_4_challenges_are_passed_on(path: str) -> None:
    async with TestServer((RedirectHttps(), "served")) as app:
        (await app.get(path)).assert_ok().assert_body("served")
        (await app.get(f"{path}x/../..".replace("challenge/", "challengex"))).assert_status(308)


async def test_rq_4_over_tls_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tt.Conn, "is_secure", True)
    async with TestServer((RedirectHttps(), "served")) as app:
        (await app.get("/")).assert_ok()


async def test_rq_4_without_a_host_it_is_a_400() -> None:
    async with TestServer((RedirectHttps(), "served")) as app:
        peer = app.connect()
        await peer.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await peer.receive_until_closed()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("settings", [{"port": 0}, {"port": 65536}, {"status": 200}])
def test_rq_4_a_wrong_setting_is_a_config_error(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="RedirectHttps"):
        RedirectHttps(**settings)


@pytest.mark.parametrize(
    ("sent", "target", "seen"),
    [
        ("POST", "/?_method=delete", "DELETE"),
        ("POST", "/?a=1&_method=PUT", "PUT"),
        ("POST", "/?_method=GET", "POST"),
        ("POST", "/?_method=CONNECT", "POST"),
        ("POST", "/?_method=", "POST"),
        ("POST", "/?x_method=PUT", "POST"),
        ("POST", "/_method=PUT", "POST"),
        ("GET", "/?_method=DELETE", "GET"),
        ("PUT", "/?_method=DELETE", "PUT"),
    ],
)
async def test_rq_5_a_form_can_send_other_methods(sent: str, target: str, seen: str) -> None:
    async with TestServer((MethodOverride(), method)) as app:
        (await app.request(sent, target)).assert_body(seen)


async def test_rq_5_the_log_keeps_the_method_that_was_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(conn: tt.Conn) -> tt.Conn:
        raise RuntimeError(conn.method)

    async with TestServer((MethodOverride(), fails)) as app:
        (await app.post("/?_method=PUT")).assert_status(500)
    assert "POST /?_method=PUT: RuntimeError: PUT" in caplog.text


def test_rq_5_a_method_with_its_own_framing_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="a POST cannot become CONNECT"):
        MethodOverride(methods=["PUT", "connect"])


async def test_rq_6_head_is_get_without_the_body() -> None:
    started = False

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal started
        started = True
        yield b"piece"

    async def answer(conn: tt.Conn) -> tt.Conn:
        assert conn.method == "GET"
        return conn.ok(pieces() if conn.path == "/stream" else "four")

    async with TestServer((Head(), answer)) as app, app.session() as session:
        response = await session.request("HEAD", "/")
        response.assert_ok().assert_body("").assert_header("content-length", "4")
        (await session.request("HEAD", "/stream")).assert_ok().assert_body("")
        assert not started
        (await session.get("/")).assert_body("four")
        (await session.get("/stream")).assert_body("piece")


async def test_rq_6_an_error_has_no_body_either() -> None:
    async def fails(conn: tt.Conn) -> tt.Conn:
        raise tt.HttpError(409)

    async with TestServer((Head(), fails)) as app, app.session() as session:
        (await session.request("HEAD", "/")).assert_status(409).assert_body("")
        (await session.get("/")).assert_status(409)
