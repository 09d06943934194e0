"""The clauses of docs/spec/error-pages.md, and HD-11."""

from __future__ import annotations

import gc
import json
import logging
import weakref

import pytest

import trillium_trio as tt
from trillium_trio.conn import Failure, Handler
from trillium_trio.exceptions import ConfigError
from trillium_trio.handlers import ErrorPages, Router, SecurityHeaders
from trillium_trio.testing import TestServer

HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
JSON = {"accept": "application/json"}


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("from a repr")


async def fails(conn: tt.Conn) -> tt.Conn:
    match conn.path:
        case "/http":
            raise tt.HttpError(409, "not for the client")
        case "/own":
            return conn.with_status(404).with_body("my own")
        case "/status":
            return conn.with_status(410).halt()
        case "/challenge":
            raise tt.exceptions.Unauthorized("Bearer")
        case "/raise":
            password = "swordfish"  # noqa: F841 (it is to be seen)
            number, long, hostile = 42, "x" * 1000, Hostile()  # noqa: F841 (they are, too)
            try:
                raise KeyError("<cause>")
            except KeyError as error:
                raise ValueError("<result>") from error
        case "/group":
            raise ExceptionGroup("several", [ValueError("one"), TypeError("two")])
    return conn


async def test_ep_1_an_error_without_a_body_gets_one() -> None:
    async with TestServer((ErrorPages(), fails)) as app:
        for path, status in (("/http", 409), ("/status", 410), ("/raise", 500), ("/none", 404)):
            response = await app.get(path, headers=HTML)
            response.assert_status(status).assert_header("content-type", "text/html; charset=utf-8")
            assert f"<small>{status}</small>" in response.text
            assert "not for the client" not in response.text
            assert "swordfish" not in response.text


async def test_ep_1_what_a_handler_has_set_is_kept() -> None:
    async with TestServer((ErrorPages(), fails)) as app:
        (await app.get("/own", headers=HTML)).assert_status(404).assert_body("my own")
        response = await app.get("/challenge", headers=HTML)
        response.assert_status(401).assert_header("www-authenticate", "Bearer")


async def test_ep_1_success_is_left_alone() -> None:
    async with TestServer((ErrorPages(), "ok")) as app:
        (await app.get("/", headers=HTML)).assert_body("ok").assert_no_header("vary")


async def test_ep_1_an_error_of_a_route_is_for_it() -> None:
    async with TestServer(Router().get("/api", (ErrorPages(), fails))) as app:
        response = await app.get("/api", headers=JSON)
        response.assert_header("content-type", "application/problem+json")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/plain; charset=utf-8"),
        ("*/*", "text/plain; charset=utf-8"),
        ("text/html", "text/html; charset=utf-8"),
        ("text/html;q=0.5, application/json;q=0.4", "text/html; charset=utf-8"),
        ("text/html, application/json", "text/html; charset=utf-8"),
        ("text/html;q=0.3, application/json;q=0.4", "application/problem+json"),
        ("application/problem+json", "application/problem+json"),
        ("image/png", "text/plain; charset=utf-8"),
    ],
)
async def test_ep_2_the_client_chooses_the_format(accept: str | None, kind: str) -> None:
    async with TestServer((ErrorPages(), fails)) as app:
        response = await app.get("/http", headers=None if accept is None else {"accept": accept})
    response.assert_header("content-type", kind).assert_header("vary", "Accept")
    match kind:
        case "application/problem+json":
            assert json.loads(response.text) == {"status": 409, "title": "Conflict"}
        case "text/plain; charset=utf-8":
            response.assert_body("Conflict\n")


async def test_ep_2_the_media_type_is_that_of_the_page() -> None:
    async def typed(conn: tt.Conn) -> tt.Conn:
        return conn.with_status(409).with_response_header("content-type", "application/json")

    async with TestServer((ErrorPages(), typed)) as app:
        response = await app.get("/")
    response.assert_body("Conflict\n").assert_header("content-type", "text/plain; charset=utf-8")


async def test_ep_2_the_policy_of_the_application_does_not_take_the_style_of_the_page() -> None:
    policy = SecurityHeaders(content_security_policy="default-src 'self'")
    async with TestServer((policy, ErrorPages(), fails)) as app:
        page = await app.get("/http", headers=HTML)
        text = await app.get("/http")
    assert "style-src 'unsafe-inline'" in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    text.assert_header("content-security-policy", "default-src 'self'")


