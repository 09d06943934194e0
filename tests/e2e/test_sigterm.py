"""SIGTERM to a real process: what is in progress, what is queued, what comes while it leaves."""

from __future__ import annotations

import http.client
import signal
import socket
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from tests.e2e._process import TIMEOUT, Client, running
from tests.unit.transport._tls import PEM, client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


@pytest.fixture
def open_() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(open_: ExitStack, port: int, *, tls: bool = False) -> http.client.HTTPConnection:
    """Return a client that may make several requests over its connection."""
    connection = (
        http.client.HTTPSConnection("localhost", port, timeout=TIMEOUT, context=client_context())
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    )
    return open_.enter_context(closing(connection))


def ask(connection: http.client.HTTPConnection, target: str) -> tuple[int, bytes, bool]:
    """Make a request; return status, body, and whether the connection closes after it."""
    connection.request("GET", target)
    return answer_of(connection)


def answer_of(connection: http.client.HTTPConnection) -> tuple[int, bytes, bool]:
    response = connection.getresponse()
    closes = "close" in (response.getheader("connection") or "")
    return response.status, response.read(), closes


# Each connection in another state

EVERY_STATE = """
def in_thread(conn):
    say("in /thread")
    while conn.swansong.is_running:
        time.sleep(0.01)
    return conn.ok("thread")

async def pieces(conn):
    yield b"before "
    say("in /stream")
    await conn.swansong.shutting_down()
    yield b"after"

async def later(conn, what):
    say("in", what)
    await conn.swansong.shutting_down()
    await trio.sleep(0.3)
    say(what, "is done")

async def every(conn):
    match conn.path:
        case "/upload":
            say("in /upload")
            conn.ok(str(len(await conn.request_body.read())))
        case "/thread":
            return await tt.sync_handler(in_thread).run(conn)
        case "/stream":
            conn.ok(pieces(conn))
        case "/after":
            conn.ok("x").after_send(lambda conn: later(conn, "after_send"))
        case "/background":
            conn.ok("x").start_soon(later, conn, "background")
        case "/big":
            say("in /big")
            conn.ok(b"x" * 50_000_000)
        case _:
            return await app(conn)
    return conn

# A grace longer than the test: what is closed before it is over is so for another reason.
http = tt.HttpConfig(write_timeout=1, linger_timeout=0.1)
config = tt.Config(keepalive_grace=3600, http=http)
say("report", config.with_address("127.0.0.1", 0).run((tt.Lifespan(pool), every)))
"""


def test_sv_6_a_stop_with_a_connection_in_every_state(open_: ExitStack) -> None:
    upload = b"PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n" + b"x" * 90_000
    plain = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with running(EVERY_STATE) as process:
        port = process.port()

        def send(data: bytes) -> socket.socket:
            sock = open_.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT))
            sock.sendall(data)
            return sock

        fresh, idle = connect(open_, port), connect(open_, port)
        fresh.connect()
        assert ask(idle, "/") == (200, b"done", False)
        clients = {}
        for what in ("slow", "thread", "stream", "after", "background"):
            clients[what] = connect(open_, port)
            clients[what].request("GET", f"/{what}")
            process.wait_for(
                "in " + {"after": "after_send", "background": what}.get(what, f"/{what}")
            )
        uploading, stalled = send(upload[:50_000]), send(plain.replace(b"/ ", b"/big ", 1))
        for what in ("upload", "big"):
            if f"in /{what}" not in process.lines:
                process.wait_for(f"in /{what}")
        pipelined = send(plain.replace(b"/ ", b"/slow ", 1) + plain)
        process.wait_for("in /slow")
        begun = send(plain[:9])
        # The last one to be accepted is served: so all others have been.
        clients["last"] = connect(open_, port)
        assert ask(clients["last"], "/") == (200, b"done", False)

        process.send_signal(signal.SIGTERM)
        process.wait_for("SIGTERM: draining")
        begun.sendall(plain[9:])
        uploading.sendall(upload[50_000:])
        for connection in (fresh, idle):
            assert ask(connection, "/") == (200, b"done", True)
        assert answer_of(clients["slow"]) == (200, b"done", True)
        assert answer_of(clients["thread"]) == (200, b"thread", True)
        assert answer_of(clients["stream"]) == (200, b"before after", False)
        # The head of its stream had promised another request.
        assert ask(clients["stream"], "/") == (200, b"done", True)
        for what in ("after", "background"):
            assert answer_of(clients[what]) == (200, b"x", False)
        assert ask(clients["background"], "/") == (200, b"done", True)
        for sock, body in ((begun, b"done"), (uploading, b"90000"), (pipelined, b"done")):
            received = receive_all(sock)
            assert received.count(b"HTTP/1.1 200 ") == 1
            assert b"\r\nconnection: close\r\n" in received.lower()
            assert received.endswith(b"\r\n\r\n" + body)
        for connection in clients.values():
            connection.close()
        assert process.end() == 0
        assert len(receive_all(stalled)) < 50_000_000
    assert {"after_send is done", "background is done", "pool closed"} <= set(process.lines)
    assert process.lines[-1].startswith("report drained in ")
    assert "cut off" not in process.output


