"""Every example does what its docstring says, as its readers start it.

The servers listen on a unix socket, which ``HOST`` names: no port to collide on. ``rolling`` is
executed by ``test_rolling_restart.py``.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import pytest
import trio
from psycopg.conninfo import conninfo_to_dict
from websockets.sync.client import unix_connect

import trillium_trio as tt
from tests.codings import CODINGS, decode
from tests.e2e._postgres import Postgres, needs_postgres
from tests.meta._tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

EXAMPLES = ROOT / "examples"
# On a loaded machine a start may take seconds; nothing here waits longer than it has to.
PATIENCE = 30


class Connection(http.client.HTTPConnection):
    """An HTTP client on a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self) -> None:
        self.sock = connect(self.path)


def connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return sock


class Program:
    """A running example."""

    def __init__(self, name: str, folder: Path) -> None:
        self.path = folder / "socket"
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / f"{name}.py")],
            env={**os.environ, "HOST": str(self.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> None:
        for _ in range(PATIENCE * 50):
            try:
                connect(self.path).close()
            except OSError:
                assert self.process.poll() is None, self.process.communicate()
                time.sleep(0.02)
            else:
                return
        pytest.fail("the example did not come up")

    def get(self, target: str = "/", method: str = "GET", body: bytes | None = None) -> str:
        """Send one request and return status and body."""
        with closing(Connection(self.path)) as connection:
            connection.request(method, target, body)
            response = connection.getresponse()
            return f"{response.status} {response.read().decode()}"

    def stop(self) -> str:
        """Send SIGTERM, wait for a clean end, and return what was printed."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_end()

    def wait_end(self) -> str:
        output, errors = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, errors
        return output + errors


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    programs: list[Program] = []

    def start(name: str) -> Program:
        programs.append(Program(name, tmp_path))
        programs[-1].wait_ready()
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        program.process.communicate()


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_slow_answers_before_it_ends(start: Callable[[str], Program]) -> None:
    program = start("slow")
    with closing(Connection(program.path)) as connection:
        connection.request("GET", "/")
        # Accepted before the stop or after it: it is answered either way.
        program.process.send_signal(signal.SIGTERM)
        response = connection.getresponse()
        assert response.getheader("connection") == "close"
        assert response.read() == b"worth waiting for\n"
    program.wait_end()


def test_trio_run_prints_its_report(start: Callable[[str], Program]) -> None:
    program = start("trio_run")
    assert program.get() == "200 hello\n"
    assert program.stop().startswith("drained in ")


def test_state_is_shared_and_of_one_request(start: Callable[[str], Program]) -> None:
    program = start("state")
    assert program.get("/") == "403 "
    assert program.get("/?name=ann") == "200 hello, ann; lately here: ann\n"
    assert program.get("/?name=bob") == "200 hello, bob; lately here: ann, bob\n"
    program.stop()


def test_upload_reads_bodies(start: Callable[[str], Program]) -> None:
    program = start("upload")
    assert program.get("/add", "POST", b"[1, 2.5]") == "200 3.5\n"
    assert program.get("/add", "POST", b'["a", "b"]').startswith("400 ")
    assert program.get("/add", "POST", b"no json").startswith("400 ")
    assert program.get("/add", "POST", b" " * 10_001).startswith("413 ")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert program.get("/digest", "PUT", b"") == f"200 {empty}\n"
    program.stop()


def test_metrics_counts_requests_and_orders(start: Callable[[str], Program]) -> None:
    program = start("metrics")
    assert program.get("/orders/book", "POST") == "200 ordered\n"
    page = program.get("/metrics")
    assert 'shop_orders_total{kind="book"} 1\n' in page
    assert 'http_route="/orders/{kind}"' in page
    program.stop()


def test_admin_shows_the_drain(tmp_path: Path) -> None:
    [port] = free_ports(1)
    program = subprocess.Popen(
        [sys.executable, "-c", f"import admin, trio; print(trio.run(admin.main, {port}))"],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES), "HOST": str(tmp_path / "socket")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == f"admin page at http://127.0.0.1:{port}\n"
        with closing(Connection(tmp_path / "socket")) as connection:
            connection.request("GET", "/orders?secret=1")
            while (found := json.loads(fetch(port)))["tree"]["below"][0]["guards"] == []:
                time.sleep(0.02)
            [guard] = found["tree"]["below"][0]["guards"]
            assert (found["state"], guard["labels"]) == ("running", ["GET /orders"])
            program.send_signal(signal.SIGTERM)
            while (found := json.loads(fetch(port)))["state"] == "running":
                time.sleep(0.02)
            assert found["drain"]["left"] == 1
            assert 0 < found["drain"]["remaining"] <= 30
            assert connection.getresponse().read() == b"worth waiting for\n"
        output, _ = program.communicate(timeout=PATIENCE)
    finally:
        program.kill()
        program.communicate()
    assert output.endswith(": 1 finished\n")


def fetch(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with closing(connection):
        connection.request("GET", "/status")
        return connection.getresponse().read()


def test_tracing_prints_spans(start: Callable[[str], Program]) -> None:
    program = start("tracing")
    assert program.get("/users/7") == "200 a user\n"
    printed = program.stop()
    assert '"name": "GET /users/{id}"' in printed
    assert '"name": "ask the database"' in printed


def test_access_log_has_a_line_for_each_request(start: Callable[[str], Program]) -> None:
    program = start("access_log")
    assert program.get("/") == "200 hello\n"
    assert program.get("/broken") == "500 Internal Server Error\n"
    *lines, count = program.stop().partition("Traceback")[0].splitlines()[:3]
    records = [json.loads(line) for line in lines]
    assert [(each["target"], each["status"], each["bytes"]) for each in records] == [
        ("/", 200, 6),
        ("/broken", 500, 22),
    ]
    assert records[0]["agent"] is None
    assert count == "28 bytes of bodies were sent"


def test_routing_keeps_notes(start: Callable[[str], Program]) -> None:
    program = start("routing")
    assert program.get("/notes", "POST", b"buy milk") == "303 "
    assert program.get("/notes/1") == "200 buy milk"
    assert program.get("/") == "200 /notes/1\n"
    assert program.get("/notes/2") == "404 Not Found\n"
    assert program.get("/notes/1", "DELETE") == "405 Method Not Allowed\n"
    assert program.stop().startswith("<Router(3 routes)>\n  GET   /")


def test_sessions_remember_a_visitor(start: Callable[[str], Program]) -> None:
    program = start("sessions")
    cookie = ""

    def ask(method: str, path: str, body: bytes = b"", **fields: str) -> str:
        nonlocal cookie
        with closing(Connection(program.path)) as browser:
            browser.request(method, path, body, fields | ({"cookie": cookie} if cookie else {}))
            response = browser.getresponse()
            if (sent := response.getheader("set-cookie")) is not None:
                cookie = sent.partition(";")[0]
            return f"{response.status} {response.read().decode()}"

    assert ask("GET", "/") == "200 stranger, visit 1\n"
    assert ask("POST", "/login", b"ada") == "303 "
    assert ask("GET", "/") == "200 ada, visit 2\n"
    assert ask("POST", "/logout", origin="https://evil.example") == "403 Forbidden\n"
    assert ask("GET", "/") == "200 ada, visit 3\n"
    assert ask("POST", "/logout") == "303 "
    assert ask("GET", "/") == "200 stranger, visit 1\n"
    program.stop()


def test_guarded_asks_for_a_token_and_limits_time(start: Callable[[str], Program]) -> None:
    program = start("guarded")

    def ask(target: str, token: str) -> str:
        with closing(Connection(program.path)) as client:
            fields = {"authorization": f"Bearer {token}", "x-request-id": "my-id"}
            client.request("GET", target, headers=fields)
            response = client.getresponse()
            return f"{response.status} {response.read().decode()}"

    assert ask("/", "letmein") == "200 a report for ada, request my-id\n"
    assert ask("/", "wrong").startswith("401 ")
    assert ask("/?5", "letmein").startswith("503 ")
    assert program.get("/readyz").startswith("200 ")
    assert "429" in {ask("/", "wrong")[:3] for _ in range(20)}


def test_proxy_passes_on_to_those_that_are_there(
    start: Callable[[str], Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tt.config().bind_tcp("127.0.0.1:0").without_signals()
    with config.spawn("one") as one, config.spawn("two") as two:
        ports = (one.port, two.port)
        monkeypatch.setenv("UPSTREAMS", " ".join(f"http://127.0.0.1:{port}" for port in ports))
        program = start("proxy")
        assert program.get("/edge") == "200 the edge itself\n"
        assert program.get("/readyz").startswith("200 ")
        assert {program.get("/x") for _ in range(4)} == {"200 one", "200 two"}
        two.shut_down().block()
        assert {program.get("/x") for _ in range(4)} == {"200 one"}
        one.shut_down().block()
        assert program.get("/x") == "502 Bad Gateway\n"
        assert f"http://127.0.0.1:{one.port} cannot be reached" in program.stop()


def test_files_serves_the_examples(start: Callable[[str], Program]) -> None:
    program = start("files")
    assert '<a href="/files/files.py">files.py</a>' in program.get("/")
    source = (EXAMPLES / "files.py").read_text(encoding="utf-8")
    assert program.get("/files/files.py") == f"200 {source}"
    assert program.get("/files/../files.py").startswith("404 ")
    program.stop()


def test_site_has_pages_for_errors(start: Callable[[str], Program]) -> None:
    program = start("site")

    def ask(path: str, **fields: str) -> tuple[http.client.HTTPResponse, str]:
        with closing(Connection(program.path)) as client:
            client.request("GET", path, headers={"accept": "text/html", **fields})
            response = client.getresponse()
            return response, response.read().decode()

    response, page = ask("/")
    assert 'script nonce="' in page
    assert "script-src 'nonce-" in (response.getheader("content-security-policy") or "")
    response, page = ask("/nothing")
    assert response.status == 404
    assert "<h1>Not Found</h1>" in page
    response, page = ask("/bug")
    assert response.status == 500
    assert "stock" not in page
    response, _ = ask("/prices", origin="https://shop.example.com")
    assert response.getheader("access-control-allow-origin") == "https://shop.example.com"
    program.stop()


def test_compressed_is_as_clients_accept_it(start: Callable[[str], Program]) -> None:
    program = start("compressed")

    def ask(path: str, coding: str) -> tuple[str | None, bytes]:
        with closing(Connection(program.path)) as client:
            client.request("GET", path, headers={"accept-encoding": coding})
            response = client.getresponse()
            return response.getheader("content-encoding"), response.read()

    for coding in CODINGS:
        for path, size in (("/", 2_000), ("/list", 20_000), ("/lines", 100)):
            name, body = ask(path, coding)
            assert name == coding
            assert len(decode(coding, body)) > size
    assert ask("/token?own", "gzip")[1].endswith(b"ownown\n")
    assert ask("/list", "identity")[0] is None
    program.stop()


def test_pages_come_from_templates(start: Callable[[str], Program]) -> None:
    program = start("pages")
    assert '<li><a href="/fish &amp; chips">' in program.get("/")
    assert "<h1>fish &amp; chips</h1><p>9</p>" in program.get("/fish%20&%20chips")
    assert program.get("/nothing").startswith("404 ")
    assert program.get("/all").endswith("line 99999\n")
    program.stop()


def test_forms_take_a_picture(start: Callable[[str], Program]) -> None:
    program = start("forms")
    body = (
        b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nCat\r\n'
        b'--x\r\nContent-Disposition: form-data; name="picture"; filename="c.png"\r\n\r\n'
        b"12345\r\n--x--\r\n"
    )
    with closing(Connection(program.path)) as client:
        fields = {"content-type": "multipart/form-data; boundary=x"}
        client.request("POST", "/", body, fields)
        response = client.getresponse()
        assert response.read() == b"Cat: 5 bytes, 5994471a\n"
    assert b"enctype=multipart" in program.get("/").encode()
    assert program.get("/", "POST", b"x").startswith("415 ")
    program.stop()


def test_behind_a_proxy_tells_clients_who_they_are(start: Callable[[str], Program]) -> None:
    program = start("behind_a_proxy")
    with closing(Connection(program.path)) as proxy:
        fields = {"X-Forwarded-For": "forged, 192.0.2.7", "X-Forwarded-Proto": "https"}
        proxy.request("GET", "/", headers={"Host": "me.example", **fields})
        assert proxy.getresponse().read() == (
            b"You are 192.0.2.7, by way of unix, and asked for https://me.example/\n"
        )
    program.stop()


def test_api_answers_with_items_and_problems(start: Callable[[str], Program]) -> None:
    program = start("api")
    with closing(Connection(program.path)) as connection:

        def post(item: object) -> tuple[int, object]:
            fields = {"content-type": "application/json"}
            connection.request("POST", "/items", json.dumps(item).encode(), fields)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

        lamp = {"name": "lamp", "price": 12.0, "tags": ["red"]}
        assert post(lamp) == (201, lamp)
        status, problem = post({"name": "lamp"})
        assert status == 422
        assert '"#/price", "detail": "is missing"' in json.dumps(problem)
    assert json.loads(program.get("/items?tag=red").removeprefix("200 ")) == [lamp]
    assert json.loads(program.get("/items/0").removeprefix("200 ")) == lamp
    assert program.get("/items/9").startswith("404 {")
    assert "List items, or those with a tag." in program.get("/docs")
    with closing(Connection(program.path)) as connection:
        connection.request("GET", "/ticks")
        response = connection.getresponse()
        assert response.readline() == b"0\n"
        program.process.send_signal(signal.SIGTERM)
        # What was sent is whole lines, and the response ends properly.
        assert re.fullmatch(rb"(\d+\n)*", response.read())
    program.wait_end()


def test_events_say_goodbye_at_the_stop(start: Callable[[str], Program]) -> None:
    program = start("events")
    with closing(Connection(program.path)) as page, closing(Connection(program.path)) as stream:
        page.request("GET", "/")
        assert b'new EventSource("/time")' in page.getresponse().read()
        stream.request("GET", "/time")
        response = stream.getresponse()
        assert response.readline().startswith(b"data: ")
        program.process.send_signal(signal.SIGTERM)
        assert b"event: goodbye\ndata: restarting\n\nretry: " in response.read()
    program.wait_end()


@pytest.mark.parametrize("name", ["streaming", "wsgi"])
def test_streams_say_goodbye_at_the_stop(start: Callable[[str], Program], name: str) -> None:
    program = start(name)
    with closing(Connection(program.path)) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.readline() == b"0\n"
        program.process.send_signal(signal.SIGTERM)
        assert response.read().endswith(b"bye\n")
    program.wait_end()


def test_background_work_is_drained(start: Callable[[str], Program]) -> None:
    program = start("background")
    assert program.get("/", "POST", b"ann@example.com") == "202 you will get a mail\n"
    assert "mail sent to ann@example.com" in program.stop()


def test_upgrade_shouts_and_says_goodbye(start: Callable[[str], Program]) -> None:
    program = start("upgrade")
    with closing(Connection(program.path)) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.status == 426
        assert response.getheader("upgrade") == "shout"
        assert response.getheader("connection") == "upgrade"
    with connect(program.path) as sock, sock.makefile("rb") as lines:
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\nearly\n"
        )
        assert lines.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
        while lines.readline() != b"\r\n":
            pass
        assert lines.readline() == b"EARLY\n"
        sock.sendall(b"hello\n")
        assert lines.readline() == b"HELLO\n"
        program.process.send_signal(signal.SIGTERM)
        assert lines.read() == b"BYE\n"
    program.wait_end()


def test_chat_says_goodbye_and_why(start: Callable[[str], Program]) -> None:
    program = start("chat")
    assert "<!doctype html>" in program.get()
    with ExitStack() as stack:
        ann, bob = (
            stack.enter_context(unix_connect(str(program.path), "ws://localhost/"))
            for _ in range(2)
        )
        ann.send("hello")
        assert ann.recv() == bob.recv() == "hello"
        program.process.send_signal(signal.SIGTERM)
        for each in (ann, bob):
            assert list(each) == ["(the server restarts, see you soon)"]
            assert each.close_code == 1001
    program.wait_end()


def test_channels_are_rooms(start: Callable[[str], Program]) -> None:
    program = start("channels")
    assert "<!doctype html>" in program.get()
    with ExitStack() as stack:
        ann, bob, eve = (
            stack.enter_context(
                unix_connect(str(program.path), "ws://localhost/socket/websocket?vsn=2.0.0")
            )
            for _ in range(3)
        )
        for each, topic in ((ann, "room:tea"), (bob, "room:tea"), (eve, "room:coffee")):
            each.send(json.dumps(["1", "1", topic, "phx_join", {}]))
            assert json.loads(each.recv())[4]["status"] == "ok"
        ann.send(json.dumps(["1", "2", "room:tea", "say", {"text": "hello"}]))
        for each in (ann, bob):
            assert json.loads(each.recv())[3:] == ["said", {"text": "hello"}]
        assert json.loads(ann.recv())[3] == "phx_reply"
        eve.send(json.dumps(["1", "2", "room:coffee", "say", {"text": " "}]))
        assert json.loads(eve.recv())[4]["response"] == {"reason": "say something"}
        program.process.send_signal(signal.SIGTERM)
        for each in (ann, bob, eve):
            assert list(each) == []
            assert each.close_code == 1001
    program.wait_end()


@needs_postgres
def test_a_guest_book_outlives_its_server(
    start: Callable[[str], Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Postgres() as server:
        for name, value in conninfo_to_dict(server.url).items():
            monkeypatch.setenv({"dbname": "PGDATABASE"}.get(name, f"PG{name.upper()}"), str(value))
        program = start("guestbook")
        assert program.get("/") == "200 "
        assert program.get("/", "POST", b"hello from Ada") == "303 "
        program.stop()
        program = start("guestbook")
        assert program.get("/", "POST", b"and from Bob'); --") == "303 "
        assert program.get("/") == "200 and from Bob'); --\nhello from Ada\n"
        program.stop()


def test_several_servers_go_down_as_one() -> None:
    ports = free_ports(2)
    program = (
        "import several_servers\n"
        f"for report in several_servers.main(*{ports}): print(report.is_clean)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert status(ports[0]) == 302
        assert status(ports[1]) == 200
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert (output, process.returncode) == ("True\nTrue\n", 0)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def status(port: int) -> int:
    for _ in range(PATIENCE * 50):
        connection = http.client.HTTPConnection("localhost", port, timeout=PATIENCE)
        with closing(connection), suppress(ConnectionRefusedError):
            connection.request("GET", "/")
            return connection.getresponse().status
        time.sleep(0.02)
    pytest.fail("the example did not come up")


def test_drive_shutdown_drains(capsys: pytest.CaptureFixture[str]) -> None:
    assert load("drive_shutdown").main().is_clean
    assert capsys.readouterr().out == "hello\n"


def test_nested_drains(capsys: pytest.CaptureFixture[str]) -> None:
    assert trio.run(load("nested").main, 0).is_clean
    assert capsys.readouterr().out.startswith("serving at http://")


def test_serving_is_over_after_its_block() -> None:
    answer = trio.run(load("serving").main)
    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    assert "hello" in answer
    assert "not running" in answer


def test_test_with_virtual_time_passes() -> None:
    module = load("test_with_virtual_time")
    module.test_a_request_in_flight_is_finished()
    module.test_a_request_that_takes_too_long_is_answered_503()
