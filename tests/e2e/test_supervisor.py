"""``--workers``: real processes, real signals, clients that notice every loss."""

from __future__ import annotations

import http.client
import json
import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e._command import PATIENCE, Process, clean_environment, request
from tests.e2e._supervised import Load, Supervised, ask, is_alive, save, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Supervised]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    save(tmp_path, "v1")
    with ExitStack() as stack:

        def start(*arguments: str, workers: int = 2, **environ: str) -> Supervised:
            supervised = Supervised(tmp_path, *arguments, workers=workers, **environ)
            stack.callback(supervised.process.kill)
            return supervised

        yield start


def ctl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trillium_trio", "ctl", "--control", "ctl.sock", *arguments],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


def status(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(ctl(folder, "status", "--json").stdout)["state"]
    return state


# -- the roll ----------------------------------------------------------------------------------


def test_su_5_rolls_lose_nothing(start: Start, tmp_path: Path) -> None:
    supervised = start("--keepalive-grace", "5", "--pidfile", "pid")
    assert int((tmp_path / "pid").read_text()) == supervised.process.process.pid
    load = Load(supervised.port)
    with closing(request(supervised.port, "/slow")) as slow:
        supervised.wait_line("begun")
        for version in ("v2", "v3"):
            load.more()
            save(tmp_path, version)
            supervised.signal(signal.SIGHUP)
            supervised.wait_line("rolled 2 workers")
        load.more()
        (tmp_path / "release").touch()
        assert slow.getresponse().read() == b"v1"
    assert load.end() == []
    assert load.answers == {"v1", "v2", "v3"}
    # The old one accepts until it has heard of the drain.
    wait_until(lambda: ask(supervised.port) == "v3", "the new version")
    supervised.stop()


def test_su_6_a_broken_version_loses_nothing(start: Start, tmp_path: Path) -> None:
    supervised = start("--keepalive-grace", "5", "--start-timeout", "10", "--roll", "100%")
    load = Load(supervised.port)
    for more in ("def\n", "def fail(info):\n    1 / 0\napp = (tt.Init(fail), app)\n"):
        save(tmp_path, "v2", more)
        supervised.signal(signal.SIGHUP)
        supervised.wait_line("0 of 2 workers are new")
        load.more()
    # Not for want of descriptors either.
    save(tmp_path, "v3")
    pid = supervised.process.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 4096))
    supervised.signal(signal.SIGHUP)
    supervised.wait_line("0 of 2 workers are new")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(4096, before[0]), 4096))
    load.more()
    assert load.end() == []
    assert load.answers == {"v1"}
    supervised.signal(signal.SIGHUP)
    supervised.wait_line("rolled 2 workers")
    # The old one accepts until it has heard of the drain.
    wait_until(lambda: ask(supervised.port) == "v3", "the new version")
    supervised.stop()


# -- crashes -----------------------------------------------------------------------------------


def test_su_4_a_killed_worker_is_replaced(start: Start) -> None:
    supervised = start()
    os.kill(supervised.workers[0], signal.SIGKILL)
    supervised.wait_line("has ended by itself (killed by SIGKILL; out of memory?)")
    supervised.wait_ready()
    # One that somebody tells to stop is replaced as well.
    os.kill(supervised.workers[1], signal.SIGTERM)
    supervised.wait_line("drains by itself")
    supervised.wait_ready()
    with pytest.raises(http.client.RemoteDisconnected):
        ask(supervised.port, "/exit")
    supervised.wait_line("has ended by itself (exit status 7)")
    supervised.wait_ready()
    assert ask(supervised.port) == "v1"
    supervised.stop()


def test_su_4_a_crash_loop_ends_it(start: Start, tmp_path: Path) -> None:
    supervised = start("--max-crashes", "2", workers=1)
    save(tmp_path, "v2", "sys.exit(5)\n")
    os.kill(supervised.workers[0], signal.SIGKILL)
    supervised.wait_line("slot 0 has crashed 2 times in a row: draining")
    assert supervised.process.wait_status() == 1


