"""Each option through the real command line."""

from __future__ import annotations

import dataclasses
import json
import os
import pty
import re
import socket
import ssl
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

import trillium_trio as tt
from tests.e2e._command import PATIENCE, Process, clean_environment, request
from tests.unit.transport._tls import PEM, client_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Process]

APPLICATION = """
import dataclasses, json, logging, os, sys
import trio
import trillium_trio as tt

async def tell(info):
    config = info.config
    fields = {each.name: getattr(config, each.name) for each in dataclasses.fields(config)}
    fields |= dataclasses.asdict(fields.pop("http"))
    sys.stderr.write("config " + json.dumps(fields, default=repr) + "\\n")

async def hello(conn):
    if conn.path == "/slow":
        sys.stderr.write("begun\\n")
        await trio.sleep(1.5)
    if conn.path == "/named":
        conn = conn.with_response_header("x-name", "the application's")
    if conn.path == "/log":
        logging.getLogger("shop").warning("sold out", extra={"order": 7})
    return conn.ok(os.environ.get("GREETING", "hello"))

async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    text = " ".join((scope["root_path"], scope["path"]))
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": text.encode()})

def wsgi(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/slow":
        sys.stderr.write("begun\\n")
        environ["trillium.swansong"].shutting_down().block()
    return [" ".join((environ["SCRIPT_NAME"], environ["PATH_INFO"])).encode()]

app = (tt.Init(tell), hello)
config = tt.config().with_port(0).with_drain_timeout(7.0).with_max_connections(8)
server = config.server(app)
"""


@pytest.fixture(autouse=True)
def application(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APPLICATION, encoding="utf-8")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes: list[Process] = []

    def start(*arguments: str, **environ: str) -> Process:
        command = ["-m", "trillium_trio", *arguments]
        processes.append(Process(command, tmp_path, environ))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trillium_trio", *arguments],
        cwd=folder,
        env=clean_environment() | environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def settings(process: Process) -> dict[str, object]:
    found: dict[str, object] = json.loads(process.wait_line("config ").removeprefix("config "))
    return found


def stop(process: Process) -> None:
    process.process.terminate()
    assert process.wait_status() == 0


def other_values() -> dict[str, object]:
    """For each field that is an option, a value that is not its default."""
    values: dict[str, object] = {}
    for cls in (tt.Config, tt.HttpConfig):
        for field in dataclasses.fields(cls):
            match field.name, str(field.type).removesuffix(" | None"):
                case "server_header" | "host" | "port" | "signals", _:
                    pass  # below
                case name, "bool":
                    values[name] = not field.default
                case name, "int":
                    values[name] = 7 + len(values)
                case name, "float":
                    values[name] = 7.25 + len(values)
    return values


def test_cl_3_each_field_is_set_by_its_option(start: Start) -> None:
    values = other_values()
    arguments = ["--host", "127.0.0.1", "--port", "0", "--no-server-header"]
    for name, value in values.items():
        flag = name.replace("_", "-")
        arguments += [f"--no-{flag}"] if value is False else [f"--{flag}", str(value)]
    process = start("app:app", *arguments)
    found = settings(process)
    assert {name: found[name] for name in values} == values
    assert (found["host"], found["port"], found["server_header"]) == ("127.0.0.1", 0, "")
    process.wait_line("listening on http://127.0.0.1:")
    stop(process)


def test_cl_3_each_field_is_set_by_its_variable(start: Start) -> None:
    values = other_values()
    environ = {f"TRILLIUM_{name.upper()}": str(value) for name, value in values.items()}
    environ |= {"TRILLIUM_HOST": "127.0.0.1", "TRILLIUM_PORT": "0", "TRILLIUM_SERVER_HEADER": "0"}
    process = start("app:app", **environ)
    found = settings(process)
    assert {name: found[name] for name in values} == values
    assert (found["host"], found["port"], found["server_header"]) == ("127.0.0.1", 0, "")
    process.wait_line("listening on http://127.0.0.1:")
    stop(process)


