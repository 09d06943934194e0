"""The command line as a process: signals in, status out."""

from __future__ import annotations

import http.client
import re
import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.e2e._command import PATIENCE, Process, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Process]

APPLICATION = """
import gc
import sys
import time
import trio
import trillium_trio as tt

async def hello(conn):
    return conn.ok("hello")

async def collector(conn):
    return conn.ok(str(gc.get_threshold()[0]))

async def slow(conn):
    print("begun", file=sys.stderr)
    await trio.sleep(0.5)
    return conn.ok("slow")

async def stuck(conn):
    print("begun", file=sys.stderr)
    await trio.sleep_forever()

async def body():
    yield b"some"
    print("begun", file=sys.stderr)
    await trio.sleep_forever()

async def streams(conn):
    return conn.ok(tt.Body.streaming(body(), length=9 if conn.path == "/length" else None))

async def held(conn):
    print("begun", file=sys.stderr)
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()

def block():
    print("begun", file=sys.stderr)
    time.sleep(3600)

async def blocked(conn):
    await trio.to_thread.run_sync(block)

async def leaves(conn):
    sys.exit(7)

async def fails(info):
    raise RuntimeError("cannot be prepared")

unprepared = tt.Init(fails)

async def breaks():
    raise RuntimeError("broken service")

async def start(info):
    info.start_service(breaks)

breaking = tt.Init(start)

def make():
    return hello

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("shutdown", file=sys.stderr)
        return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"hello"})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from a thread"]

async def asgi_fails(scope, receive, send):
    await receive()
    raise RuntimeError("no database")

async def asgi_says_so(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "app.py").write_text(APPLICATION, encoding="utf-8")
    processes: list[Process] = []

    def start(*arguments: str) -> Process:
        command = ["-m", "trillium_trio", *arguments]
        processes.append(Process(command, tmp_path))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_request_in_flight_is_answered_and_the_status_is_0(
    start: Start, number: signal.Signals
) -> None:
    process = start("app:slow", "--port", "0")
    with closing(request(process.wait_port())) as connection:
        process.wait_line("begun")
        process.process.send_signal(number)
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"slow")
    assert process.wait_status() == 0
    assert "drained in" in process.log


def test_sv_21_the_command_line_collects_less_often(start: Start) -> None:
    process = start("app:collector", "--port", "0")
    with closing(request(process.wait_port())) as connection:
        assert connection.getresponse().read() == b"10000"
    process.process.send_signal(signal.SIGTERM)
    assert process.wait_status() == 0


@pytest.mark.parametrize("target", [("app.py:hello",), ("app:make", "--factory")])
def test_a_file_and_a_factory_are_served(start: Start, target: tuple[str, ...]) -> None:
    process = start(*target, "--port", "0")
    with closing(request(process.wait_port())) as connection:
        assert connection.getresponse().read() == b"hello"
    process.process.terminate()
    assert process.wait_status() == 0


def test_what_is_cut_off_is_status_1(start: Start) -> None:
    process = start("app:stuck", "--port", "0", "--drain-timeout", "0.1")
    with closing(request(process.wait_port())) as connection:
        process.wait_line("begun")
        process.process.terminate()
        response = connection.getresponse()
        assert response.status == 503
        assert response.getheader("retry-after") == "1"
        assert response.getheader("connection") == "close"
    assert process.wait_status() == 1
    assert re.search(r"drained in \S+: 0 finished, 1 cut off", process.log)


@pytest.mark.parametrize(
    ("target", "version", "error"),
    [
        pytest.param("/", "HTTP/1.1", http.client.IncompleteRead, id="chunked"),
        pytest.param("/length", "HTTP/1.1", http.client.IncompleteRead, id="length"),
        pytest.param("/", "HTTP/1.0", ConnectionResetError, id="until-the-end"),
    ],
)
def test_sv_7_a_client_can_tell_a_body_that_was_cut(
    start: Start, target: str, version: str, error: type[Exception]
) -> None:
    process = start("app:streams", "--port", "0", "--drain-timeout", "0.1")
    connection = http.client.HTTPConnection("localhost", process.wait_port(), timeout=PATIENCE)
    with closing(connection):
        connection._http_vsn_str = version  # type: ignore[attr-defined]  # no public way to say it
        connection.request("GET", target)
        process.wait_line("begun")
        response = connection.getresponse()
        assert response.status == 200
        process.process.terminate()
        with pytest.raises(error):
            response.read()
    assert process.wait_status() == 1


def test_the_second_signal_cuts(start: Start) -> None:
    process = start("app:stuck", "--port", "0", "--drain-timeout", "inf")
    with closing(request(process.wait_port())) as connection:
        process.wait_line("begun")
        process.process.terminate()
        process.wait_line("a second signal cuts")
        process.process.terminate()
        assert connection.getresponse().status == 503
    assert process.wait_status() == 1


@pytest.mark.parametrize(("name", "where"), [("held", "held"), ("blocked", "block")])
def test_sv_7_what_cannot_be_cut_is_left_and_named(
    start: Start, tmp_path: Path, name: str, where: str
) -> None:
    path = tmp_path / "socket"
    process = start(
        *[f"app:{name}", "--bind", "127.0.0.1:0", "--bind", f"unix:{path}"],
        *["--drain-timeout", "0.1", "--cleanup-timeout", "0.1"],
    )
    with closing(request(process.wait_port())):
        process.wait_line("begun")
        assert path.exists()
        process.process.terminate()
        assert process.wait_status() == 1
    left = process.log.partition("exiting with status 1")[2]
    assert re.search(rf"app.py:\d+ in {where}\n", left)
    assert not path.exists()


def test_sv_7_what_the_second_signal_cannot_cut_is_left_and_named(start: Start) -> None:
    limits = ["--drain-timeout", "inf", "--cleanup-timeout", "0.1"]
    process = start("app:held", "--port", "0", *limits)
    with closing(request(process.wait_port())):
        process.wait_line("begun")
        process.process.terminate()
        process.wait_line("a second signal cuts")
        process.process.terminate()
        assert process.wait_status() == 1
    left = process.log.partition("exiting with status 1")[2]
    assert re.search(r"app.py:\d+ in held", left)


def test_the_third_signal_ends_the_process(start: Start) -> None:
    process = start("app:held", "--port", "0")
    with closing(request(process.wait_port())):
        process.wait_line("begun")
        process.process.terminate()
        process.wait_line("a second signal cuts")
        process.process.terminate()
        process.wait_line("a third signal kills")
        process.process.terminate()
        assert process.wait_status() == -signal.SIGTERM


def test_the_status_that_a_handler_asks_for_is_kept(start: Start) -> None:
    process = start("app:leaves", "--port", "0")
    with closing(request(process.wait_port())):
        assert process.wait_status() == 7


def test_a_failure_before_ready_is_status_3(start: Start) -> None:
    process = start("app:unprepared", "--port", "0")
    assert process.wait_status() == 3
    assert "Traceback" in process.log
    assert process.log.splitlines()[-1] == "Error: cannot be prepared"


def test_a_failure_while_serving_is_status_1(start: Start) -> None:
    process = start("app:breaking", "--port", "0")
    assert process.wait_status() == 1
    assert "RuntimeError: broken service" in process.log


def test_an_address_in_use_is_status_3_and_one_line(start: Start) -> None:
    port = start("app:hello", "--port", "0").wait_port()
    process = start("app:hello", "--log-level", "warning", "--bind", f"127.0.0.1:{port}")
    assert process.wait_status() == 3
    [line] = process.log.splitlines()
    assert line.startswith(f"Error: cannot listen on 127.0.0.1:{port}: Address already in use")


def test_the_applications_own_logging_is_left_as_it_is(start: Start, tmp_path: Path) -> None:
    set_up = "import logging\nlogging.basicConfig(level='INFO', format='mine: %(message)s')\n"
    (tmp_path / "logs.py").write_text(set_up + APPLICATION, encoding="utf-8")
    process = start("logs:hello", "--port", "0", "--log-level", "error")
    assert process.wait_line("listening").startswith("mine: listening on http://")
    process.process.terminate()
    assert process.wait_status() == 0


def test_as_18_an_asgi_application_is_served(start: Start) -> None:
    server = start("app:asgi", "--host", "localhost", "--port", "0")
    with closing(request(server.wait_port())) as connection:
        assert connection.getresponse().read() == b"hello"
    server.process.send_signal(signal.SIGTERM)
    assert server.wait_status() == 0
    assert "shutdown\n" in server.log


def test_wg_13_a_wsgi_application_is_served(start: Start) -> None:
    server = start("app:wsgi", "--host", "localhost", "--port", "0")
    with closing(request(server.wait_port())) as connection:
        assert connection.getresponse().read() == b"hello from a thread"
    server.process.send_signal(signal.SIGTERM)
    assert server.wait_status() == 0


@pytest.mark.parametrize("app", ["asgi_fails", "asgi_says_so"])
def test_as_15_a_lifespan_that_fails_at_the_start_is_status_3(start: Start, app: str) -> None:
    server = start(f"app:{app}", "--host", "localhost", "--port", "0")
    assert server.wait_status() == 3
    assert "no database" in server.log