def test_su_3_what_cannot_start(tmp_path: Path) -> None:
    save(tmp_path, "v1", "1 / 0\n")
    process = Process(["-m", "trillium_trio", "app:app", "--port", "0", "--workers", "2"], tmp_path)
    try:
        assert process.wait_status() == 3
    finally:
        process.kill()
    assert "ZeroDivisionError" in process.log


def test_su_7_a_worker_that_hangs_shows_where(start: Start) -> None:
    supervised = start("--worker-timeout", "3", workers=1)
    with closing(request(supervised.port, "/block")) as connection:
        supervised.wait_line("begun")
        supervised.wait_line("it is silent for 3 s")
        supervised.wait_line("the supervisor ends this process: 1 outstanding guard")
        supervised.wait_line("time.sleep(3600)")
        supervised.wait_line("Fatal Python error: Aborted")
        supervised.wait_line("was ended (killed by SIGABRT)")
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            connection.getresponse()
    supervised.wait_ready()
    # One that is stopped cannot even do that.
    os.kill(supervised.workers[-1], signal.SIGSTOP)
    supervised.wait_line("was ended (killed by SIGKILL)")
    supervised.wait_ready()
    assert ask(supervised.port) == "v1"
    supervised.stop()


def test_su_8_workers_that_wear_out(start: Start) -> None:
    supervised = start("--max-requests", "30", "--max-rss", "10000", "--max-worker-age", "600")
    load = Load(supervised.port)
    supervised.wait_line("is replaced: it has had")
    supervised.wait_line("has drained")
    assert load.end() == []
    supervised.stop()


# -- the end -----------------------------------------------------------------------------------


def test_su_11_the_ladder(start: Start) -> None:
    supervised = start("--drain-timeout", "60")
    with closing(request(supervised.port, "/slow")) as connection:
        supervised.wait_line("begun")
        supervised.signal(signal.SIGINT)
        supervised.wait_line("SIGINT: draining")
        supervised.wait_line("has drained (exit status 0)")
        supervised.signal(signal.SIGQUIT)
        assert connection.getresponse().status == 503
    assert supervised.process.wait_status() == 1


def test_su_11_the_third_kills(start: Start) -> None:
    supervised = start(workers=1)
    with closing(request(supervised.port, "/block")):
        supervised.wait_line("begun")
        os.kill(supervised.workers[0], signal.SIGSTOP)
        for line in ("draining", "cutting what is in progress"):
            supervised.process.process.terminate()
            supervised.wait_line(f"SIGTERM: {line}")
        supervised.process.process.terminate()
        assert supervised.process.wait_status() == -signal.SIGTERM
    wait_until(lambda: not is_alive(supervised.workers[0]), "the worker's end")


def test_su_11_they_accept_during_the_delay(start: Start) -> None:
    supervised = start("--drain-delay", "1")
    supervised.process.process.terminate()
    supervised.wait_line("SIGTERM: draining")
    assert ask(supervised.port) == "v1"
    assert supervised.process.wait_status() == 0


def test_su_12_the_supervisor_is_killed(start: Start, tmp_path: Path) -> None:
    supervised = start()
    with closing(request(supervised.port, "/slow")) as connection:
        supervised.wait_line("begun")
        supervised.process.process.kill()
        for _ in range(2):
            supervised.wait_line("the supervisor is gone: draining")
        (tmp_path / "release").touch()
        assert connection.getresponse().read() == b"v1"
    for pid in supervised.workers:
        wait_until(partial(is_gone, pid), "the worker's end")


# -- balance -----------------------------------------------------------------------------------


def test_su_13_kept_connections_are_shared(start: Start, tmp_path: Path) -> None:
    supervised = start()
    with ExitStack() as stack:
        for _ in range(64):
            connection = stack.enter_context(closing(request(supervised.port)))
            connection.getresponse().read()
        counts: list[int] = []

        def is_known() -> bool:
            workers = status(tmp_path)["workers"]
            counts[:] = [each["figures"]["now"]["connections"] for each in workers]
            return sum(counts) == 64

        wait_until(is_known, "64 connections")
        assert min(counts) >= 24, counts
    supervised.stop()