def receive_all(sock: socket.socket) -> bytes:
    received = b""
    try:
        while data := sock.recv(65_536):
            received += data
    except ConnectionResetError:
        pass
    return received


def test_cn_13_the_last_response_can_be_read_when_the_process_is_gone() -> None:
    program = """
async def large(conn):
    say("in", conn.path)
    await conn.swansong.shutting_down()
    return conn.ok(b"x" * 100_000 + b"done")
http = tt.HttpConfig(linger_timeout=0.2)
say(tt.Config(http=http).with_address("127.0.0.1", 0).run(large))
"""
    with running(program) as process:
        client = Client(process.port(), "/large")
        process.wait_for("in /large")
        # Left unread, it would make the close a reset, which takes the response with it.
        client.send(b"x" * 100_000)
        process.send_signal(signal.SIGTERM)
        assert process.end() == 0
        assert len(client.receive(b"done")) > 100_000
        assert client.receive(b"more") == b""
        client.close()


# What is queued, and what comes late


def test_sv_6_a_backlog_behind_a_blocked_loop_is_answered() -> None:
    program = """
async def busy(conn):
    if conn.path == "/busy":
        say("in /busy")
        while conn.swansong.is_running:             # and never gives the loop a turn
            time.sleep(0.01)
    return conn.ok("done")
say(tt.config().with_address("127.0.0.1", 0).run(busy))
"""
    with running(program) as process:
        port = process.port()
        blocking = Client(port, "/busy")
        process.wait_for("in /busy")
        # Connected and sent as far as they can tell; the server has accepted none of them. They
        # are more than the accept loop takes in the few turns that are left to it.
        queued = [Client(port) for _ in range(100)]
        process.send_signal(signal.SIGTERM)
        for client in (blocking, *queued):
            client.assert_served_and_closed()
        assert process.end() == 0
    assert "101 finished" in process.lines[-1]


LAME_DUCK = """
from trillium_trio.handlers import Health
config = tt.Config(drain_delay=1.5).with_address("127.0.0.1", 0)
say(config.run((tt.Lifespan(pool), Health(), app)))
"""


def test_sv_6_a_lame_duck_answers_and_says_that_it_leaves(open_: ExitStack) -> None:
    with running(LAME_DUCK) as process:
        port = process.port()
        kept = connect(open_, port)
        for target, body in (("/readyz", b"ok\n"), ("/livez", b"ok\n"), ("/", b"done")):
            assert ask(kept, target) == (200, body, False)
        idle = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        open_.enter_context(idle)
        process.send_signal(signal.SIGTERM)
        start = time.monotonic()
        process.wait_for("SIGTERM: draining")
        # Over new connections, as a load balancer and its clients make them.
        for _ in range(3):
            assert ask(connect(open_, port), "/readyz") == (503, b"shutting down\n", True)
            assert ask(connect(open_, port), "/livez") == (200, b"ok\n", True)
            assert ask(connect(open_, port), "/") == (200, b"done", True)
        assert ask(kept, "/") == (200, b"done", True)
        # One that asks for nothing is let be until the listeners close.
        assert idle.recv(1) == b""
        assert time.monotonic() - start >= 1.5
        with pytest.raises(ConnectionRefusedError):
            connect(open_, port).connect()
        assert process.end() == 0
    assert "pool closed" in process.lines


# TLS


def test_cn_11_https_is_served_and_drained(open_: ExitStack) -> None:
    program = """
import ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.environ["PEM"])
say(tt.config().bind_tls("127.0.0.1:0", context).run((tt.Lifespan(pool), app)))
"""
    with running(program, PEM=str(PEM)) as process:
        port = process.port()
        assert "https://127.0.0.1" in process.lines[-1]
        client, slow = (connect(open_, port, tls=True) for _ in range(2))
        for _ in range(2):
            assert ask(client, "/") == (200, b"done", False)
        slow.request("GET", "/slow")
        process.wait_for("in /slow")
        shaking = handshake_under_way(open_, port)
        # Whoever was accepted after it has been answered, so it is in its handshake.
        last = connect(open_, port, tls=True)
        assert ask(last, "/") == (200, b"done", False)
        process.send_signal(signal.SIGTERM)
        process.wait_for("SIGTERM: draining")
        shaking.do_handshake()
        shaking.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert receive_all(shaking).endswith(b"done")
        assert answer_of(slow) == (200, b"done", True)
        for connection in (client, slow, shaking, last):
            connection.close()
        assert process.end() == 0
    assert "cut off" not in process.output
    assert "pool closed" in process.lines


def handshake_under_way(open_: ExitStack, port: int) -> ssl.SSLSocket:
    """Return a connection over which nothing was sent yet."""
    return open_.enter_context(
        client_context().wrap_socket(
            socket.create_connection(("127.0.0.1", port), TIMEOUT),
            server_hostname="localhost",
            do_handshake_on_connect=False,
        )
    )
