"""``--workers``: real processes, real signals, clients that notice every loss."""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.e2e._command import PATIENCE, Process, clean_environment, request
from tests.e2e._supervised import ask, control, is_alive, save, wait_until
from trillium_trio.cli._ctl import ctl as ctl_command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e._supervised import Start


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
    with closing(request(supervised.port, "/spin")):
        supervised.wait_line("begun")
        os.kill(supervised.workers[0], signal.SIGSTOP)
        for line in ("draining", "cutting what is in progress"):
            supervised.process.process.terminate()
            supervised.wait_line(f"SIGTERM: {line}")
        supervised.process.process.terminate()
        assert supervised.process.wait_status() == -signal.SIGTERM
    wait_until(lambda: not is_alive(supervised.workers[0]), "the worker's end")


def test_su_11_they_accept_during_the_delay(start: Start) -> None:
    supervised = start("--drain-delay", "1", workers=1)
    supervised.process.process.terminate()
    supervised.wait_line("SIGTERM: draining")
    assert ask(supervised.port) == "v1"
    assert supervised.process.wait_status() == 0


# -- balance -----------------------------------------------------------------------------------


def test_su_13_kept_connections_are_shared(start: Start) -> None:
    """64 that come at once: 45:55, or better."""
    supervised = start()
    with ExitStack() as stack:
        socks = [stack.enter_context(closing(socket.socket())) for _ in range(64)]
        for each in socks:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", supervised.port))
        for each in socks:
            each.settimeout(PATIENCE)
            # In the queue already, whether or not a worker has accepted it.
            select.select([], [each], [])
            each.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n")
        counts = Counter(each.recv(4096).rpartition(b"\r\n")[2] for each in socks)
        assert len(counts) == 2
        assert min(counts.values()) >= 29, counts
    supervised.stop()


# -- commands ----------------------------------------------------------------------------------


def test_su_15_commands(start: Start, tmp_path: Path) -> None:
    supervised = start(workers=1)
    assert (tmp_path / "ctl.sock").stat().st_mode & 0o777 == 0o600
    assert ctl(tmp_path, "roll").returncode == 0
    table = ctl(tmp_path, "status").stdout.splitlines()
    assert table[0] == f"supervisor {supervised.process.process.pid}, running"
    assert [line.split()[2] for line in table[2:]].count("ready") >= 1
    assert "no outstanding guards" in control(tmp_path, "report")["text"]
    save(tmp_path, "v2", "1 / 0\n")
    failed = ctl(tmp_path, "roll")
    assert (failed.returncode, failed.stderr) == (
        1,
        "slot 0: exit status 3; 0 of 1 workers are new\n",
    )
    assert control(tmp_path, "drain") == {"ok": True}
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


@pytest.mark.parametrize(
    ("command", "expected"), [("status", 3), ("scale", 2), ("roll 3", 2), ("dance", 2)]
)
def test_cl_22_ctl(tmp_path: Path, command: str, expected: int) -> None:
    arguments = ["--control", str(tmp_path / "ctl.sock"), *command.split()]
    assert CliRunner().invoke(ctl_command, arguments).exit_code == expected


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

        supervised = start(
            workers=1, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="300000"
        )
        assert heard() == ["READY=1", "STATUS=1 workers"]
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
        answer = control(tmp_path, "upgrade")
        assert "the first process of a container cannot be replaced" in answer["text"]
        assert control(tmp_path, "drain")["ok"]
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
                "1",
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
        assert control(tmp_path, "roll")["ok"]
        assert control(tmp_path, "drain")["ok"]
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


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