# -- the upgrade -------------------------------------------------------------------------------


def test_su_14_an_upgrade_loses_nothing(start: Start, tmp_path: Path) -> None:
    supervised = start("--keepalive-grace", "5", "--pidfile", "pid")
    first = supervised.process.process.pid
    assert ctl(tmp_path, "scale", "3").returncode == 0
    supervised.wait_ready()
    load = Load(supervised.port)
    load.more()
    # A version that cannot start is none.
    save(tmp_path, "v2", "1 / 0\n")
    supervised.signal(signal.SIGUSR2)
    supervised.wait_line("upgrade: exit status 3")
    load.more()
    save(tmp_path, "v3")
    requests = status(tmp_path)["figures"]["totals"]["requests"]
    with closing(request(supervised.port, "/slow")) as slow:
        supervised.wait_line("begun")
        supervised.signal(signal.SIGUSR2)
        supervised.wait_line("has taken over")
        load.more()
        second = int((tmp_path / "pid").read_text())
        assert second != first
        # Not while the old one drains.
        again = ctl(tmp_path, "upgrade")
        assert (again.returncode, again.stderr) == (
            1,
            "the previous supervisor has not drained yet\n",
        )
        (tmp_path / "release").touch()
        assert slow.getresponse().read() == b"v1"
    supervised.wait_line("the previous supervisor is gone")
    state = status(tmp_path)
    assert load.end() == []
    assert load.answers == {"v1", "v3"}
    assert state["pid"] == second
    assert len(state["workers"]) == 3
    assert state["figures"]["totals"]["requests"] >= requests
    assert ctl(tmp_path, "drain").returncode == 0
    wait_until(lambda: not is_alive(second), "the end of the second")
    assert not (tmp_path / "pid").exists()
    assert not (tmp_path / "ctl.sock").exists()
    assert supervised.process.wait_status() == 0


def test_su_14_one_that_is_killed_or_not_waited_for(start: Start, tmp_path: Path) -> None:
    supervised = start()
    save(tmp_path, "v2", "sys.stderr.write('importing\\n')\ntime.sleep(3600)\n")
    supervised.signal(signal.SIGUSR2)
    line = supervised.wait_line("upgrade: starting process")
    supervised.wait_line("importing")
    os.kill(int(line.split()[-1]), signal.SIGKILL)
    supervised.wait_line("upgrade: killed by SIGKILL")
    assert ask(supervised.port) == "v1"
    # The stop does not wait for it.
    supervised.signal(signal.SIGUSR2)
    line = supervised.wait_line("upgrade: starting process")
    supervised.wait_line("importing")
    supervised.process.process.terminate()
    wait_until(partial(is_gone, int(line.split()[-1])), "the end of the new one")
    assert supervised.process.process.wait(PATIENCE) == 0
    assert not (tmp_path / "ctl.sock").exists()


def test_su_14_one_that_fails_leaves_the_socket_files(start: Start, tmp_path: Path) -> None:
    supervised = start("--bind", "unix:app.sock", workers=1)
    save(tmp_path, "v2", "1 / 0\n")
    supervised.signal(signal.SIGUSR2)
    supervised.wait_line("upgrade: exit status 3")
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(tmp_path / "app.sock"))
    supervised.stop()
    assert not (tmp_path / "app.sock").exists()


def test_su_14_the_old_one_is_killed(start: Start, tmp_path: Path) -> None:
    supervised = start("--pidfile", "pid")
    first = supervised.process.process.pid
    save(tmp_path, "v2", "time.sleep(1)\n")
    supervised.signal(signal.SIGUSR2)
    supervised.wait_line("upgrade: starting process")
    supervised.wait_line("INFO")
    supervised.process.process.kill()
    wait_until(lambda: (tmp_path / "pid").read_text() != f"{first}\n", "the new one")
    # The old workers drain by themselves.
    wait_until(lambda: ask(supervised.port) == "v2", "the new version")
    second = int((tmp_path / "pid").read_text())
    os.kill(second, signal.SIGTERM)
    wait_until(partial(is_gone, second), "its end")