async def test_ep_2_a_head_has_the_length_of_the_page() -> None:
    async with TestServer((ErrorPages(), fails)) as app:
        got = await app.get("/http", headers=HTML)
        head = await app.request("HEAD", "/http", headers=HTML)
    head.assert_body("").assert_header("content-length", got.headers["content-length"])


async def test_ep_3_the_application_may_have_pages_of_its_own() -> None:
    async def page(conn: tt.Conn) -> tt.Conn:
        return conn.ok(f"nothing at {conn.path}, status {conn.status}")

    async with TestServer((ErrorPages(pages={404: page}), fails)) as app:
        response = await app.get("/none", headers=HTML)
        response.assert_status(404)
        assert response.text.startswith("nothing at /none")
        (await app.get("/http")).assert_body("Conflict\n")


async def test_ep_3_a_page_that_raises_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def page(conn: tt.Conn) -> tt.Conn:
        raise RuntimeError("on purpose")

    async with TestServer((ErrorPages(pages={409: page}), fails)) as app:
        (await app.get("/http")).assert_status(500).assert_body("Internal Server Error\n")
    assert "RuntimeError: on purpose" in caplog.text


@pytest.mark.parametrize("status", [200, 399, 600])
def test_ep_3_a_status_that_is_no_error_is_a_config_error(status: int) -> None:
    with pytest.raises(ConfigError, match="is not the status of an error"):
        ErrorPages(pages={status: fails})


async def test_ep_4_where_it_is_developed_the_page_has_the_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with TestServer((ErrorPages(debug=True), fails)) as app:
        response = await app.get("/raise", headers=HTML)
    text = response.assert_status(500).text
    for part in (
        "ValueError: &lt;result&gt;",
        "<h2>KeyError: ",
        "GET /raise",
        "<td>number<td>42",
        "<td>password<td>(hidden)",
        "<td>hostile<td>",
        "<mark>                raise ValueError(&quot;&lt;result&gt;&quot;) from error</mark>",
        "test_ep.py:",
    ):
        assert part in text, part
    assert "x" * 300 not in text
    assert "swordfish" not in text.replace("password = &quot;swordfish&quot;", "")
    assert "shows local variables to clients on this machine" in caplog.text


async def test_ep_4_a_group_shows_its_members() -> None:
    async with TestServer((ErrorPages(debug=True), fails)) as app:
        text = (await app.get("/group", headers=HTML)).text
    assert "<h2>ValueError: one</h2>" in text
    assert "<h2>TypeError: two</h2>" in text


async def test_ep_4_others_get_the_page_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with TestServer((ErrorPages(debug=True), fails)) as app:
        assert "<h2>" not in (await app.get("/http", headers=HTML)).text
        response = await app.get("/raise", headers=JSON)
        response.assert_header("content-type", "application/problem+json")
        for ip, is_shown in (("127.0.0.1", True), ("::1", True), ("192.0.2.1", False)):
            monkeypatch.setattr(tt.Conn, "peer_ip", ip)
            assert ("<h2>" in (await app.get("/raise", headers=HTML)).text) is is_shown


class Watch(Handler):
    """Notes the exception that each response is for."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    async def before_send(self, conn: tt.Conn) -> tt.Conn:
        failure = conn.state(Failure)
        self.seen.append(None if failure is None else type(failure.error))

        async def later(conn: tt.Conn) -> None:
            assert conn.state(Failure) is None

        return conn.after_send(later)


@pytest.mark.parametrize(
    ("path", "kind"), [("/raise", ValueError), ("/http", None), ("/status", None)]
)
async def test_hd_11_before_send_sees_the_exception(
    path: str, kind: type[Exception] | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watch = Watch()
    async with TestServer((watch, fails)) as app:
        await app.get(path)
    assert watch.seen == [kind]
    assert "AssertionError" not in caplog.text


async def test_hd_11_an_exception_does_not_keep_its_conn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Marker:
        pass

    markers: list[weakref.ref[Marker]] = []

    async def raises(conn: tt.Conn) -> tt.Conn:
        marker = Marker()
        markers.append(weakref.ref(marker))
        conn.insert_state(marker)
        raise RuntimeError("on purpose")

    caplog.set_level(logging.CRITICAL)  # a record of the log keeps the traceback, too
    gc.collect()
    gc.disable()
    try:
        async with TestServer((Watch(), raises)) as app:
            (await app.get("/")).assert_status(500)
        assert markers[0]() is None
    finally:
        gc.enable()
