"""Real proxies in front: HAProxy with the PROXY protocol and with fields, nginx with fields."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

import trillium_trio as tt
from tests.unit.transport._tls import client_context, server_context
from trillium_trio.handlers import Forwarded

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trillium_trio.server import Config

# Debian keeps them where only root's PATH leads.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
HAPROXY = shutil.which("haproxy", path=PATH)
NGINX = shutil.which("nginx", path=PATH)
needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="needs haproxy: apt-get install haproxy")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx")
PATIENCE_SECONDS = 20.0
# Bound by the client, so that it is another than the proxy's.
CLIENT = "127.0.0.7"

HAPROXY_CONFIG = """
defaults
    timeout connect 5s
    timeout client 10s
    timeout server 10s
{sections}
"""


async def show(conn: tt.Conn) -> tt.Conn:
    transport = conn.transport
    chain = Forwarded.of(conn).chain
    return conn.ok(f"{conn.peer_ip} {conn.url} {transport.server_address} {chain}")


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def haproxy(folder: Path, section: str) -> Iterator[int]:
    """Run HAProxy with one section, whose listener it inherits; yields the port."""
    assert HAPROXY is not None
    with socket.create_server(("127.0.0.1", 0)) as front:
        front.set_inheritable(True)
        port = front.getsockname()[1]
        path = folder / "haproxy.cfg"
        section = section.replace("BIND", f"bind fd@{front.fileno()}")
        path.write_text(HAPROXY_CONFIG.format(sections=section), encoding="ascii")
        process = subprocess.Popen(
            [HAPROXY, "-db", "-q", "-f", str(path)], pass_fds=(front.fileno(),)
        )
    with ended(process):
        yield port


def get(port: int, *, tls: ssl.SSLContext | None = None, fields: str = "") -> str:
    """Send a request from an address of one's own; return the body of the answer, or nothing."""
    with ExitStack() as stack:
        sock = stack.enter_context(
            socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS, (CLIENT, 0))
        )
        if tls is not None:
            sock = stack.enter_context(tls.wrap_socket(sock, server_hostname="localhost"))
        request = f"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{fields}\r\n"
        sock.sendall(request.encode())
        received = b""
        while piece := sock.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return body.decode() if head.startswith(b"HTTP/1.1 200 ") else ""


def tcp(config: Config) -> Config:
    return config.bind_tcp("127.0.0.1:0", proxy_protocol=["127.0.0.1/32"])


@needs_haproxy
@pytest.mark.parametrize(
    "send", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,authority"]
)
@pytest.mark.parametrize("mode", ["tcp", "http"])
def test_fw_8_haproxy_says_whose_connection_it_is(tmp_path: Path, send: str, mode: str) -> None:
    with tcp(tt.config()).spawn((Forwarded(), show)) as handle:
        section = f"listen a\n mode {mode}\n BIND\n"
        section += " unique-id-format %ID\n" if mode == "http" else ""
        section += f" server s 127.0.0.1:{handle.port} {send}\n"
        with haproxy(tmp_path, section) as port:
            server = ("127.0.0.1", port)
            expected = f"{CLIENT} http://shop.example/ {server} ('{CLIENT}',)"
            assert get(port) == expected
            # Its own checks are LOCAL, or of an unknown client.
        handle.shut_down().block()


@needs_haproxy
@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
def test_fw_9_haproxy_passes_tls_on_behind_its_header(tmp_path: Path, send: str) -> None:
    config = tt.config().bind_tls("127.0.0.1:0", server_context(), proxy_protocol=["127.0.0.1"])
    with config.spawn((Forwarded(), show)) as handle:
        section = f"listen a\n mode tcp\n BIND\n server s 127.0.0.1:{handle.port} {send}\n"
        with haproxy(tmp_path, section) as port:
            answer = get(port, tls=client_context())
            assert answer.startswith(f"{CLIENT} https://shop.example/ ('127.0.0.1', {port}) ")


