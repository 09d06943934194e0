"""Connections that leave HTTP."""

from __future__ import annotations

import pytest
import trio

import trillium_trio as tt
from tests.wire import request, serving, settled

ECHO = ("Connection: upgrade", "Upgrade: echo")


class Echo(tt.Handler):
    """Sends back what comes, from the first byte that was sent too early."""

    takes_connect = True

    def __init__(self) -> None:
        self.seen: list[object] = []

    async def run(self, conn: tt.Conn) -> tt.Conn:
        conn.with_state(5).with_response_header("upgrade", "echo")
        return conn.with_response_header("connection", "upgrade").upgrade()

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        return upgrade.method in ("GET", "CONNECT")

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        self.seen = [
            *(upgrade.method, upgrade.path, upgrade.querystring, upgrade.request_headers["host"]),
            *(upgrade.peer_ip, upgrade.is_secure, upgrade.state(int), upgrade.shared_state(str)),
            *(upgrade.swansong.guard_count, repr(upgrade)),
        ]
        data = upgrade.leftover
        while data:
            await upgrade.transport.send_some(data)
            data = await upgrade.transport.receive_some()


async def test_the_bytes_are_the_handler_s(autojump_clock: object) -> None:
    echo = Echo()
    async with serving(echo, tt.config().with_shared_state("shared")) as app:
        client = app.connect()
        await client.send(request("/x?y", *ECHO), b"early")
        await settled()
        head, _, rest = (await client.receive()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"connection: upgrade" in head
        assert b"content-length" not in head
        assert rest + (b"" if rest else await client.receive()) == b"early"
        await client.send(b"late")
        assert await client.receive() == b"late"
        # No timeout of HTTP applies any more.
        await trio.sleep(1000)
        assert app.guards == 1
        await client.stream.aclose()
        await settled()
        assert app.guards == 0
    assert echo.seen == [
        *("GET", "/x", "y", "x", None, False, 5, "shared", 1),
        "<Upgrade GET /x from unix>",
    ]


async def test_a_tunnel(autojump_clock: object) -> None:
    async with serving(Echo()) as app:
        client = app.connect()
        await client.send(request("x:1", method="CONNECT"), b"early")
        await settled()
        head, _, _ = (await client.receive()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"content-length" not in head
        assert b"close" not in head


async def test_it_may_end_itself_on_notice(autojump_clock: object) -> None:
    class Polite(Echo):
        async def upgrade(self, upgrade: tt.Upgrade) -> None:
            await upgrade.swansong.shutting_down()
            await upgrade.transport.send_some(b"bye")

    async with serving(Polite()) as app:
        client = app.connect()
        await client.send(request("/", *ECHO))
        assert (await client.response()).status == 101
        app.handle.shut_down()
        assert await client.rest() == b"bye"


@pytest.mark.parametrize("is_small", [True, False])
async def test_a_body_comes_before_it(is_small: bool, autojump_clock: object) -> None:
    async with serving(Echo()) as app:
        client = app.connect()
        body = b"x" * (10 if is_small else 100_000)
        await client.send(request("/", *ECHO, body=body), b"early")
        response = await client.response()
        assert response.status == (101 if is_small else 413)


async def test_nobody_takes_it(autojump_clock: object) -> None:
    async with serving(Echo()) as app:
        client = app.connect()
        await client.send(request("/", *ECHO, method="POST"))
        assert (await client.response()).status == 500
        # Not switched: HTTP goes on.
        assert (await client.get("/", *ECHO)).status == 101