# -- commands ----------------------------------------------------------------------------------


def test_su_15_commands(start: Start, tmp_path: Path) -> None:
    supervised = start()
    assert (tmp_path / "ctl.sock").stat().st_mode & 0o777 == 0o600
    assert ctl(tmp_path, "roll").returncode == 0
    table = ctl(tmp_path, "status").stdout.splitlines()
    assert table[0] == f"supervisor {supervised.process.process.pid}, running"
    assert [line.split()[2] for line in table[2:]].count("ready") >= 2
    assert "no outstanding guards" in ctl(tmp_path, "report").stdout
    save(tmp_path, "v2", "1 / 0\n")
    failed = ctl(tmp_path, "roll")
    assert (failed.returncode, failed.stderr) == (
        1,
        "slot 0: exit status 3; 0 of 2 workers are new\n",
    )
    assert ctl(tmp_path, "drain").returncode == 0
    assert supervised.process.wait_status() == 0
    assert not (tmp_path / "ctl.sock").exists()


def test_su_15_what_is_no_command(start: Start, tmp_path: Path) -> None:
    supervised = start(workers=1)
    for line in (b"\n", b"[]\n", b'{"do": 1}\n', b'{"do": "dance"}\n', b'{"do": "scale"}\n', b""):
        with closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(tmp_path / "ctl.sock"))
            sock.sendall(line)
            sock.shutdown(socket.SHUT_WR)
            assert json.loads(sock.makefile().read())["ok"] is False
    supervised.stop()


def test_cl_22_ctl(tmp_path: Path) -> None:
    assert ctl(tmp_path, "status").returncode == 3
    assert ctl(tmp_path, "scale").returncode == 2
    assert ctl(tmp_path, "roll", "3").returncode == 2
    assert ctl(tmp_path, "dance").returncode == 2


def test_su_17_signals(start: Start) -> None:
    supervised = start()
    supervised.signal(signal.SIGTTIN)
    supervised.wait_ready()
    supervised.signal(signal.SIGTTOU)
    supervised.wait_line("of slot 2 has drained (exit status 0)")
    supervised.signal(signal.SIGUSR1)
    supervised.wait_line("2 workers")
    supervised.wait_line("no outstanding guards")
    supervised.stop()


# -- the service manager, containers, logs -----------------------------------------------------


def test_su_18_the_service_manager(start: Start, tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.settimeout(PATIENCE)
        manager.bind(str(tmp_path / "notify"))
        messages: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        pings = 0

        def listen() -> None:
            # All the time, because the kernel queues ten.
            nonlocal pings
            with suppress(OSError):
                while (lines := manager.recv(4096).decode().split("\n")) != ["STOPPED"]:
                    if lines == ["WATCHDOG=1"]:
                        pings += 1
                    else:
                        messages.put(lines)

        def heard() -> list[str]:
            return messages.get(timeout=PATIENCE)

        listener = threading.Thread(target=listen)
        listener.start()

        supervised = start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="300000")
        assert heard() == ["READY=1", "STATUS=2 workers"]
        wait_until(lambda: pings > 2, "a ping")
        supervised.signal(signal.SIGHUP)
        reloading = heard()
        assert reloading[0] == "RELOADING=1"
        assert reloading[1].startswith("MONOTONIC_USEC=")
        assert heard()[0] == "READY=1"
        supervised.signal(signal.SIGUSR2)
        supervised.wait_line("has taken over")
        first = [heard(), heard()]
        pid = next(each[0] for each in first if each[0].startswith("MAINPID="))
        assert any(each[0] == "READY=1" for each in first)
        supervised.wait_line("the previous supervisor is gone")
        os.kill(int(pid.removeprefix("MAINPID=")), signal.SIGTERM)
        assert heard()[0] == "STOPPING=1"
        assert supervised.process.wait_status() == 0
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as last:
            last.sendto(b"STOPPED", str(tmp_path / "notify"))
        listener.join()


