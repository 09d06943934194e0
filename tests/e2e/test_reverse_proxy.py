"""A `Proxy` on real sockets: TLS, WebSockets, restarts of either side, large bodies."""

from __future__ import annotations

import http.client
import logging
import os
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
import trio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_websocket

import trillium_trio as tt
from tests.e2e._process import TIMEOUT, Process, running
from tests.unit.transport._tls import client_context, server_context
from trillium_trio.handlers import Health, Proxy, WebSocket, WebSocketConn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from trillium_trio.conn import HandlerLike
    from trillium_trio.server import Config, ServerHandle

MIB = 1024 * 1024
LARGE = 200 * MIB
PIECE = bytes(range(256)) * 256


def config(**http_: float) -> Config:
    settings = tt.HttpConfig(max_body_bytes=2 * LARGE, **http_)  # type: ignore[arg-type]  # also counts
    return tt.config().bind_tcp("127.0.0.1:0").without_signals().with_http(settings)


def url(handle: ServerHandle, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{handle.port}"


async def app(conn: tt.Conn) -> tt.Conn:
    if conn.method == "POST":
        size = 0
        async for piece in conn.request_body:
            size += len(piece)
        return conn.ok(f"{size}")
    if conn.path == "/large":

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(LARGE // len(PIECE)):
                yield PIECE

        return conn.ok(tt.Body.streaming(pieces(), LARGE))
    if conn.path == "/slow":

        async def slowly() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield b"x"
                await trio.sleep(0.1)

        return conn.ok(slowly())
    return conn.ok(conn.path)


def test_px_1_over_tls_to_the_upstream() -> None:
    upstream = tt.config().bind_tls("127.0.0.1:0", server_context()).without_signals()
    with upstream.spawn(app) as back:
        target = f"https://localhost:{back.port}"
        with (
            config().spawn(Proxy(target, tls=client_context())) as front,
            httpx2.Client(base_url=url(front)) as client,
        ):
            for _ in range(3):
                assert client.get("/x").text == "/x"
            assert client.post("/", content=b"x" * 300_000).text == "300000"
        # A certificate that nobody we trust has signed.
        with config().spawn(Proxy(target)) as front:
            assert httpx2.get(url(front)).status_code == 502


def test_px_18_a_connection_that_the_upstream_has_closed_is_not_used() -> None:
    """Not even a POST, which could not be sent again, is lost with it."""
    with (
        config(idle_timeout=0.2).spawn(app) as back,
        config().spawn(Proxy(url(back), keep_alive=60)) as front,
        httpx2.Client(base_url=url(front)) as client,
    ):
        for _ in range(3):
            assert client.post("/", content=b"hi").text == "2"
            time.sleep(0.6)


async def echo(ws: WebSocketConn) -> None:
    async for message in ws:
        await ws.send(message)


@pytest.mark.parametrize("compression", ["deflate", None])
def test_px_21_a_websocket_of_another_library(compression: str | None) -> None:
    with (
        config().spawn(WebSocket(echo, compression=True)) as back,
        config().spawn(Proxy(url(back))) as front,
        connect_websocket(url(front, "ws"), compression=compression) as ws,
    ):
        ws.send("hello")
        assert ws.recv() == "hello"
        ws.send(PIECE * 8)
        assert ws.recv() == PIECE * 8
        back.shut_down()
        with pytest.raises(ConnectionClosed, match="1001"):
            ws.recv()


# -- memory ------------------------------------------------------------------------------------

PROXY = """
from trillium_trio.handlers import Proxy
settings = tt.HttpConfig(max_body_bytes=1 << 30)
config = tt.config().with_address("127.0.0.1", 0).with_http(settings)
say("pid", os.getpid())
config.run(Proxy(os.environ["UPSTREAM"]))
"""


def peak_bytes(pid: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    [line] = [each for each in lines if each.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_px_8_memory_does_not_grow_with_a_body() -> None:
    with config().spawn(app) as back, running(PROXY, UPSTREAM=url(back)) as process:
        pid = process.wait_for("pid").split()[-1]
        base = f"http://127.0.0.1:{process.port()}"
        with httpx2.Client(base_url=base, timeout=TIMEOUT) as client:
            assert client.get("/x").text == "/x"
            before = peak_bytes(pid)
            with client.stream("GET", "/large") as response:
                assert sum(map(len, response.iter_raw())) == LARGE
            pieces = (PIECE for _ in range(LARGE // len(PIECE)))
            assert client.post("/", content=pieces).text == str(LARGE)
            headers = {"content-length": str(LARGE)}
            pieces = (PIECE for _ in range(LARGE // len(PIECE)))
            assert client.post("/", content=pieces, headers=headers).text == str(LARGE)
            assert peak_bytes(pid) - before < 16 * MIB
        process.send_signal(signal.SIGTERM)
        assert process.end() == 0


# -- restarts ----------------------------------------------------------------------------------

UPSTREAM = """
from trillium_trio.handlers import Health
async def work(conn):
    await trio.sleep(0.01)
    return conn.ok(f"{os.getpid()} {await conn.request_body.text()}")
config = tt.config().bind_fd(int(os.environ["FD"])) if "FD" in os.environ else tt.config()
config.with_drain_delay(float(os.environ["DELAY"])).with_drain_timeout(20).run((Health(), work))
"""


class Load:
    """Clients that send POSTs, one after another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.is_over = threading.Event()
        self.answered: Counter[str] = Counter()
        self.lost: list[str] = []

    def run(self, name: int) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        count = 0
        with closing(client):
            while not self.is_over.is_set():
                count += 1
                each = f"{name}-{count}"
                try:
                    client.request("POST", "/", each)
                    response = client.getresponse()
                    body = response.read().decode()
                except (OSError, http.client.HTTPException) as error:
                    self.lost.append(f"{each}: {error!r}")
                    client.close()
                    continue
                if response.status == 200 and body.endswith(f" {each}"):
                    self.answered[body.split()[0]] += 1
                else:
                    self.lost.append(f"{each}: {response.status} {body}")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let six of them run; they end with the block."""
        with ThreadPoolExecutor(6) as pool:
            clients = [pool.submit(self.run, name) for name in range(6)]
            try:
                yield
            finally:
                self.is_over.set()
            for client in clients:
                client.result()

    def wait_for(self, count: int) -> None:
        wanted = self.answered.total() + count
        wait_until(lambda: self.answered.total() >= wanted)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def test_px_22_upstreams_restart_one_after_the_other_and_no_post_is_lost() -> None:
    ports = [free_port(), free_port()]
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    proxy = Proxy(addresses, health_path="/readyz", health_interval=0.1, leave_out=0.3)
    with ExitStack() as stack:

        def start(port: int) -> Process:
            environ = {"HOST": "127.0.0.1", "PORT": str(port), "DELAY": "0.3"}
            process = stack.enter_context(running(UPSTREAM, **environ))
            process.wait_for("listening on")
            return process

        running_ = {port: start(port) for port in ports}
        front = stack.enter_context(config().spawn(proxy))
        load = Load(front.port)
        with load.running():
            for _ in range(2):
                for port in ports:
                    load.wait_for(50)
                    running_[port].send_signal(signal.SIGTERM)
                    assert running_[port].end() == 0
                    load.wait_for(20)
                    running_[port] = start(port)
            load.wait_for(100)
    assert load.lost == []
    assert len(load.answered) == 6


def test_px_22_an_upstream_is_replaced_at_its_address_and_no_post_is_lost() -> None:
    """As with systemd: the socket is there all the time, and so no connection is refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as sock:

        def serving(name: str) -> AbstractContextManager[ServerHandle]:
            base = tt.config().bind_fd(os.dup(sock.fileno())).without_signals()
            return base.with_drain_timeout(20).spawn(_named(name))

        target = f"http://127.0.0.1:{sock.getsockname()[1]}"
        with config().spawn(Proxy(target)) as front, ExitStack() as last:
            load = Load(front.port)
            with load.running():
                for number in range(4):
                    with serving(f"{number}"):
                        load.wait_for(50)
                # For those that wait at the socket.
                last.enter_context(serving("last"))
    assert load.lost == []
    assert {"0", "1", "2", "3"} <= set(load.answered)


def test_px_22_a_proxy_is_replaced_at_its_address_and_no_post_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as sock, ExitStack() as stack:
        back = stack.enter_context(config().spawn(_named("0")))

        def serving() -> AbstractContextManager[ServerHandle]:
            base = tt.config().bind_fd(os.dup(sock.fileno())).without_signals()
            return base.with_drain_timeout(20).spawn(Proxy(url(back)))

        load = Load(sock.getsockname()[1])
        with load.running():
            for _ in range(4):
                with serving():
                    load.wait_for(50)
            stack.enter_context(serving())
    assert load.lost == []


def _named(name: str) -> HandlerLike:
    async def work(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(0.005)
        return conn.ok(f"{name} {await conn.request_body.text()}")

    return (Health(), work)


def test_px_22_what_passes_through_survives_a_stop_of_both(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "trillium_trio")
    with (
        config().with_drain_timeout(20).spawn(app) as back,
        config().with_drain_timeout(20).spawn(Proxy(url(back))) as front,
    ):
        with httpx2.stream("GET", f"{url(front)}/slow") as response:
            stopped = front.shut_down(), back.shut_down()
            assert b"".join(response.iter_raw()) == b"xxxxx"
        assert all(each.block().is_clean for each in stopped)