@needs_haproxy
@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
def test_fw_7_haproxy_on_a_unix_socket(tmp_path: Path, send: str) -> None:
    config = tt.config().bind_unix(tmp_path / "app.sock", proxy_protocol=["unix"])
    with config.spawn((Forwarded(), show)):
        section = f"listen a\n mode http\n BIND\n server s unix@{tmp_path}/app.sock {send}\n"
        with haproxy(tmp_path, section) as port:
            assert get(port).startswith(f"{CLIENT} http://shop.example/ ")


@needs_haproxy
@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
def test_fw_8_haproxys_own_checks_are_no_failures(
    tmp_path: Path, send: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "trillium_trio")
    seen: list[str] = []

    async def health(conn: tt.Conn) -> tt.Conn:
        seen.append(f"{conn.method} {conn.path} {conn.peer_ip}")
        return conn.ok("ok")

    with tcp(tt.config()).spawn(health) as handle:
        section = (
            "listen a\n mode http\n BIND\n option httpchk GET /readyz\n"
            f" server s 127.0.0.1:{handle.port} check inter 50ms {send}\n"
        )
        with haproxy(tmp_path, section):
            wait_until(lambda: len(seen) >= 3)
    assert set(seen) == {"GET /readyz 127.0.0.1"}
    assert not [each for each in caplog.records if "PROXY" in each.getMessage()]


def test_fw_7_a_peer_that_is_no_proxy_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "trillium_trio")
    with tcp(tt.config()).spawn(show) as handle:
        sock = socket.create_connection(("127.0.0.1", handle.port), 10, (CLIENT, 0))
        with sock:
            name = f"{CLIENT}:{sock.getsockname()[1]}"
            assert sock.recv(100) == b""
    lines = [each.getMessage() for each in caplog.records if CLIENT in each.getMessage()]
    assert lines == [f"{name}: closed, because proxy_protocol does not trust it"]


@needs_haproxy
def test_fw_2_haproxys_fields(tmp_path: Path) -> None:
    """Each of two has written its line; the client's own come to nothing."""
    with (
        tt.config()
        .with_port(0)
        .with_host("127.0.0.1")
        .spawn((Forwarded(["127.0.0.1"]), show)) as handle
    ):
        section = (
            "listen a\n mode http\n BIND\n option forwardfor\n"
            " http-request set-header X-Forwarded-Proto https\n"
            f" server s 127.0.0.1:{handle.port}\n"
        )
        with haproxy(tmp_path, section) as port:
            found = get(port, fields="X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: evil\r\n")
            assert found.startswith(f"{CLIENT} https://shop.example/ ")
            assert found.endswith(f"('{CLIENT}', '127.0.0.1')")
            assert get(port, fields="Forwarded: for=6.6.6.6\r\n") == ""


NGINX_CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{}}
http {{
    access_log off;
    {paths}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://unix:{folder}/app.sock;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Forwarded "";
        }}
    }}
}}
"""


@needs_nginx
def test_fw_2_nginxs_fields_over_a_unix_socket(tmp_path: Path) -> None:
    assert NGINX is not None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{name}_temp_path {tmp_path}/{name};" for name in names)
    path = tmp_path / "nginx.conf"
    path.write_text(NGINX_CONFIG.format(folder=tmp_path, port=port, paths=paths), "ascii")
    config = tt.config().bind_unix(tmp_path / "app.sock", mode=0o666)
    os.chmod(tmp_path, 0o755)
    with config.spawn((Forwarded(["unix"]), show)):
        process = subprocess.Popen(
            [
                NGINX,
                "-p",
                str(tmp_path),
                "-e",
                "stderr",
                "-g",
                "master_process off;",
                "-c",
                str(path),
            ]
        )
        with ended(process):
            wait_until(lambda: is_listening(port))
            found = get(port, fields="X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n")
            assert found.startswith(f"{CLIENT} http://shop.example/ ")
            assert found.endswith(f"('{CLIENT}', 'unix')")


def is_listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
