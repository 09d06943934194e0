"""CN-25 and CN-26 of docs/spec/connection.md: other people's TLS clients, over real sockets."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import ssl
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.e2e._net import Net, serving
from tests.unit.transport._tls import PEM, client_context
from tests.wire import request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

CURL, OPENSSL = shutil.which("curl"), shutil.which("openssl")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not installed")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="the openssl program is not installed")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

FDS = Path("/dev/fd")
BIG = b"x" * 3_000_000


async def app(conn: tt.Conn) -> tt.Conn:
    match conn.path:
        case "/missing":
            raise tt.HttpError(404)
        case "/broken":
            raise tt.HttpError(500)
        case "/big":
            return conn.ok(BIG)
        case "/slow":
            await conn.swansong.shutting_down()
    await conn.request_body.read()
    return conn.ok("hello")


@asynccontextmanager
async def quietly(caplog: pytest.LogCaptureFixture, **http: float) -> AsyncIterator[Net]:
    """Serve; afterwards nothing is left, and nothing was logged that is not the peer's fault."""
    caplog.set_level(logging.DEBUG, "trillium_trio")
    fds = set(os.listdir(FDS))
    async with serving(app, tls=True, timeout=10, **http) as net:  # type: ignore[arg-type]  # HTTP's only
        yield net
    assert set(os.listdir(FDS)) == fds
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert loud == []
    assert [record for record in caplog.records if record.exc_info] == []


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the driver said at INFO, each line without the peer."""
    return [
        record.getMessage().split(": ", 1)[1]
        for record in caplog.records
        if record.name == "trillium_trio.driver" and record.levelno == logging.INFO
    ]


async def run(*command: str | None, stdin: bytes = b"") -> tuple[int, str]:
    """Run a client; return its status and what it wrote."""
    with trio.fail_after(20):
        done = await trio.run_process(
            [str(word) for word in command],
            stdin=stdin,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return done.returncode, done.stdout.decode("latin-1")


async def curl(net: Net, *options: str, path: str = "/", scheme: str = "https") -> tuple[int, str]:
    port = net.handle.port
    resolve = f"localhost:{port}:127.0.0.1"
    fixed = ("--silent", "--show-error", "--cacert", str(PEM), "--resolve", resolve)
    return await run(CURL, *fixed, *options, f"{scheme}://localhost:{port}{path}")


@needs_curl
@pytest.mark.parametrize(
    ("options", "path", "expected"),
    [
        pytest.param(["-H", "Connection: close"], "/", "hello", id="connection-close"),
        pytest.param(["--http1.0"], "/", "hello", id="http-1.0"),
        pytest.param(["--tls-max", "1.2", "-H", "Connection: close"], "/", "hello", id="tls-1.2"),
        pytest.param(["-H", "Connection: close"], "/missing", "Not Found", id="404"),
        pytest.param(["-d", "x", "-H", "Connection: close"], "/broken", "Internal", id="500"),
        pytest.param(["-H", "Bad Field: x"], "/", "Bad Request", id="malformed"),
        pytest.param(["-H", "X: " + "x" * 20_000], "/", "Request Header", id="too-large"),
        pytest.param([], "/", "hello", id="kept-alive"),
    ],
)
async def test_cn_25_curl_is_left_in_peace(
    options: Sequence[str], path: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with quietly(caplog) as net:
        status, text = await curl(net, *options, path=path)
        assert status == 0, text
        assert expected in text


@needs_curl
async def test_cn_25_a_drain_lets_curl_finish(caplog: pytest.LogCaptureFixture) -> None:
    async with quietly(caplog) as net, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def get() -> None:
            assert await curl(net, path="/slow") == (0, "hello")

        while not net.guards:
            await trio.sleep(0.01)
        net.handle.shut_down()


@needs_curl
async def test_cn_25_curl_gets_all_of_a_large_body(caplog: pytest.LogCaptureFixture) -> None:
    async with quietly(caplog) as net:
        status, text = await curl(net, "--limit-rate", "20M", path="/big")
        assert (status, len(text)) == (0, len(BIG))


def python_client(net: Net) -> ssl.SSLSocket:
    """Connect; a close without close_notify is an error."""
    sock = socket.create_connection(("127.0.0.1", net.handle.port), timeout=10)
    return client_context().wrap_socket(
        sock, server_hostname="localhost", suppress_ragged_eofs=False
    )


@pytest.mark.parametrize("how", ["idle timeout", "stop", "stop, never used", "deadline"])
async def test_cn_25_an_idle_connection_is_told_its_end(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    def talk() -> bytes:
        with python_client(net) as client:
            if how != "stop, never used":
                client.sendall(request())
                assert b"hello" in client.recv(10_000)
            connected.set()
            return client.recv(1)

    timeout = 0.3 if how == "idle timeout" else 60
    connected = AnyThread()
    async with quietly(caplog, idle_timeout=timeout) as net, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def client() -> None:
            assert await trio.to_thread.run_sync(talk) == b""

        await connected.wait()
        if how != "idle timeout":
            net.handle.shut_down()


class AnyThread:
    """An event that another thread sets."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def set(self) -> None:
        self._token.run_sync_soon(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()


async def s_client(net: Net, *options: str, stdin: Sequence[bytes] = ()) -> str:
    """Run ``openssl s_client``, each piece of its input by itself; return what it wrote."""
    address = f"127.0.0.1:{net.handle.port}"
    fixed = ("s_client", "-connect", address, "-servername", "localhost", "-CAfile", str(PEM))
    command = [str(OPENSSL), *fixed, *options]
    pipe = subprocess.PIPE
    process = await trio.lowlevel.open_process(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    text = b""
    with trio.fail_after(20):
        async with process.stdin, process.stdout, trio.open_nursery() as nursery:

            async def write() -> None:
                assert process.stdin is not None
                for piece in stdin:
                    # It takes a letter for a command only if nothing else comes with it.
                    await trio.sleep(0.5)
                    await process.stdin.send_all(piece)

            nursery.start_soon(write)
            async for piece in process.stdout:
                text += piece
            nursery.cancel_scope.cancel()
        await process.wait()
    return text.decode("latin-1")


CLOSING = request("/", "Connection: close")


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_cn_25_openssl_sees_close_notify(
    version: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with quietly(caplog) as net:
        text = await s_client(net, version, "-msg", "-ign_eof", stdin=[CLOSING])
    assert "hello" in text
    lines = [line for line in text.splitlines() if "close_notify" in line]
    assert lines[0].startswith("<<<"), text
    assert "unexpected eof" not in text


@needs_openssl
async def test_a_key_update_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    async with quietly(caplog) as net:
        text = await s_client(net, "-tls1_3", "-msg", stdin=[b"K\n", request(), b"K\n", CLOSING])
    assert text.count("KEYUPDATE") >= 2
    assert any("<<<" in line and "KeyUpdate" in line for line in text.splitlines()), text
    assert text.count("hello") == 2


@needs_openssl
async def test_cn_26_renegotiation_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with quietly(caplog) as net:
        text = await s_client(net, "-tls1_2", "-msg", stdin=[b"R\n", CLOSING])
        assert "RENEGOTIATING" in text
        assert "no_renegotiation" in text
        assert (await curl(net))[1] == "hello"


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_a_session_is_resumed(
    version: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = str(tmp_path / "session")
    async with quietly(caplog) as net:
        first = await s_client(net, version, "-ign_eof", "-sess_out", session, stdin=[CLOSING])
        second = await s_client(net, version, "-ign_eof", "-sess_in", session, stdin=[CLOSING])
    assert "New, TLSv1." in first
    assert "Reused, TLSv1." in second


@needs_curl
@pytest.mark.parametrize("options", [[], ["-d", "x=1"], ["-X", "DELETE"], ["-X", "OPTIONS"]])
async def test_cn_26_plain_http_is_told_in_plaintext(
    options: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with quietly(caplog) as net:
        status, text = await curl(net, "-i", *options, scheme="http")
    assert status == 0, text
    assert text.startswith("HTTP/1.1 400 Bad Request")
    assert text.endswith("A plain HTTP request was sent to an HTTPS port.\n")
    assert said(caplog) == ["no TLS: a plain HTTP request"]


@needs_openssl
@pytest.mark.parametrize(
    ("options", "seen", "reason"),
    [
        pytest.param(
            ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            "alert protocol version",
            "the client offers only old versions of TLS",
            id="old-version",
        ),
        pytest.param(
            ["-tls1_2", "-cipher", "AES128-SHA256"],
            "alert handshake failure",
            "no shared cipher",
            id="no-cipher",
        ),
    ],
)
async def test_cn_26_openssl_learns_why_there_is_no_tls(
    options: list[str], seen: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with quietly(caplog) as net:
        text = await s_client(net, *options)
    assert seen in text
    assert said(caplog) == [f"no TLS: {reason}"]


async def test_cn_26_a_client_that_refuses_us_is_named(caplog: pytest.LogCaptureFixture) -> None:
    def connect() -> None:
        context = ssl.create_default_context()
        with (
            net.open() as sock,
            pytest.raises(ssl.SSLCertVerificationError),
            context.wrap_socket(sock, server_hostname="localhost"),
        ):
            pass

    async with quietly(caplog) as net:
        await trio.to_thread.run_sync(connect)
    assert said(caplog) == ["no TLS: the client refuses: unknown ca"]


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"])
async def test_cn_11_a_client_that_never_shakes_hands_does_not_hold_the_drain(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with quietly(caplog, handshake_grace=0.5) as net:
        with net.open() as sock:
            sock.sendall(sent)
            await trio.sleep(0.1)
            net.handle.shut_down()
            # Long before handshake_timeout.
            with trio.fail_after(5):
                assert (await net.handle).is_clean


@needs_chromium
async def test_cn_25_chromium(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with quietly(caplog) as net:
        status, text = await run(
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--ignore-certificate-errors",
            f"--user-data-dir={tmp_path}",
            "--dump-dom",
            f"https://localhost:{net.handle.port}/",
        )
    assert status == 0
    assert "hello" in text
