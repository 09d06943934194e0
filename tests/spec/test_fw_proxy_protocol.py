"""FW-7 to FW-9 of docs/spec/forwarded.md: the PROXY protocol, in memory."""

from __future__ import annotations

import logging
import ssl
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.spec.test_cn_tls import below, tls_pair
from tests.unit.transport._tls import client_context, server_context
from tests.wire import Listener, request, serving, settled
from trillium_trio.asgi import Asgi
from trillium_trio.exceptions import ConfigError
from trillium_trio.http import Networks
from trillium_trio.listeners import PreboundBind, ProxyBind, open_listeners

if TYPE_CHECKING:
    from tests.wire import Peer
    from trillium_trio.asgi import Receive, Scope, Send

V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\n"
V1_TCP6 = b"PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
TCP4 = bytes([203, 0, 113, 9, 192, 0, 2, 1]) + struct.pack("!HH", 56324, 443)
TCP6 = ip_address("2001:db8::9").packed + ip_address("2001:db8::1").packed + TCP4[8:]
UNIX = b"/run/client".ljust(108, b"\0") + b"/run/proxy".ljust(108, b"\0")
# PP2_TYPE_ALPN and PP2_TYPE_UNIQUE_ID.
TLVS = b"\x01\x00\x02h2" + b"\x05\x00\x04abcd"


def v2(addresses: bytes = TCP4, *, kind: int = 0x11, command: int = 0x21) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, kind, len(addresses)) + addresses


async def show(conn: tt.Conn) -> tt.Conn:
    transport = conn.transport
    return conn.ok(f"{transport.peer} {conn.peer_ip} {transport.server_address}")


CLIENT = "203.0.113.9:56324 203.0.113.9 ('192.0.2.1', 443)"
CLIENT6 = "[2001:db8::9]:56324 2001:db8::9 ('2001:db8::1', 443)"
# What is known of a stream in memory.
PROXY = "unix None Listener"

TAKEN = {
    "v1": (V1, CLIENT),
    "v1-tcp6": (V1_TCP6, CLIENT6),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", PROXY),
    "v1-unknown-with-more": (b"PROXY UNKNOWN what ever 1 2\r\n", PROXY),
    "v1-longest": (
        b"PROXY UNKNOWN " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n",
        PROXY,
    ),
    "v1-port-0": (V1.replace(b"56324", b"0"), CLIENT.replace("56324", "0")),
    "v1-mapped": (V1_TCP6.replace(b"2001:db8::9", b"::ffff:203.0.113.9"), None),
    "v2": (v2(), CLIENT),
    "v2-tlvs": (v2(TCP4 + TLVS), CLIENT),
    "v2-longest": (v2(TCP4 + bytes(8192 - 12)), CLIENT),
    "v2-tcp6": (v2(TCP6 + TLVS, kind=0x21), CLIENT6),
    "v2-local": (v2(b"", kind=0, command=0x20), PROXY),
    "v2-local-with-addresses": (v2(command=0x20), PROXY),
    "v2-local-of-any-kind": (v2(command=0x20, kind=0xFF), PROXY),
    "v2-unspec": (v2(b"", kind=0), PROXY),
    "v2-unspec-with-tlvs": (v2(TLVS, kind=0), PROXY),
    "v2-udp": (v2(kind=0x12), PROXY),
    "v2-unix": (v2(UNIX, kind=0x31), PROXY),
}


@pytest.mark.parametrize("step", [0, 1, 7])
@pytest.mark.parametrize(("header", "expected"), TAKEN.values(), ids=TAKEN)
async def test_fw_8_a_header_says_whose_connection_it_is(
    header: bytes, expected: str | None, step: int, autojump_clock: object
) -> None:
    data = header + request() + request("/", "Connection: close")
    async with serving(show, proxies="unix") as app:
        client = app.connect()
        for at in range(0, len(data), step or len(data)):
            await client.send(data[at : at + (step or len(data))])
            if step and len(data) < 1000:
                await settled()
        for _ in range(2):
            body = (await client.response()).body.decode()
            if expected is not None:
                assert body == expected
            else:
                assert body.startswith("203.0.113.9:56324 203.0.113.9 ")


