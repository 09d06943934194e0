"""``--reload``: real processes, real files, real signals."""

from __future__ import annotations

import http.client
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e._command import PATIENCE, Process, clean_environment, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Process]

APPLICATION = """
import os, pathlib, sys, time
import trio
import trillium_trio as tt

VERSION = "%s"

async def app(conn):
    if conn.path == "/slow":
        sys.stderr.write("begun\\n")
        while not pathlib.Path("release").exists():
            await trio.sleep(0.02)
    if conn.path == "/block":
        sys.stderr.write("begun\\n")
        time.sleep(3600)
    if conn.path == "/exit":
        os._exit(7)
    if conn.path == "/pid":
        return conn.ok(str(os.getpid()))
    if conn.path == "/variable":
        return conn.ok(os.environ.get("GREETING", ""))
    return conn.ok(VERSION)

listening = tt.config().bind_tcp("127.0.0.1:0").bind_unix("app.sock")
server = listening.server(app)
"""


def save(folder: Path, version: str, more: str = "") -> None:
    """Write the application as editors do: another file, then a rename."""
    (folder / "app.py.new").write_text(APPLICATION % version + more, encoding="utf-8")
    (folder / "app.py.new").replace(folder / "app.py")


@pytest.fixture(autouse=True)
def application(tmp_path: Path) -> None:
    save(tmp_path, "v1")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes: list[Process] = []

    def start(*arguments: str, **environ: str) -> Process:
        command = ["-m", "trillium_trio", "--reload", *arguments]
        processes.append(Process(command, tmp_path, environ))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def ask(port: int, target: str = "/") -> str:
    with closing(request(port, target)) as connection:
        response = connection.getresponse()
        assert response.status == 200
        return response.read().decode()


def ready(process: Process) -> int:
    """Wait for a worker that is ready; return its process id."""
    found = re.search(r"worker (\d+)", process.wait_line("the code is ready"))
    assert found is not None
    return int(found[1])


def start_ready(start: Start, *arguments: str, **environ: str) -> tuple[Process, int]:
    process = start("app:app", "--port", "0", *arguments, **environ)
    port = process.wait_port()
    ready(process)
    return process, port


def stop(process: Process) -> None:
    process.process.terminate()
    assert process.wait_status() == 0, process.log


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_gone(pid: int) -> None:
    give_up_at = time.monotonic() + PATIENCE
    while is_alive(pid):
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