def test_cl_2_the_order_of_precedence(start: Start, tmp_path: Path) -> None:
    (tmp_path / "env").write_text(
        "TRILLIUM_DRAIN_DELAY=3\nTRILLIUM_IDLE_TIMEOUT=3\nTRILLIUM_BODY_TIMEOUT=3\n"
        "TRILLIUM_DRAIN_TIMEOUT=3\n",
        encoding="utf-8",
    )
    process = start(
        *["app:server", "--env-file", "env", "--drain-delay", "1"],
        TRILLIUM_DRAIN_DELAY="2",
        TRILLIUM_IDLE_TIMEOUT="2",
    )
    found = settings(process)
    assert found["drain_delay"] == 1, "the option"
    assert found["idle_timeout"] == 2, "the environment"
    assert found["body_timeout"] == 3, "the file"
    assert found["drain_timeout"] == 3, "the file, before the code"
    assert found["max_connections"] == 8, "the code"
    assert found["write_timeout"] == 30, "the default"


LISTENERS = ["option", "variable", "file", "code", "inherited", "host"]


@pytest.mark.parametrize("first", LISTENERS)
def test_cl_2_the_order_of_precedence_of_listeners(first: str, tmp_path: Path) -> None:
    code = "import app\nserver = app.tt.config().bind_unix('code').server(app.hello)\n"
    (tmp_path / "bound.py").write_text(code, encoding="utf-8")
    (tmp_path / "env").write_text("TRILLIUM_BIND=unix:file\n", encoding="utf-8")
    given = LISTENERS[LISTENERS.index(first) :]
    arguments = ["bound:server" if "code" in given else "app:hello"]
    arguments += ["--bind", "unix:option"] if "option" in given else []
    arguments += ["--env-file", "env"] if "file" in given else []
    environ = {"HOST": "./host"}
    environ |= {"TRILLIUM_BIND": "unix:variable"} if "variable" in given else {}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number, port = listening.fileno(), listening.getsockname()[1]
        environ |= {"LISTEN_FD": str(number)} if "inherited" in given else {}
        process = subprocess.Popen(
            [sys.executable, "-m", "trillium_trio", *arguments],
            cwd=tmp_path,
            env=clean_environment() | environ,
            pass_fds=[number],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        process.terminate()
        process.communicate(timeout=PATIENCE)
    address = {"inherited": f"http://127.0.0.1:{port}", "host": "unix:./host"}
    assert line.endswith(f"listening on {address.get(first, f'unix:{first}')}\n")
    assert process.returncode == 0


def test_cl_2_a_config_in_code_is_where_options_start(start: Start) -> None:
    process = start("app:app", "--config", "app:config", "--max-connections", "9")
    found = settings(process)
    assert (found["max_connections"], found["drain_timeout"], found["port"]) == (9, 7.0, 0)
    process.wait_port()
    stop(process)


def test_cl_2_the_swansong_of_a_changed_server_is_its_own(start: Start, tmp_path: Path) -> None:
    code = "async def bye(conn):\n    server.shut_down()\n    return conn.ok('bye')\n"
    code = "import trillium_trio as tt\n" + code + "server = tt.config().server(bye)\n"
    (tmp_path / "held.py").write_text(code, encoding="utf-8")
    process = start("held:server", "--port", "0")
    with closing(request(process.wait_port())) as connection:
        assert connection.getresponse().read() == b"bye"
    assert process.wait_status() == 0


def test_cl_7_there_is_a_line_for_each_listener(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    process = start("app:hello", "--bind", "127.0.0.1:0", "--bind", f"unix:{path}")
    process.wait_line("listening on http://127.0.0.1:")
    process.wait_line(f"listening on unix:{path}\n")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    stop(process)


def test_cl_3_bind_takes_an_inherited_socket(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number, port = listening.fileno(), listening.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "trillium_trio", "app:hello", "--bind", f"fd://{number}"],
            cwd=tmp_path,
            env=clean_environment(),
            pass_fds=[number],
            stderr=subprocess.DEVNULL,
        )
        with closing(request(port)) as connection:
            assert connection.getresponse().read() == b"hello"
        process.terminate()
        assert process.wait(PATIENCE) == 0


# -- TLS ---------------------------------------------------------------------------------------


def tls_port(process: Process) -> int:
    found = re.search(r"https://127.0.0.1:(\d+)", process.wait_line("listening on https"))
    assert found is not None
    return int(found[1])


def ask_tls(port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b""
        while data := client.recv(4096):
            received += data
        return received


def test_cl_5_tls_files_a_password_and_a_plain_listener(start: Start, tmp_path: Path) -> None:
    command = ["openssl", "pkey", "-in", str(PEM), "-aes128", "-passout", "pass:secret"]
    (tmp_path / "key.pem").write_bytes(
        subprocess.run(command, check=True, capture_output=True).stdout
    )
    process = start(
        *["app:hello", "--certfile", str(PEM), "--keyfile", "key.pem"],
        *["--bind", "127.0.0.1:0", "--insecure-bind", "127.0.0.1:0"],
        TRILLIUM_KEYFILE_PASSWORD="secret",
    )
    port = tls_port(process)
    with closing(request(process.wait_port())) as connection:
        assert connection.getresponse().read() == b"hello"
    assert ask_tls(port, client_context()).endswith(b"hello")
    stop(process)


def test_cl_5_the_password_may_be_an_option(tmp_path: Path) -> None:
    command = ["openssl", "pkey", "-in", str(PEM), "-aes128", "-passout", "pass:secret"]
    (tmp_path / "key.pem").write_bytes(
        subprocess.run(command, check=True, capture_output=True).stdout
    )
    arguments = ["app:hello", "--check", "--certfile", str(PEM), "--keyfile", "key.pem"]
    assert run(tmp_path, *arguments, "--keyfile-password", "secret").returncode == 0
    assert run(tmp_path, *arguments, "--keyfile-password", "wrong").returncode == 2


def test_cl_5_a_client_without_a_certificate_is_refused(start: Start) -> None:
    process = start(
        *["app:hello", "--certfile", str(PEM), "--client-ca", str(PEM)],
        *["--cert-reqs", "required", "--bind", "127.0.0.1:0"],
    )
    port = tls_port(process)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask_tls(port, client_context())
    context = client_context()
    context.load_cert_chain(PEM)
    assert ask_tls(port, context).endswith(b"hello")
    stop(process)


def test_cl_5_an_encrypted_key_without_a_password_asks_nobody(tmp_path: Path) -> None:
    command = ["openssl", "pkey", "-in", str(PEM), "-aes128", "-passout", "pass:secret"]
    (tmp_path / "key.pem").write_bytes(
        subprocess.run(command, check=True, capture_output=True).stdout
    )
    found = run(tmp_path, "app:hello", "--certfile", str(PEM), "--keyfile", "key.pem")
    assert found.returncode == 2
    assert found.stderr.endswith(
        "--keyfile key.pem: the key is encrypted: give --keyfile-password\n"
    )


# -- logging -----------------------------------------------------------------------------------


def test_cl_6_json_lines(start: Start) -> None:
    process = start("app:hello", "--port", "0", "--log-format", "json", "--log-level", "debug")
    with closing(request(process.wait_port(), "/log")) as connection:
        connection.getresponse().read()
    record = json.loads(process.wait_line("sold out"))
    assert record.pop("time").endswith("Z")
    assert record == {"level": "warning", "logger": "shop", "message": "sold out", "order": 7}
    stop(process)
    assert [json.loads(line)["logger"] for line in process.log.splitlines()]


def test_cl_6_a_level_leaves_out_what_is_below(start: Start) -> None:
    process = start("app:hello", "--bind", "127.0.0.1:0", "--log-level", "critical")
    process.process.terminate()
    process.wait_status()
    assert process.log == ""


def test_cl_6_a_file_sets_up_the_log(start: Start, tmp_path: Path) -> None:
    text = "version: 1\nformatters: {f: {format: 'mine %(message)s'}}\n"
    text += "handlers: {h: {class: logging.StreamHandler, formatter: f}}\n"
    text += "root: {level: INFO, handlers: [h]}\n"
    (tmp_path / "log.yaml").write_text(text, encoding="utf-8")
    process = start("app:hello", "--port", "0", "--log-config", "log.yaml", "--log-level", "debug")
    assert process.wait_line("is not used") == (
        "mine --log-config sets up logging itself: --log-level is not used\n"
    )
    assert process.wait_line("listening").startswith("mine listening on http://")
    stop(process)


# -- the access log ----------------------------------------------------------------------------


def output(process: Process) -> str:
    stop(process)
    assert process.process.stdout is not None
    return process.process.stdout.read()


def get(port: int, *targets: str) -> None:
    for target in targets:
        with closing(request(port, target)) as connection:
            connection.getresponse().read()


def test_cl_17_a_line_for_each_request(start: Start) -> None:
    process = start("app:hello", "--port", "0", "--access-log", "common")
    get(process.wait_port(), "/a?b", "/named")
    lines = output(process).splitlines()
    assert [line.partition("] ")[2] for line in lines] == [
        '"GET /a?b HTTP/1.1" 200 5',
        '"GET /named HTTP/1.1" 200 5',
    ]
    assert all(re.match(r"(127\.0\.0\.1|::1) - - \[", line) for line in lines)


def test_cl_17_it_is_off_unless_it_is_asked_for(start: Start) -> None:
    process = start("app:hello", "--port", "0")
    get(process.wait_port(), "/")
    assert output(process) == ""


def test_cl_17_a_server_and_an_application_have_it(start: Start, tmp_path: Path) -> None:
    process = start("app:server", "--port", "0", TRILLIUM_ACCESS_LOG="%(r)s %(s)s %({x-more}o)s")
    get(process.wait_port(), "/a")
    assert output(process) == "GET /a HTTP/1.1 200 -\n"
    code = "async def asgi(scope, receive, send):\n    assert scope['type'] == 'http'\n"
    code += "    await send({'type': 'http.response.start', 'status': 201, 'headers': []})\n"
    code += "    await send({'type': 'http.response.body', 'body': b'made'})\n"
    (tmp_path / "made.py").write_text(code, encoding="utf-8")
    command = ["made:asgi", "--port", "0", "--header", "x-more: 1"]
    process = start(*command, "--access-log", "%(r)s %(s)s %(b)s %({x-more}o)s")
    get(process.wait_port(), "/b")
    assert output(process) == "GET /b HTTP/1.1 201 4 1\n"


def test_cl_17_a_server_keeps_its_own(start: Start, tmp_path: Path) -> None:
    code = "import trillium_trio as tt\nfrom trillium_trio.handlers import Logger\nimport app\n"
    code += "server = tt.config().server((Logger('mine %(U)s'), app.hello))\n"
    (tmp_path / "own.py").write_text(code, encoding="utf-8")
    process = start("own:server", "--port", "0", "--access-log", "common")
    assert "own:server has a Logger of its own" in process.wait_line("is not used")
    get(process.wait_port(), "/a")
    assert output(process) == "mine /a\n"


def test_cl_17_a_format_that_is_none_is_status_2(tmp_path: Path) -> None:
    found = run(tmp_path, "app:hello", "--access-log", "apache")
    assert found.returncode == 2
    assert "--access-log: Logger.format 'apache' is no format" in found.stderr


def test_cl_18_a_file_gets_the_line_of_the_last_request(start: Start, tmp_path: Path) -> None:
    command = ["app:hello", "--port", "0", "--access-log", "json", "--access-logfile", "log"]
    process = start(*command)
    with closing(request(process.wait_port(), "/slow")) as connection:
        process.wait_line("begun")
        process.process.terminate()
        connection.getresponse().read()
    assert process.wait_status() == 0
    [line] = (tmp_path / "log").read_text("ascii").splitlines()
    record = json.loads(line)
    assert (record["target"], record["outcome"]) == ("/slow", "complete")
    assert record["duration"] > 1


def test_cl_18_a_file_that_was_rotated_is_opened_anew(start: Start, tmp_path: Path) -> None:
    command = ["app:hello", "--port", "0", "--access-log", "%(U)s", "--access-logfile", "log"]
    process = start(*command)
    port = process.wait_port()
    get(port, "/before")
    for _ in range(PATIENCE * 50):
        if (tmp_path / "log").stat().st_size:
            break
        time.sleep(0.02)
    (tmp_path / "log").rename(tmp_path / "log.1")
    get(port, "/after")
    stop(process)
    assert (tmp_path / "log.1").read_text("ascii") == "/before\n"
    assert (tmp_path / "log").read_text("ascii") == "/after\n"


def test_cl_18_a_file_that_cannot_be_opened_is_status_3(tmp_path: Path) -> None:
    command = ["app:hello", "--port", "0", "--access-log", "dev"]
    found = run(tmp_path, *command, "--access-logfile", "missing/log")
    assert found.returncode == 3
    assert "missing/log: No such file or directory" in found.stderr
    assert "Traceback" not in found.stderr


# -- the terminal ------------------------------------------------------------------------------


@contextmanager
def on_a_terminal(
    folder: Path, *arguments: str, **environ: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trillium_trio", *arguments],
        cwd=folder,
        env=clean_environment() | {"TERM": "xterm"} | environ,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, text: str, shown: str = "") -> str:
    while text not in shown:
        try:
            shown += os.read(terminal, 4096).decode()
        except OSError:  # The process has closed it.
            raise AssertionError(f"no {text!r} in {shown!r}") from None
    return shown


def port_shown(terminal: int) -> int:
    shown = read_until(terminal, "listening on http://127.0.0.1")
    shown = read_until(terminal, "\n", shown.partition("listening on")[2])
    found = re.search(r"http://\S*:(\d+)", shown)
    assert found is not None
    return int(found[1])


def test_cl_8_a_terminal_shows_one_line_while_it_drains(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "app:hello", "--port", "0") as (process, terminal):
        with closing(request(port_shown(terminal), "/slow")) as connection:
            read_until(terminal, "begun")
            process.terminate()
            shown = read_until(terminal, "drained in")
            assert connection.getresponse().read() == b"hello"
        assert process.wait(PATIENCE) == 0
    assert "\033[33mWARNING\033[0m" in shown
    lines = shown.split("\r\033[2K")
    live = [each for each in lines if each.startswith("draining ")]
    assert len(live) > 2
    assert all("1 in flight" in each and "GET /slow" in each for each in live[1:3])
    assert all("\n" not in each for each in live), "rewritten in place"


def test_cl_18_lines_on_a_terminal_stand_above_the_live_line(tmp_path: Path) -> None:
    command = ["app:hello", "--port", "0", "--access-log", "dev"]
    with on_a_terminal(tmp_path, *command) as (process, terminal):
        with closing(request(port_shown(terminal), "/slow")) as connection:
            read_until(terminal, "begun")
            process.terminate()
            shown = read_until(terminal, "GET /slow \033[32m200\033[0m")
            assert connection.getresponse().read() == b"hello"
        assert process.wait(PATIENCE) == 0
    pieces = shown.split("\r\033[2K")
    assert any(each.startswith("GET /slow \033[32m") for each in pieces), "in place of that line"


def test_cl_17_no_color_turns_off_the_colours(tmp_path: Path) -> None:
    command = ["app:hello", "--port", "0", "--access-log", "dev"]
    with on_a_terminal(tmp_path, *command, NO_COLOR="1") as (_, terminal):
        get(port_shown(terminal), "/a")
        read_until(terminal, "GET /a 200 ")


def test_cl_8_a_pipe_gets_no_such_line(start: Start) -> None:
    process = start("app:hello", "--port", "0", TERM="xterm")
    with closing(request(process.wait_port(), "/slow")) as connection:
        process.wait_line("begun")
        process.process.terminate()
        connection.getresponse().read()
    assert process.wait_status() == 0
    assert "\033" not in process.log
    assert "in flight" not in process.log


# -- the process -------------------------------------------------------------------------------


def test_cl_9_a_check_binds_nothing(start: Start, tmp_path: Path) -> None:
    port = start("app:hello", "--port", "0").wait_port()
    found = run(tmp_path, "app:app", "--check", "--bind", f"127.0.0.1:{port}")
    assert found.returncode == 0
    assert found.stdout == "app:app can start\n"
    assert [line.split()[0] for line in found.stderr.splitlines()] == ["config"]


def test_cl_10_a_pidfile_is_there_while_the_server_is_ready(start: Start, tmp_path: Path) -> None:
    process = start("app:hello", "--port", "0", "--pidfile", "pid")
    with closing(request(process.wait_port())) as connection:
        connection.getresponse().read()
    path = tmp_path / "pid"
    assert path.read_text("ascii") == f"{process.process.pid}\n"
    stop(process)
    assert not path.exists()


def test_cl_10_the_pidfile_of_a_successor_stays(start: Start, tmp_path: Path) -> None:
    process = start("app:hello", "--port", "0", "--pidfile", "pid")
    with closing(request(process.wait_port())) as connection:
        connection.getresponse().read()
    (tmp_path / "pid").write_text("1\n", "ascii")
    stop(process)
    assert (tmp_path / "pid").read_text("ascii") == "1\n"


def test_cl_11_the_variables_of_a_file_reach_the_application(start: Start, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("GREETING='good day'\nPORT=0\n# no more\n", encoding="utf-8")
    process = start("app:hello", TRILLIUM_ENV_FILE="env")
    with closing(request(process.wait_port())) as connection:
        assert connection.getresponse().read() == b"good day"
    stop(process)


def test_cl_11_a_line_that_is_none_is_status_2(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("GREETING=hello\nno such = = 'line\n", encoding="utf-8")
    found = run(tmp_path, "app:hello", "--env-file", "env")
    assert found.returncode == 2
    assert "'--env-file': line 2 is not NAME=value" in found.stderr


def test_cl_1_modules_are_found_in_the_app_dir(start: Start, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "inner.py").write_text("import app\nhello = app.hello\n", encoding="utf-8")
    (tmp_path / "app.py").rename(tmp_path / "src" / "app.py")
    process = start("inner:hello", "--app-dir", "src", "--port", "0")
    with closing(request(process.wait_port())) as connection:
        assert connection.getresponse().read() == b"hello"
    stop(process)


def test_cl_12_fields_for_each_response(start: Start) -> None:
    process = start(
        *["app:hello", "--port", "0", "--no-server-header"],
        *["--header", "x-name: shop", "--header", "x-two:1", "--header", "x-two:2"],
    )
    port = process.wait_port()
    for target, name in {"/": "shop", "/named": "the application's"}.items():
        with closing(request(port, target)) as connection:
            response = connection.getresponse()
            assert response.getheader("x-name") == name
            assert response.getheader("x-two") == "1, 2"
            assert response.getheader("server") is None
    stop(process)


def test_cl_13_a_shell_completes_options_values_and_files(tmp_path: Path) -> None:
    def complete(*words: str) -> list[str]:
        environ = {
            "_TRILLIUM_TRIO_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("trillium-trio", *words)),
            "COMP_CWORD": str(len(words)),
        }
        command = f"{os.path.dirname(sys.executable)}/trillium-trio"
        found = subprocess.run(
            [command],
            env=clean_environment() | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        return found.stdout.splitlines()

    assert complete("--drain-") == [
        "plain,--drain-delay",
        "plain,--drain-timeout",
        "plain,--drain-spread",
    ]
    assert complete("--log-format", "") == ["plain,plain", "plain,json"]
    # The shell completes these by itself.
    assert complete("--certfile", "ce") == ["file,ce"]
    assert complete("path/to/sh") == ["file,path/to/sh"]


PEERS = """
import trillium_trio as tt

async def show(conn):
    return conn.ok(f"{conn.peer_ip} {conn.url}")

server = tt.config().with_port(0).server(show)
"""


def ask(port: int, *lines: str, head: bytes = b"") -> bytes:
    with socket.create_connection(("localhost", port), PATIENCE) as sock:
        request = "\r\n".join(["GET / HTTP/1.1", "Host: x", "Connection: close", *lines, "", ""])
        sock.sendall(head + request.encode())
        return sock.makefile("rb").read().rpartition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("networks", ["127.0.0.0/8,::1", "*", "unix, 10.0.0.0/8, ::1, 127.0.0.1"])
@pytest.mark.parametrize("target", ["show", "server"])
def test_cl_19_fields_of_proxies_are_believed(
    networks: str, target: str, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "peers.py").write_text(PEERS, encoding="utf-8")
    process = start(f"peers:{target}", "--port", "0", "--forwarded-allow-ips", networks)
    lines = ("X-Forwarded-For: 6.6.6.6, 1.2.3.4", "X-Forwarded-Proto: https")
    assert ask(process.wait_port(), *lines) == b"1.2.3.4 https://x/"
    stop(process)


def test_cl_19_by_default_nothing_is_believed(start: Start, tmp_path: Path) -> None:
    (tmp_path / "peers.py").write_text(PEERS, encoding="utf-8")
    process = start("peers:show", "--port", "0")
    answer = ask(process.wait_port(), "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https")
    assert answer in {b"127.0.0.1 http://x/", b"::1 http://x/"}
    stop(process)


def test_cl_19_an_asgi_application_sees_the_client(start: Start, tmp_path: Path) -> None:
    (tmp_path / "peers.py").write_text(
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    body = f\"{scope['client']} {scope['scheme']}\".encode()\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': body})\n",
        encoding="utf-8",
    )
    process = start("peers:app", "--port", "0", TRILLIUM_FORWARDED_ALLOW_IPS="*")
    answer = ask(
        process.wait_port(), "X-Forwarded-For: 1.2.3.4:5", "X-Forwarded-Proto: https", "TE: x"
    )
    assert b"('1.2.3.4', 5) https" in answer
    stop(process)


@pytest.mark.parametrize("target", ["show", "server"])
def test_cl_19_listeners_for_the_proxy_protocol(target: str, start: Start, tmp_path: Path) -> None:
    (tmp_path / "peers.py").write_text(PEERS, encoding="utf-8")
    process = start(f"peers:{target}", "--port", "0", "--proxy-protocol", "127.0.0.0/8,::1")
    port = process.wait_port()
    assert ask(port, head=b"PROXY TCP4 1.2.3.4 5.6.7.8 9 80\r\n") == b"1.2.3.4 http://x/"
    with socket.create_connection(("localhost", port), PATIENCE) as sock:
        sock.sendall(b"HEAD / HTTP/1.1\r\n")
        assert sock.makefile("rb").read(1) == b""
    process.wait_line("no PROXY header: no header, but b'HEAD / HTTP/'")
    stop(process)


def test_cl_19_the_proxy_protocol_precedes_tls(start: Start, tmp_path: Path) -> None:
    (tmp_path / "peers.py").write_text(PEERS, encoding="utf-8")
    process = start(
        *["peers:show", "--bind", "localhost:0", "--certfile", str(PEM)],
        *["--proxy-protocol", "*"],
    )
    found = re.search(r"https://[^,\s]*:(\d+)", process.wait_line("listening on"))
    assert found is not None
    with socket.create_connection(("localhost", int(found[1])), PATIENCE) as sock:
        sock.sendall(b"PROXY TCP4 1.2.3.4 5.6.7.8 9 80\r\n")
        with client_context().wrap_socket(sock, server_hostname="localhost") as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert tls.makefile("rb").read().endswith(b"\r\n\r\n1.2.3.4 https://x/")
    stop(process)


@pytest.mark.parametrize("option", ["--forwarded-allow-ips", "--proxy-protocol"])
def test_cl_19_what_is_no_network_is_status_2(option: str, tmp_path: Path) -> None:
    found = run(tmp_path, "app:hello", option, "10.0.0.0/8,10.0.0.1/8")
    assert found.returncode == 2
    assert f"{option}: '10.0.0.1/8' is no network: 10.0.0.1/8 has host bits set" in " ".join(
        found.stderr.split()
    )


# -- applications ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path", "expected"),
    [
        ("app:asgi", "/api/x", b"/api /api/x"),
        ("app:asgi", "/x", b"/api /api/x"),
        ("app:wsgi", "/api/x", b"/api /x"),
        ("app:wsgi", "/x", b"/api /x"),
    ],
)
def test_cl_20_the_root_path_of_an_application(
    start: Start, target: str, path: str, expected: bytes
) -> None:
    process = start(target, "--port", "0", "--root-path", "/api/")
    with closing(request(process.wait_port(), path)) as connection:
        assert connection.getresponse().read() == expected
    stop(process)


def test_cl_20_the_threads_of_an_application(start: Start) -> None:
    process = start("app:wsgi", "--port", "0", TRILLIUM_WSGI_THREADS="1")
    port = process.wait_port()
    with closing(request(port, "/slow")) as slow:
        process.wait_line("begun")
        fast = request(port, "/fast")
        assert fast.sock is not None
        fast.sock.settimeout(0.5)
        # The only thread waits for the stop.
        with pytest.raises(TimeoutError):
            fast.sock.recv(1)
        process.process.terminate()
        assert slow.getresponse().read() == b" /slow"
        fast.sock.settimeout(PATIENCE)
        assert fast.getresponse().read() == b" /fast"
        fast.close()
    assert process.wait_status() == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["app:hello", "--root-path", "/api"], "--root-path has no effect: app:hello is not an"),
        (
            ["app:server", "--root-path", "/api"],
            "--root-path has no effect: app:server is a Server",
        ),
        (["app:hello", "--wsgi-threads", "4"], "--wsgi-threads has no effect: app:hello is not an"),
        (["app:asgi", "--wsgi-threads", "4"], "--wsgi-threads has no effect: app:asgi is an ASGI"),
    ],
)
def test_cl_20_an_option_without_effect_is_refused(
    tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    found = run(tmp_path, *arguments)
    assert found.returncode == 2
    assert complaint in found.stderr


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        (
            "--root-path",
            "api",
            "app:wsgi: root_path must be empty or begin with a slash, not 'api'",
        ),
        ("--wsgi-threads", "0", "app:wsgi: threads must be a whole number from 1, not 0"),
    ],
)
def test_cl_20_a_value_out_of_range_is_status_3(
    tmp_path: Path, option: str, value: str, complaint: str
) -> None:
    found = run(tmp_path, "app:wsgi", option, value)
    assert found.returncode == 3
    assert found.stderr == f"Error: {complaint}\n"
