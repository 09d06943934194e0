"""CN-11 and CN-26 of docs/spec/connection.md: TLS handshakes, and those that fail, in memory."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import memory_stream_pair

import trillium_trio as tt
from tests import wire
from tests.unit.transport._tls import client_context, server_context
from tests.wire import App, Pair, Peer, request, settled

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

GRACE = 0.5
HANDSHAKE_GRACE = 2.0
# How a ClientHello begins.
HELLO = b"\x16\x03\x01"


def tls_pair() -> Pair:
    """Return a client that speaks TLS, and the plain stream that a server gets."""
    far, near = memory_stream_pair()
    return (
        trio.SSLStream(far, client_context(), server_hostname="localhost", https_compatible=True),
        near,
    )


def serving(config: tt.Config | None = None, **http: float) -> AbstractAsyncContextManager[App]:
    return wire.serving("hello", config, pair=tls_pair, tls=server_context(), **http)  # type: ignore[arg-type]  # no proxies


async def begin_handshake(app: App) -> Peer:
    """Return a client that the server waits for."""
    client = app.connect()
    await settled()
    assert app.guards == 0
    return client


async def finish_handshake(client: Peer) -> None:
    assert isinstance(client.stream, trio.SSLStream)
    await client.stream.do_handshake()
    await settled()


def below(client: Peer) -> Peer:
    """Look under the TLS of a client: what comes is not to be decrypted."""
    assert isinstance(client.stream, trio.SSLStream)
    return Peer(client.stream.transport_stream)


@pytest.mark.parametrize("grace", [0, GRACE])
async def test_cn_11_a_request_right_behind_the_handshake_is_answered(
    grace: float, autojump_clock: object
) -> None:
    async with serving(tt.config().with_keepalive_grace(grace)) as app:
        client = below(await begin_handshake(app))
        received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(received, to_send, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        await client.send(to_send.read())
        received.write(await client.receive())
        app.handle.shut_down()
        await trio.sleep(1.9)
        # The last message of the handshake and the request behind it, in one piece.
        tls.do_handshake()
        tls.write(request())
        await client.send(to_send.read())
        received.write(await client.rest())
        response = tls.read(10_000)
        assert response.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in response.lower()


async def test_cn_11_then_it_has_the_grace_of_a_new_connection(autojump_clock: object) -> None:
    async with serving() as app:
        silent, late = await begin_handshake(app), await begin_handshake(app)
        app.handle.shut_down()
        await trio.sleep(GRACE / 2)
        for client in (silent, late):
            await finish_handshake(client)
        done = trio.current_time()
        await trio.sleep(GRACE / 2)
        assert (await late.get()).closes
        assert await silent.ends()
        assert trio.current_time() - done == GRACE


@pytest.mark.parametrize(("drain_timeout", "ends"), [(30, HANDSHAKE_GRACE), (1, 1)])
async def test_cn_11_a_handshake_that_does_not_end_is_bounded(
    drain_timeout: float, ends: float, autojump_clock: object
) -> None:
    config = tt.config().with_drain_timeout(drain_timeout)
    async with serving(config) as app:
        client = await begin_handshake(app)
        await below(client).send(HELLO)
        await trio.sleep(1)
        start = trio.current_time()
        app.handle.shut_down()
        assert await below(client).ends()
        report = await app.handle
        assert trio.current_time() - start == ends
        # Nothing was promised, so nothing was cut off.
        assert report.is_clean


@pytest.mark.parametrize(
    ("grace", "age", "ends"),
    [
        pytest.param(GRACE, 1, GRACE, id="accepted-before"),
        pytest.param(GRACE, 9.8, 0.2, id="almost-too-late-anyhow"),
        pytest.param(0, 1, 0, id="without-a-grace"),
        pytest.param(5, 1, 5, id="with-a-long-one"),
    ],
)
async def test_cn_11_a_silent_connection_has_the_grace(
    grace: float, age: float, ends: float, autojump_clock: object
) -> None:
    async with serving(tt.config().with_keepalive_grace(grace)) as app:
        client = await begin_handshake(app)
        await trio.sleep(age)
        start = trio.current_time()
        app.handle.shut_down()
        assert await below(client).ends()
        report = await app.handle
        assert trio.current_time() - start == pytest.approx(ends)
        assert report.is_clean


@pytest.mark.parametrize(("grace", "ends"), [(GRACE, HANDSHAKE_GRACE), (3, 3)])
async def test_cn_11_the_first_byte_within_the_grace_gives_it_the_rest(
    grace: float, ends: float, autojump_clock: object
) -> None:
    async with serving(tt.config().with_keepalive_grace(grace)) as app:
        client = await begin_handshake(app)
        start = trio.current_time()
        app.handle.shut_down()
        await trio.sleep(GRACE / 2)
        await below(client).send(HELLO)
        assert await below(client).ends()
        assert trio.current_time() - start == ends


async def test_cn_11_the_graces_are_settings(autojump_clock: object) -> None:
    async with serving(handshake_grace=0.75) as app:
        client = await begin_handshake(app)
        await below(client).send(HELLO)
        app.handle.shut_down()
        assert await below(client).ends()
        assert trio.current_time() == 0.75


async def test_cn_11_each_handshake_is_told_the_stop_afterwards(autojump_clock: object) -> None:
    """A stop between the handshake and the first byte finds a new connection."""
    async with serving() as app:
        client = await begin_handshake(app)
        await finish_handshake(client)
        await trio.sleep(GRACE / 2)
        app.handle.shut_down()
        await client.send(request())
        assert (await client.response()).closes
        assert await client.ends()


async def test_cn_11_the_tls_of_an_applications_own_streams_is_given_the_same_time(
    autojump_clock: object,
) -> None:
    def pair() -> Pair:
        client, near = tls_pair()
        return client, trio.SSLStream(near, server_context(), server_side=True)

    async with wire.serving("hello", pair=pair) as app:
        silent, late = await begin_handshake(app), await begin_handshake(app)
        app.handle.shut_down()
        await trio.sleep(1.9)
        assert (await late.get()).closes
        # Nobody knows whether something has come.
        assert await below(silent).ends()
        assert trio.current_time() == HANDSHAKE_GRACE


# CN-26


async def refused(app: App, first: bytes) -> bytes:
    """Send the first bytes; return all that comes back."""
    client = below(await begin_handshake(app))
    await client.send(first)
    got = await client.rest()
    await client.stream.aclose()
    await settled()
    return got


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [
        (record.levelno, record.getMessage())
        for record in caplog.records
        if record.name == "trillium_trio.driver"
    ]


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE", "OPTIONS", "CONNECT"])
async def test_cn_26_plain_http_is_answered_in_plaintext(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "trillium_trio.driver")
    async with serving() as app:
        answer = await refused(app, request(method=method))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ndate: ")
    assert b"\r\nconnection: close" in head
    assert body == b"A plain HTTP request was sent to an HTTPS port.\n"
    assert lines(caplog) == [(logging.INFO, "unix: no TLS: a plain HTTP request")]


def hello(**settings: object) -> bytes:
    """Return the ClientHello of a client with these settings."""
    context = client_context()
    # What is old is off by default.
    context.set_ciphers("ALL:@SECLEVEL=0")
    for name, value in settings.items():
        if name == "ciphers":
            context.set_ciphers(str(value))
        else:
            setattr(context, name, value)
    to_send = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), to_send, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return to_send.read()


def alert(description: int) -> bytes:
    """A fatal alert (RFC 8446, 6), without its version."""
    return bytes([0, 2, 2, description])


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("first", "reason", "code"),
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", "what came is not TLS", None, id="no-TLS"),
        pytest.param(
            lambda: hello(
                minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1
            ),
            "the client offers only old versions of TLS",
            70,
            id="old-version",
        ),
        pytest.param(
            lambda: hello(
                maximum_version=ssl.TLSVersion.TLSv1_2, ciphers="AES128-SHA256:@SECLEVEL=0"
            ),
            "no shared cipher",
            40,
            id="cipher",
        ),
    ],
)
async def test_cn_26_each_reason_is_told_to_the_client_and_the_log(
    first: object, reason: str, code: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "trillium_trio.driver")
    async with serving() as app:
        answer = await refused(app, first() if callable(first) else first)  # type: ignore[arg-type]  # bytes
    if code is not None:
        assert answer[:1] == b"\x15"
        assert answer[3:] == alert(code)
    assert b"HTTP" not in answer
    assert lines(caplog) == [(logging.INFO, f"unix: no TLS: {reason}")]


@pytest.mark.parametrize(
    ("first", "level"), [(b"", logging.DEBUG), (HELLO, logging.INFO)], ids=["silent", "begun"]
)
@pytest.mark.parametrize("leaves", [True, False])
async def test_cn_26_a_client_that_never_spoke_is_no_news(
    first: bytes,
    level: int,
    leaves: bool,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: object,
) -> None:
    caplog.set_level(logging.DEBUG, "trillium_trio.driver")
    async with serving() as app:
        client = below(await begin_handshake(app))
        if first:
            await client.send(first)
        if leaves:
            await client.stream.aclose()
            await settled()
        else:
            assert await client.ends()
            assert trio.current_time() == 10
    why = (
        "the client disconnected during the handshake" if leaves else "the handshake took too long"
    )
    assert lines(caplog) == [(level, f"unix: no TLS: {why}")]


async def test_cn_26_a_client_that_does_not_read_its_alert_is_given_up(
    autojump_clock: object,
) -> None:
    async with serving(linger_timeout=3) as app:
        client = below(await begin_handshake(app))
        await client.send(b"SSH-2.0-OpenSSH_9.6\r\n")
        await client.rest()
        assert trio.current_time() == 0, "the end is told at once"
        app.handle.shut_down()
        await app.handle
        assert trio.current_time() == 3