class Load:
    """Clients in threads, each request of which must be answered 200."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: set[str] = set()
        self.count = 0
        self.failures: list[str] = []
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, fn: Callable[[], None], *, count: int) -> None:
        for _ in range(count):
            self._threads.append(threading.Thread(target=self._run, args=(fn,)))
            self._threads[-1].start()

    def _run(self, fn: Callable[[], None]) -> None:
        try:
            fn()
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self.failures.append(f"{fn.__name__}: {error!r}")

    def slow(self) -> None:
        assert ask(self.port, "/slow") == "v1"

    def fresh(self) -> None:
        while not self._is_over.is_set():
            self._note(ask(self.port))

    def kept(self) -> None:
        connection = http.client.HTTPConnection("localhost", self.port, timeout=PATIENCE)
        with closing(connection):
            while not self._is_over.is_set():
                # Connects anew where the last response said that the connection closes.
                connection.request("GET", "/")
                response = connection.getresponse()
                body = response.read().decode()
                assert response.status == 200
                self._note(body)

    def _note(self, answer: str) -> None:
        self.answers.add(answer)
        self.count += 1

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


def test_cl_14_nothing_is_lost_while_files_are_saved(start: Start, tmp_path: Path) -> None:
    process, port = start_ready(start, "--keepalive-grace", "5")
    load = Load(port)
    load.start(load.slow, count=20)
    for _ in range(20):
        process.wait_line("begun")
    load.start(load.kept, count=20)
    load.start(load.fresh, count=20)
    try:
        for version in ("v2", "v3", "v4"):
            save(tmp_path, version)
            ready(process)
        # In a row, without waiting for the start.
        for version in ("v5", "v6"):
            save(tmp_path, version)
            time.sleep(0.2)
        while ask(port) != "v6":
            time.sleep(0.02)
    finally:
        (tmp_path / "release").touch()
        time.sleep(0.5)
        load.end()
    assert load.failures == []
    assert {"v1", "v2", "v3", "v4", "v6"} <= load.answers
    assert load.count > 200
    # Five at least have drained, the first with twenty requests, and then only the last answers.
    while process.log.count("reload: drained") < process.log.count("is draining (worker"):
        process.wait_line("reload: drained")
    assert {ask(port) for _ in range(20)} == {"v6"}
    stop(process)
    assert "cutting" not in process.log


def test_cl_14_one_line_for_each_event(start: Start, tmp_path: Path) -> None:
    process, port = start_ready(start)
    first = int(ask(port, "/pid"))
    assert f"reload: watching {tmp_path}" in process.log
    save(tmp_path, "v2")
    process.wait_line("reload: app.py changed: starting the new code")
    second = ready(process)
    process.wait_line(f"reload: the old code is draining (worker {first})")
    process.wait_line(f"reload: drained (worker {first}, exit status 0)")
    assert second == int(ask(port, "/pid"))
    assert ask(port) == "v2"
    stop(process)
    assert f"reload: drained (worker {second}, exit status 0)" in process.log


def test_cl_14_broken_code_keeps_the_old_one(start: Start, tmp_path: Path) -> None:
    process, port = start_ready(start)
    pid = int(ask(port, "/pid"))
    save(tmp_path, "v2", more="def\n")
    process.wait_line("SyntaxError: invalid syntax")
    process.wait_line(f"exit status 3): worker {pid} goes on; waiting for a change")
    assert ask(port) == "v1"
    save(tmp_path, "v3", more="def fail(info):\n    1 / 0\napp = (tt.Init(fail), app)\n")
    process.wait_line("ZeroDivisionError: division by zero")
    process.wait_line(f"exit status 3): worker {pid} goes on; waiting for a change")
    assert ask(port) == "v1"
    save(tmp_path, "v4")
    process.wait_line(f"reload: drained (worker {pid}")
    assert ask(port) == "v4"
    stop(process)


def test_cl_14_broken_code_at_the_first_start(start: Start, tmp_path: Path) -> None:
    save(tmp_path, "v1", more="def\n")
    process = start("app:app", "--port", "0")
    process.wait_line("exit status 3): waiting for a change")
    save(tmp_path, "v2")
    assert ask(process.wait_port()) == "v2"
    stop(process)


def test_cl_14_a_wrong_command_line_ends_it(start: Start) -> None:
    process = start("app:app", "--port", "0", "--bind", "127.0.0.1:0")
    assert process.wait_status() == 2
    assert "--bind replaces --host and --port" in process.log


def test_cl_14_clients_wait_for_a_worker_that_has_crashed(start: Start, tmp_path: Path) -> None:
    process, port = start_ready(start)
    pid = int(ask(port, "/pid"))
    with pytest.raises(http.client.RemoteDisconnected):
        ask(port, "/exit")
    process.wait_line(f"worker {pid} has ended by itself (exit status 7): waiting for a change")
    with closing(request(port)) as waiting:
        save(tmp_path, "v2")
        assert waiting.getresponse().read() == b"v2"
    stop(process)


def test_cl_14_a_crash_is_the_status(start: Start) -> None:
    process, port = start_ready(start)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(port, "/exit")
    process.wait_line("has ended by itself")
    process.process.terminate()
    assert process.wait_status() == 7


def test_cl_14_a_change_ends_a_start_that_hangs(start: Start, tmp_path: Path) -> None:
    process, port = start_ready(start)
    save(tmp_path, "v2", more="sys.stderr.write('importing\\n')\ntime.sleep(3600)\n")
    process.wait_line("importing")
    save(tmp_path, "v3")
    process.wait_line("reload: gave up a start")
    process.wait_line("reload: drained")
    assert ask(port) == "v3"
    # Its `init` has begun: not killed, but not waited for either.
    hang = "async def hang(info):\n    sys.stderr.write('in init\\n')\n    await trio.sleep(0.5)\n"
    save(tmp_path, "v4", more=hang + "app = (tt.Init(hang), app)\n")
    process.wait_line("in init")
    save(tmp_path, "v5")
    # Those of v1, v3 and v4, in any order.
    while process.log.count("reload: drained") < 3:
        process.wait_line("reload: drained")
    assert ask(port) == "v5"
    stop(process)


def unix_ask(path: Path) -> str:
    connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
    with closing(connection), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(path))
        connection.sock = sock
        connection.request("GET", "/")
        return connection.getresponse().read().decode()


def test_cl_14_listeners_set_in_code(start: Start, tmp_path: Path) -> None:
    process = start("app:server")
    port = process.wait_port()
    ready(process)
    path = tmp_path / "app.sock"
    inode = path.stat().st_ino
    assert (ask(port), unix_ask(path)) == ("v1", "v1")
    save(tmp_path, "v2")
    process.wait_line("reload: drained")
    assert (ask(port), unix_ask(path)) == ("v2", "v2")
    assert path.stat().st_ino == inode
    # The file goes when the code asks for it no longer, and comes back.
    save(tmp_path, "v3", more='server = tt.config().bind_tcp("127.0.0.1:0").server(app)\n')
    process.wait_line("reload: drained")
    assert ask(port) == "v3"
    give_up_at = time.monotonic() + PATIENCE
    while path.exists():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    save(tmp_path, "v4")
    process.wait_line("reload: drained")
    assert (ask(port), unix_ask(path)) == ("v4", "v4")
    stop(process)
    assert not path.exists()


@pytest.mark.parametrize("how", ["fd", "LISTEN_FDS"])
def test_cl_14_inherited_sockets_are_passed_on(tmp_path: Path, how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        fd, port = inherited.fileno(), inherited.getsockname()[1]
        command = ["-m", "trillium_trio", "app:app", "--reload"]
        if how == "fd":
            command = [sys.executable, *command, "--bind", f"fd://{fd}"]
        else:
            # As a service manager does: the process id is known after the fork.
            code = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update("
            code += "LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
            code += "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
            command = [sys.executable, "-c", code, str(fd), *command]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=clean_environment(),
            pass_fds=[fd],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            assert ask(port) == "v1"
            save(tmp_path, "v2")
            assert any("reload: drained" in line for line in process.stderr)
            assert ask(port) == "v2"
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.communicate()
        # Still ours: nothing has shut it down.
        with closing(socket.create_connection(("127.0.0.1", port))):
            inherited.settimeout(PATIENCE)
            inherited.accept()[0].close()


def test_cl_14_an_address_in_use_is_no_end(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("app:app", "--bind", f"127.0.0.1:{taken.getsockname()[1]}")
        assert "in use" in process.wait_line("cannot listen on 127.0.0.1:")
        process.wait_line("waiting for a change")
        process.process.terminate()
        assert process.wait_status() == 3


def test_cl_14_the_env_file_is_read_anew(start: Start, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GREETING=hello\n", encoding="utf-8")
    process, port = start_ready(start, "--env-file", ".env", "--reload-include", ".env")
    assert ask(port, "/variable") == "hello"
    (tmp_path / ".env").write_text("GREETING=goodbye\n", encoding="utf-8")
    process.wait_line("reload: .env changed")
    process.wait_line("reload: drained")
    assert ask(port, "/variable") == "goodbye"
    stop(process)


def test_cl_14_the_pidfile_has_the_supervisor(start: Start, tmp_path: Path) -> None:
    process, port = start_ready(start, "--pidfile", "pid")
    assert int((tmp_path / "pid").read_text()) == process.process.pid != int(ask(port, "/pid"))
    save(tmp_path, "v2")
    process.wait_line("reload: drained")
    assert int((tmp_path / "pid").read_text()) == process.process.pid
    stop(process)
    assert not (tmp_path / "pid").exists()


def test_cl_14_a_check_starts_nothing(start: Start) -> None:
    process = start("app:app", "--check")
    assert process.wait_status() == 2
    assert "drop --reload" in process.log


# -- the end -----------------------------------------------------------------------------------


def test_cl_15_a_signal_drains_all_workers(start: Start, tmp_path: Path) -> None:
    process, port = start_ready(start)
    with closing(request(port, "/slow")) as old:
        process.wait_line("begun")
        save(tmp_path, "v2")
        process.wait_line("the old code is draining")
        # Both accept until the old one has heard of it.
        answers = [""]
        while set(answers[-20:]) != {"v2"}:
            answers.append(ask(port))
        with closing(request(port, "/slow")) as new:
            process.wait_line("begun")
            process.process.terminate()
            process.wait_line("SIGTERM: draining")
            (tmp_path / "release").touch()
            assert old.getresponse().read() == b"v1"
            assert new.getresponse().read() == b"v2"
    assert process.wait_status() == 0


def test_cl_15_the_second_signal_cuts(start: Start) -> None:
    process, port = start_ready(start)
    with closing(request(port, "/slow")) as connection:
        process.wait_line("begun")
        process.process.terminate()
        process.wait_line("SIGTERM: draining")
        process.process.send_signal(signal.SIGINT)
        assert connection.getresponse().status == 503
    assert process.wait_status() == 1


def test_cl_15_the_third_ends_even_a_blocked_worker(start: Start) -> None:
    process, port = start_ready(start)
    pid = int(ask(port, "/pid"))
    with closing(request(port, "/block")):
        process.wait_line("begun")
        process.process.terminate()
        process.wait_line("SIGTERM: draining")
        process.process.terminate()
        process.wait_line("cutting what is in progress, as the supervisor says")
        assert is_alive(pid)
        process.process.terminate()
        assert process.wait_status() == -signal.SIGTERM
        wait_gone(pid)


def test_cl_15_workers_drain_when_the_supervisor_is_killed(start: Start, tmp_path: Path) -> None:
    process, port = start_ready(start)
    with closing(request(port, "/slow")) as connection:
        process.wait_line("begun")
        process.process.kill()
        process.wait_line("the supervisor is gone: draining")
        (tmp_path / "release").touch()
        assert connection.getresponse().read() == b"v1"
    assert process.wait_status() == -signal.SIGKILL
    assert "drained in" in process.log
    assert "1 finished" in process.log


def test_cl_15_a_worker_that_imports_is_killed(start: Start, tmp_path: Path) -> None:
    save(tmp_path, "v1", more="sys.stderr.write('importing\\n')\ntime.sleep(3600)\n")
    process = start("app:app", "--port", "0")
    process.wait_line("importing")
    process.process.terminate()
    assert process.wait_status() == 1


@contextmanager
def on_a_terminal(folder: Path) -> Iterator[tuple[int, int]]:
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.chdir(folder)
            command = [sys.executable, "-m", "trillium_trio", "app:app", "--port", "0", "--reload"]
            os.execve(sys.executable, command, clean_environment() | {"TERM": "xterm"})
        finally:
            os._exit(127)
    try:
        yield pid, terminal
    finally:
        os.close(terminal)


def read_until(terminal: int, text: str) -> str:
    shown = ""
    while text not in shown:
        try:
            shown += os.read(terminal, 4096).decode()
        except OSError:  # EIO: all who had it have closed it.
            raise AssertionError(f"no {text!r} in {shown!r}") from None
    return shown


def read_rest(terminal: int) -> str:
    shown = ""
    while True:
        try:
            shown += os.read(terminal, 4096).decode()
        except OSError:  # EIO: all who had it have closed it.
            return shown


def test_cl_15_ctrl_c_on_a_terminal(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as (pid, terminal):
        shown = read_until(terminal, "the code is ready")
        found = re.search(r"http://\S*:(\d+)", shown)
        assert found is not None
        with closing(request(int(found[1]), "/slow")) as connection:
            read_until(terminal, "begun")
            os.write(terminal, b"\x03")
            shown = read_until(terminal, "draining; a second signal cuts")
            (tmp_path / "release").touch()
            assert connection.getresponse().read() == b"v1"
        shown += read_rest(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert shown.count("a second signal cuts") == 1
    assert "Traceback" not in shown
    assert "\033[2K" not in shown  # no live line


def test_cl_15_ctrl_c_while_a_worker_starts(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as (pid, terminal):
        shown = read_until(terminal, "reload: watching")
        os.write(terminal, b"\x03")
        shown += read_rest(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in {0, 1}
    assert "Traceback" not in shown
    assert "Aborted" not in shown


# -- what is watched ---------------------------------------------------------------------------


def test_cl_16_files_and_folders(start: Start, tmp_path: Path) -> None:
    for folder in ("pages", "other", ".venv", "build", "pages/old"):
        (tmp_path / folder).mkdir()
    process, _ = start_ready(
        start,
        "--reload-include",
        "*.html",
        "--reload-exclude",
        "build",
        "--reload-exclude",
        "*/old/*",
    )
    unseen = ["notes.txt", ".venv/x.py", ".hidden.py", "build/x.py", "pages/old/x.html"]
    for name in unseen:
        (tmp_path / name).touch()
    time.sleep(0.5)
    for name in ("pages/index.html", "other/x.py"):
        (tmp_path / name).touch()
        process.wait_line(f"reload: {name} changed")
        process.wait_line("reload: drained")
    stop(process)
    assert process.log.count("changed: starting") == 2


@pytest.mark.parametrize("how", ["option", "variable"])
def test_cl_16_other_folders(start: Start, tmp_path: Path, how: str) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    if how == "option":
        process, _ = start_ready(start, "--reload-dir", "a", "--reload-dir", "b")
    else:
        process, _ = start_ready(start, TRILLIUM_RELOAD_DIR="a:b")
    save(tmp_path, "v2")
    time.sleep(0.5)
    for name in ("a", "b"):
        (tmp_path / name / "x.py").touch()
        process.wait_line(f"reload: {name}/x.py changed")
        process.wait_line("reload: drained")
    stop(process)
    assert process.log.count("changed: starting") == 2


def test_cl_16_the_folder_of_a_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    save(tmp_path / "shop", "v1")
    process = start("shop/app.py:app", "--port", "0")
    port = process.wait_port()
    assert f"reload: watching {tmp_path / 'shop'}\n" in process.log
    save(tmp_path / "shop", "v2")
    process.wait_line("reload: drained")
    assert ask(port) == "v2"
    stop(process)


def test_cl_16_two_versions_of_one_size_in_one_second(start: Start, tmp_path: Path) -> None:
    os.utime(tmp_path / "app.py", (1_000_000_000, 1_000_000_000))
    process, port = start_ready(start)
    assert ask(port) == "v1"
    (tmp_path / "app.py.new").write_text(APPLICATION % "v2", encoding="utf-8")
    os.utime(tmp_path / "app.py.new", (1_000_000_000, 1_000_000_000))
    (tmp_path / "app.py.new").replace(tmp_path / "app.py")
    process.wait_line("reload: drained")
    assert ask(port) == "v2"
    stop(process)


@pytest.mark.parametrize("option", ["dir", "include", "exclude"])
def test_cl_16_an_option_without_reload(tmp_path: Path, option: str) -> None:
    process = Process(["-m", "trillium_trio", "app:app", f"--reload-{option}", "."], tmp_path)
    try:
        assert process.wait_status() == 2
    finally:
        process.kill()
    assert f"--reload-{option} needs --reload" in process.log


def test_cl_16_without_the_extra(start: Start, tmp_path: Path) -> None:
    (tmp_path / "watchfiles.py").write_text("raise ImportError", encoding="utf-8")
    process = start("app:app", PYTHONPATH=str(tmp_path))
    assert process.wait_status() == 2
    assert "install trillium-trio[reload]" in process.log