REFUSED = {
    "no-header": (request(), "no header, but b'GET / HTTP/1'"),
    "tls": (b"\x16\x03\x01", r"no header, but b'\x16\x03\x01'"),
    "empty-line": (b"\r\nPROXY", r"no header, but b'\r\nPROXY'"),
    "small": (b"proxy TCP4 ", "no header, but b'proxy TCP4 '"),
    "v1-too-long": (b"PROXY UNKNOWN " + b"a" * 93, "a line of more than 107 bytes"),
    "v1-kind": (b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", "a malformed line"),
    "v1-two-spaces": (V1.replace(b" ", b"  "), "a malformed"),
    "v1-end": (V1.replace(b"\r", b" \r"), "a malformed line"),
    "v1-port": (V1.replace(b"443", b"65536"), "a malformed address: '192.0.2.1' port 65536"),
    "v1-port-sign": (V1.replace(b"443", b"+443"), "a malformed line"),
    "v1-port-zeros": (V1.replace(b"443", b"0443"), "a malformed line"),
    "v1-ip": (V1.replace(b"203.0.113.9", b"203.0.113.256"), "a malformed address: '203.0.113.256'"),
    "v1-zeros": (V1.replace(b"203.0.113.9", b"203.0.113.09"), "a malformed address"),
    "v1-family": (V1.replace(b"TCP4", b"TCP6"), "a malformed address"),
    "v1-zone": (V1_TCP6.replace(b"::9", b"::9%x"), "a malformed address"),
    "v1-unknowns": (b"PROXY UNKNOWNS\r\n", "a malformed line"),
    "v1-lf": (V1.replace(b"\r\n", b"\n") + b"GET / HTTP/1.1\r\n", "a malformed line"),
    "v2-version": (v2(command=0x11), "version 1; there are 1 and 2"),
    "v2-command": (v2(command=0x22), "command 0x2, which is not defined"),
    "v2-kind": (v2(kind=0x41), "addresses of kind 0x41, which is not defined"),
    "v2-protocol": (v2(kind=0x13), "addresses of kind 0x13, which is not defined"),
    "v2-short": (v2(TCP4[:-1]), "11 bytes, too few for addresses of kind 0x11"),
    "v2-short-tcp6": (v2(TCP4, kind=0x21), "12 bytes, too few for addresses of kind 0x21"),
    "v2-too-long": (v2(TCP4 + bytes(8181)), "8193 bytes of addresses and extensions"),
}


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [
        (record.levelno, record.getMessage())
        for record in caplog.records
        if record.name == "trillium_trio.driver"
    ]


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
async def test_fw_8_what_is_no_header_closes_the_connection(
    data: bytes,
    reason: str,
    step: int,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: object,
) -> None:
    caplog.set_level(logging.DEBUG, "trillium_trio.driver")
    async with serving(show, proxies="unix") as app:
        client = app.connect()
        for at in range(0, len(data), step or len(data)):
            try:
                await client.send(data[at : at + (step or len(data))])
            except trio.BrokenResourceError:
                break
            if step and len(data) < 1000:
                await settled()
        assert await client.ends()
    [(level, line)] = lines(caplog)
    assert level == logging.INFO
    # Byte by byte, less was there to be shown.
    start = "unix: no PROXY header: "
    assert line.startswith(start + (reason if not step else reason[:6]))
    assert line.isprintable()


# FW-7


@pytest.mark.parametrize("data", [b"", V1 + request(), request()])
async def test_fw_7_others_are_closed_and_told_from_proxies(
    data: bytes, caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    caplog.set_level(logging.DEBUG, "trillium_trio.driver")
    async with serving(show, proxies="10.0.0.0/8") as app:
        client = app.connect()
        if data:
            await client.send(data)
        assert await client.ends()
        assert trio.current_time() == 0
    assert lines(caplog) == [
        (logging.INFO, "unix: closed, because proxy_protocol does not trust it")
    ]


async def test_fw_7_without_the_setting_a_header_is_a_bad_request(autojump_clock: object) -> None:
    async with serving(show) as app:
        client = app.connect()
        await client.send(V1, request())
        assert (await client.response()).status == 400


async def test_fw_7_tls_cannot_be_below_it() -> None:
    ssl_listener = trio.SSLListener(Listener(), server_context())
    with pytest.raises(ConfigError, match="has TLS, which a proxy's header has to precede"):
        await open_listeners([ProxyBind(PreboundBind(ssl_listener), Networks("*", setting="x"))])


def test_fw_7_each_bind_of_a_config_takes_the_networks() -> None:
    trust = ["10.0.0.0/8", "unix"]
    context = server_context()
    config = (
        tt.config()
        .bind_tcp(1, proxy_protocol=trust)
        .bind_unix("/x", proxy_protocol=trust)
        .bind_fd(3, proxy_protocol=trust)
        .bind_env(proxy_protocol=trust)
        .bind_tls(2, context, proxy_protocol=trust)
    )
    *plain, tls = config.listeners
    networks = Networks(trust, setting="x")
    assert all(isinstance(each, ProxyBind) and each.trust == networks for each in plain)
    assert tls == tt.config().bind_tls(2, context, proxy_protocol="10.0.0.0/8,unix").listeners[0]
    assert tt.config().bind_tcp(1, proxy_protocol=[]) == tt.config().bind_tcp(1)


async def test_fw_8_an_asgi_application_sees_the_addresses(autojump_clock: object) -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with serving(Asgi(app), proxies="unix") as server:
        client = server.connect()
        await client.send(V1)
        assert (await client.get()).status == 200
    assert scopes[-1]["client"] == ("203.0.113.9", 56324)
    assert scopes[-1]["server"] == ("192.0.2.1", 443)


async def test_fw_8_the_log_names_the_client(
    caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    caplog.set_level(logging.INFO, "trillium_trio.driver")
    async with serving(show, proxies="unix") as app:
        client = app.connect()
        await client.send(V1, b"\0\r\n\r\n")
        assert (await client.response()).status == 400
    [(_, line)] = lines(caplog)
    assert line.startswith("203.0.113.9:56324: ")


# FW-9


@pytest.mark.parametrize("step", [0, 1])
async def test_fw_9_it_precedes_tls(step: int, autojump_clock: object) -> None:
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(received, to_send, server_hostname="localhost")

    async def send(client: Peer, data: bytes) -> None:
        for at in range(0, len(data), step or len(data)):
            await client.send(data[at : at + (step or len(data))])
            if step:
                await settled()

    async with serving(show, tls=server_context(), proxies="unix") as app:
        client = app.connect()
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        await send(client, V1 + to_send.read())
        received.write(await client.receive())
        tls.do_handshake()
        tls.write(request("/", "Connection: close"))
        await send(client, to_send.read())
        received.write(await client.rest())
        answer = tls.read(10_000)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(CLIENT.encode())


async def test_fw_9_a_failed_handshake_names_the_client(
    caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    caplog.set_level(logging.DEBUG, "trillium_trio.driver")
    async with serving(show, tls=server_context(), proxies="unix") as app:
        client = app.connect()
        await client.send(V1, request())
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
        await client.stream.aclose()
        await settled()
    assert lines(caplog) == [(logging.INFO, "203.0.113.9:56324: no TLS: a plain HTTP request")]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("first", "level"), [(b"", logging.DEBUG), (V1[:-1], logging.INFO)], ids=["silent", "begun"]
)
@pytest.mark.parametrize("leaves", [True, False])
async def test_fw_9_it_has_to_be_there_in_time(
    tls: bool,
    first: bytes,
    level: int,
    leaves: bool,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: object,
) -> None:
    caplog.set_level(logging.DEBUG, "trillium_trio.driver")
    context = server_context() if tls else None
    async with serving(show, tls=context, proxies="unix", handshake_timeout=3.0) as app:
        client = app.connect()
        await settled()
        if first:
            await client.send(first)
        if leaves:
            await client.stream.aclose()
            await settled()
        else:
            assert await client.ends()
            assert trio.current_time() == 3
    why = "the peer disconnected before its end" if leaves else "the header took too long"
    assert lines(caplog) == [(level, f"unix: no PROXY header: {why}")]


async def test_fw_9_the_timeout_covers_the_handshake_behind_it(autojump_clock: object) -> None:
    async with serving(
        show, tls=server_context(), proxies="unix", handshake_timeout=3.0, pair=tls_pair
    ) as app:
        client = below(app.connect())
        await trio.sleep(2)
        await client.send(V1)
        assert await client.ends()
        assert trio.current_time() == 3


async def test_fw_9_afterwards_the_first_request_has_its_own_time(autojump_clock: object) -> None:
    async with serving(show, proxies="unix", head_timeout=5.0) as app:
        client = app.connect()
        await trio.sleep(2)
        await client.send(V1)
        assert await client.ends()
        assert trio.current_time() == 7


@pytest.mark.parametrize(
    ("first", "ends"), [(b"", 0.5), (V1[:9], 2.0), (V1, 0.5)], ids=["silent", "begun", "whole"]
)
async def test_fw_9_at_the_stop_it_is_like_a_handshake(
    first: bytes, ends: float, autojump_clock: object
) -> None:
    async with serving(show, proxies="unix") as app:
        client = app.connect()
        await trio.sleep(1)
        if first:
            await client.send(first)
            await settled()
        start = trio.current_time()
        app.handle.shut_down()
        assert await client.ends()
        report = await app.handle
        assert trio.current_time() - start == ends
        assert report.is_clean


async def test_fw_9_a_request_behind_it_is_answered_during_the_drain(
    autojump_clock: object,
) -> None:
    async with serving(show, proxies="unix") as app:
        client = app.connect()
        await client.send(V1[:20])
        await settled()
        app.handle.shut_down()
        await trio.sleep(1)
        await client.send(V1[20:] + request())
        response = await client.response()
        assert response.status == 200
        assert response.closes
        assert response.body.decode() == CLIENT


async def test_fw_9_at_the_drains_deadline_nothing_was_cut(autojump_clock: object) -> None:
    async with serving(show, tt.config().with_drain_timeout(1), proxies="unix") as app:
        client = app.connect()
        await client.send(V1[:20])
        await settled()
        app.handle.shut_down()
        assert await client.ends()
        assert (await app.handle).is_clean
        assert trio.current_time() == 1
