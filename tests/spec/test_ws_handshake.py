"""WS-1 to WS-3, WS-15, WS-16: from a request to a WebSocket."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import trillium_trio as tt
from tests.spec._websockets import HANDSHAKE, KEY, TEXT, echo, frame, open_raw, serving
from trillium_trio.handlers import WebSocket
from trillium_trio.testing import TestResponse, TestServer

if TYPE_CHECKING:
    from tests.spec._websockets import Function
    from trillium_trio.handlers import WebSocketConn

FIELDS = {
    "host": "example.com",
    "connection": "keep-alive, Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": KEY,
}


async def ask(
    handler: tt.Handler, *, method: str = "GET", **changed: str | list[str] | None
) -> TestResponse:
    """Send a handshake with some fields changed; None leaves one out, a list sends several."""
    fields: list[tuple[str, str]] = []
    for name, value in (FIELDS | {k.replace("_", "-"): v for k, v in changed.items()}).items():
        values = value if isinstance(value, list) else [value]
        fields += [(name, each) for each in values if each is not None]
    async with TestServer(handler) as app:
        return await app.request(method, "/", headers=fields)


async def test_ws_1_a_handshake_is_answered() -> None:
    response = await ask(WebSocket(echo))
    response.assert_status(101)
    # The pair of RFC 6455, 1.3.
    response.assert_header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    response.assert_header("upgrade", "websocket")
    response.assert_header("connection", "upgrade")
    response.assert_no_header("sec-websocket-protocol")
    response.assert_no_header("sec-websocket-extensions")


@pytest.mark.parametrize(
    "changed",
    [
        {"upgrade": None},
        {"upgrade": "h2c"},
        {"connection": "keep-alive"},
        {"connection": None},
        {"sec_websocket_version": None},
        {"sec_websocket_version": "8"},
        {"sec_websocket_version": ["13", "8"]},
        {"sec_websocket_version": "13, 8"},
    ],
)
async def test_ws_1_no_upgrade_or_another_version_is_a_426(
    changed: dict[str, Any],
) -> None:
    response = await ask(WebSocket(echo), **changed)
    response.assert_status(426)
    response.assert_header("upgrade", "websocket")
    response.assert_header("sec-websocket-version", "13")


async def test_ws_1_http_1_0_knows_no_upgrade() -> None:
    async with TestServer(WebSocket(echo)) as app:
        peer = app.connect()
        await peer.send(HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"))
        (await peer.receive_response()).assert_status(426)


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "x",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZTE=",
        "dGhlIHNhbXBs ZSBub25jZQ==",
        [KEY, KEY],
    ],
)
async def test_ws_1_a_bad_key_is_a_400(key: str | list[str] | None) -> None:
    (await ask(WebSocket(echo), sec_websocket_key=key)).assert_status(400)


@pytest.mark.parametrize("offer", ["chat room", "chat;q=1", "caf\xe9", "chat,\x22x\x22"])
async def test_ws_1_a_malformed_subprotocol_is_a_400(offer: str) -> None:
    response = await ask(WebSocket(echo, subprotocols=["chat"]), sec_websocket_protocol=offer)
    response.assert_status(400)


async def test_ws_1_other_methods_are_a_405() -> None:
    (await ask(WebSocket(echo), method="POST")).assert_status(405).assert_header("allow", "GET")


async def test_ws_1_the_fields_may_be_spread_and_in_any_case() -> None:
    response = await ask(
        WebSocket(echo), connection=["keep-alive", "UPGRADE"], upgrade=["h2c, WebSocket"]
    )
    response.assert_status(101)


async def test_ws_1_after_the_stop_it_is_a_503(autojump_clock: object) -> None:
    config = tt.Config(drain_delay=10.0)
    async with TestServer(WebSocket(echo), config) as app:
        app.shut_down()
        response = await app.get("/", headers=FIELDS)
    response.assert_status(503).assert_header("retry-after")


async def test_ws_1_what_is_refused_is_halted() -> None:
    async def behind(conn: tt.Conn) -> tt.Conn:
        raise AssertionError("a handler behind it ran")

    async with TestServer((WebSocket(echo), behind)) as app:
        (await app.get("/")).assert_status(426)


async def test_ws_1_of_several_the_one_that_accepted_gets_it() -> None:
    def saying(word: str) -> Function:
        async def say(ws: WebSocketConn) -> None:
            await ws.send(word)

        return say

    first, second = WebSocket(saying("first")), WebSocket(saying("second"))

    class Choice(tt.Handler):
        async def run(self, conn: tt.Conn) -> tt.Conn:
            return await (first if conn.path == "/1" else second).run(conn)

        def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
            return first.has_upgrade(upgrade) or second.has_upgrade(upgrade)

        async def upgrade(self, upgrade: tt.Upgrade) -> None:
            chosen = first if first.has_upgrade(upgrade) else second
            await chosen.upgrade(upgrade)

    async with TestServer(Choice()) as app:
        async with app.websocket("/1") as ws:
            assert await ws.receive() == "first"
        async with app.websocket("/2") as ws:
            assert await ws.receive() == "second"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),
        ("http://example.com", 101),
        ("https://example.com", 101),  # a proxy in front may have ended TLS
        ("HTTP://EXAMPLE.com", 101),
        ("http://example.com:80", 101),
        ("https://example.com:443", 101),
        ("http://example.com:8080", 403),
        ("https://example.com:80", 403),
        ("http://example.org", 403),
        ("http://example.com.evil.org", 403),
        ("http://evil-example.com", 403),
        ("http://example.com@evil.org", 403),
        ("http://example.com/", 403),
        ("example.com", 403),
        ("null", 403),
        ("", 403),
        (["http://example.com", "http://example.com"], 403),
    ],
)
async def test_ws_2_by_default_the_origin_is_that_of_the_request(
    origin: str | list[str] | None, status: int
) -> None:
    (await ask(WebSocket(echo), origin=origin)).assert_status(status)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("example.com:8080", "http://example.com:8080", 101),
        ("example.com:8080", "http://example.com", 403),
        ("example.com:80", "http://example.com", 101),
        ("[::1]:8080", "http://[::1]:8080", 101),
        ("[::1]:8080", "http://[::1]:8081", 403),
    ],
)
async def test_ws_2_ports_count(host: str, origin: str, status: int) -> None:
    (await ask(WebSocket(echo), host=host, origin=origin)).assert_status(status)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://app.example.org", 101),
        ("https://APP.example.org", 101),
        ("http://example.com", 403),
        ("https://app.example.org:8443", 403),
        (["https://app.example.org", "https://app.example.org"], 403),
        (None, 101),
    ],
)
async def test_ws_2_origins_can_be_named(origin: str | list[str] | None, status: int) -> None:
    handler = WebSocket(echo, origins=["https://app.example.ORG/"])
    (await ask(handler, origin=origin)).assert_status(status)


@pytest.mark.parametrize("origin", ["http://anybody.org", "null", None])
async def test_ws_2_all_can_be_let_in(origin: str | None) -> None:
    (await ask(WebSocket(echo, origins="*"), origin=origin)).assert_status(101)


def test_ws_2_one_origin_is_no_list() -> None:
    with pytest.raises(tt.ConfigError, match="origins"):
        WebSocket(echo, origins="https://example.com")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ((), None),
        (("c",), None),
        (("b", "a"), "b"),
        (("c", "a", "b"), "a"),
    ],
)
async def test_ws_3_the_clients_first_that_we_speak(
    offered: tuple[str, ...], chosen: str | None
) -> None:
    seen: list[str | None] = []

    async def note(ws: WebSocketConn) -> None:
        seen.append(ws.subprotocol)

    async with (
        serving(note, subprotocols=["a", "b"]) as app,
        app.websocket(subprotocols=offered) as ws,
    ):
        assert ws.subprotocol == chosen
    assert seen == [chosen]


async def test_ws_15_compression_is_off_by_default() -> None:
    offer = "permessage-deflate; client_max_window_bits"
    response = await ask(WebSocket(echo), sec_websocket_extensions=offer)
    response.assert_status(101).assert_no_header("sec-websocket-extensions")


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        ("x-webkit-deflate-frame", None),
        (None, None),
    ],
)
async def test_ws_15_compression_has_small_windows(offer: str | None, agreed: str | None) -> None:
    response = await ask(WebSocket(echo, compression=True), sec_websocket_extensions=offer)
    response.assert_status(101)
    assert response.headers.get("sec-websocket-extensions") == agreed


async def test_ws_1_a_malformed_offer_of_compression_is_a_400() -> None:
    response = await ask(WebSocket(echo, compression=True), sec_websocket_extensions="=;")
    response.assert_status(400)


def test_ws_16_without_the_extra_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['websockets'] = None\n"
        "import trillium_trio.testing, trillium_trio.handlers\n"
        "trillium_trio.handlers.WebSocket(None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install 'trillium-trio[websockets]'" in done.stderr


async def test_ws_4_what_came_with_the_handshake_is_read_first() -> None:
    async with serving(echo) as app:
        client = await open_raw(app, frame(TEXT, b"early"))
        assert await client.receive() == (TEXT, b"early")
        client.peer.close()