def test_su_19_orphans_in_a_container(tmp_path: Path) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.fail("unshare(1) makes no namespaces here")
    orphan = "\nimport subprocess\nsubprocess.run(['sh', '-c', 'sleep 0.2 & exit 0'])\n"
    save(tmp_path, "v1", orphan)
    code = "import sys, os; os.execvp(sys.argv[1], sys.argv[1:])"
    command = ["-c", code, *unshare, sys.executable, "-m", "trillium_trio", "app:app"]
    process = Process(
        [
            *command,
            "--port",
            "0",
            "--workers",
            "1",
            "--control",
            "ctl.sock",
            "--log-level",
            "debug",
        ],
        tmp_path,
    )
    try:
        process.wait_line("is ready")
        process.wait_line("reaped [")
        answer = ctl(tmp_path, "upgrade")
        assert "the first process of a container cannot be replaced" in answer.stderr
        assert ctl(tmp_path, "drain").returncode == 0
        process.wait_status()
    finally:
        process.kill()


def test_su_20_a_full_disk_for_logs(tmp_path: Path) -> None:
    save(tmp_path, "v1")
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "trillium_trio",
                "app:app",
                "--bind",
                "unix:app.sock",
                "--workers",
                "2",
                "--control",
                "ctl.sock",
                "--pidfile",
                "pid",
            ],
            cwd=tmp_path,
            env=clean_environment(),
            stderr=full,
        )
    try:
        wait_until((tmp_path / "pid").exists, "ready")
        assert ctl(tmp_path, "roll").returncode == 0
        assert ctl(tmp_path, "drain").returncode == 0
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


def test_su_1_an_inherited_socket_is_passed_on(tmp_path: Path) -> None:
    save(tmp_path, "v1")
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        fd, port = inherited.fileno(), inherited.getsockname()[1]
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "trillium_trio",
                "app:app",
                "--bind",
                f"fd://{fd}",
                "--workers",
                "auto",
                "--pidfile",
                "pid",
            ],
            cwd=tmp_path,
            env=clean_environment(),
            pass_fds=[fd],
        )
        try:
            assert ask(port) == "v1"
            wait_until((tmp_path / "pid").exists, "ready")
            first = process.pid
            process.send_signal(signal.SIGUSR2)
            wait_until(lambda: (tmp_path / "pid").read_text() != f"{first}\n", "the second")
            assert process.wait(PATIENCE) == 0
            assert ask(port) == "v1"
            second = int((tmp_path / "pid").read_text())
            os.kill(second, signal.SIGTERM)
            wait_until(lambda: not is_alive(second), "the end")
        finally:
            process.kill()
            process.wait()
            with suppress(OSError, ValueError):
                os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


# -- the command line --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--roll", "2"], "--roll needs --workers"),
        (["--control", "x"], "--control needs --workers"),
        (["--workers", "0"], "expected a number or auto"),
        (["--workers", "2", "--roll", "many"], "roll must be a number or a percentage"),
        (["--workers", "2", "--start-timeout", "0"], "start_timeout must be"),
        (["--workers", "2", "--reload"], "drop --workers"),
    ],
)
def test_cl_21_what_does_not_fit(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    save(tmp_path, "v1")
    process = Process(["-m", "trillium_trio", "app:app", *arguments], tmp_path)
    try:
        assert process.wait_status() == 2
    finally:
        process.kill()
    assert complaint in process.log


def test_cl_21_a_check_needs_no_workers(tmp_path: Path) -> None:
    save(tmp_path, "v1")
    process = Process(["-m", "trillium_trio", "app:app", "--workers", "2", "--check"], tmp_path)
    try:
        assert process.wait_status() == 0
    finally:
        process.kill()


def test_cl_21_the_env_file_and_the_time(start: Start, tmp_path: Path) -> None:
    """Idle for a while: nothing depends on the thread that has started a worker."""
    (tmp_path / ".env").write_text("GREETING=hello\n", encoding="utf-8")
    supervised = start("--env-file", ".env", "--worker-timeout", "5", workers=1)
    time.sleep(11)
    assert ask(supervised.port, "/pid") == str(supervised.workers[0])
    supervised.stop()
