"""Upgrades: a new supervisor takes over from the one that serves, or does not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e._command import PATIENCE, clean_environment, request
from tests.e2e._supervised import (
    NEVER_READY,
    Load,
    ask,
    control,
    is_alive,
    is_gone,
    save,
    status,
    wait_until,
)

if TYPE_CHECKING:
    from tests.e2e._supervised import Start


def test_su_14_upgrades_lose_nothing(start: Start, tmp_path: Path) -> None:
    """One that fails, and two generations that do not, under load."""
    supervised = start(
        "--keepalive-grace", "5", "--pidfile", "pid", "--bind", "unix:app.sock", workers=1
    )
    file = (tmp_path / "app.sock").stat()
    pids = [supervised.pid]
    assert control(tmp_path, "scale", number=2)["ok"]
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
        pids.append(int((tmp_path / "pid").read_text()))
        # Not while the old one drains.
        assert control(tmp_path, "upgrade") == {
            "ok": False,
            "text": "the previous supervisor has not drained yet",
        }
        (tmp_path / "release").touch()
        assert slow.getresponse().read() == b"v1"
    supervised.wait_line("the previous supervisor is gone")
    state = status(tmp_path)
    assert state["pid"] == pids[1]
    assert len(state["workers"]) == 2
    assert state["figures"]["totals"]["requests"] >= requests
    # The second generation.
    save(tmp_path, "v4")
    os.kill(pids[1], signal.SIGUSR2)
    supervised.wait_line("the previous supervisor is gone")
    pids.append(int((tmp_path / "pid").read_text()))
    load.more()
    assert load.end() == []
    assert load.answers == {"v1", "v3", "v4"}
    assert len(set(pids)) == 3
    # The figures of the last second are on their way.
    wait_until(
        lambda: status(tmp_path)["figures"]["totals"]["requests"] >= load.count,
        "the figures of three generations",
    )
    assert os.path.samestat(file, (tmp_path / "app.sock").stat())
    assert control(tmp_path, "drain") == {"ok": True}
    wait_until(partial(is_gone, pids[-1]), "the end of the third")
    for name in ("pid", "ctl.sock", "app.sock"):
        assert not (tmp_path / name).exists()
    assert supervised.process.wait_status() == 0


def test_su_14_two_at_once_one_that_is_killed_and_the_stop(start: Start, tmp_path: Path) -> None:
    supervised = start(workers=1)
    save(tmp_path, "v2", NEVER_READY)
    supervised.signal(signal.SIGUSR2)
    pid = supervised.wait_pid("upgrade: starting process")
    supervised.wait_line("importing ")
    # The second one waits for the first.
    supervised.signal(signal.SIGUSR2)
    supervised.wait_line("upgrade: asked for by a signal")
    os.kill(pid, signal.SIGKILL)
    supervised.wait_line("upgrade: killed by SIGKILL")
    pid = supervised.wait_pid("upgrade: starting process")
    worker = supervised.wait_pid("importing ")
    assert ask(supervised.port) == "v1"
    # The stop does not wait for it.
    supervised.process.process.terminate()
    for each in (pid, worker):
        wait_until(partial(is_gone, each), "the end of the new one and its worker")
    assert supervised.process.process.wait(PATIENCE) == 0
    assert not (tmp_path / "ctl.sock").exists()


WAITS = """
sys.stderr.write("importing\\n")
while not pathlib.Path("go").exists():
    time.sleep(0.02)
"""


def test_su_14_the_new_one_is_killed_when_it_is_ready_and_when_it_has_taken_over(
    start: Start, tmp_path: Path
) -> None:
    supervised = start("--pidfile", "pid", workers=1)
    save(tmp_path, "v2", WAITS)
    # It is ready, and the old one has not heard of it.
    supervised.signal(signal.SIGUSR2)
    pid = supervised.wait_pid("upgrade: starting process")
    supervised.wait_line("importing")
    supervised.signal(signal.SIGSTOP)
    (tmp_path / "go").touch()
    supervised.wait_ready()
    os.kill(pid, signal.SIGKILL)
    wait_until(partial(is_zombie, pid), "the end of the new one")
    supervised.signal(signal.SIGCONT)
    supervised.wait_line("upgrade: killed by SIGKILL")
    wait_until(lambda: ask(supervised.port) == "v1", "the old version alone")
    assert (tmp_path / "pid").read_text() == f"{supervised.pid}\n"
    # It has taken over: requests are answered, and all ends.
    with closing(request(supervised.port, "/slow")) as old:
        supervised.wait_line("begun")
        supervised.signal(signal.SIGUSR2)
        pid = supervised.wait_pid("upgrade: starting process")
        supervised.wait_line("has taken over")
        wait_until(lambda: ask(supervised.port) == "v2", "the new version alone")
        with closing(request(supervised.port, "/slow")) as new:
            supervised.wait_line("begun")
            os.kill(pid, signal.SIGKILL)
            supervised.wait_line("the supervisor is gone: draining")
            (tmp_path / "release").touch()
            assert {old.getresponse().read(), new.getresponse().read()} == {b"v1", b"v2"}
    assert supervised.process.wait_status() == 0
    with pytest.raises(ConnectionRefusedError):
        ask(supervised.port)


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_su_14_the_old_one_is_killed(start: Start, tmp_path: Path) -> None:
    supervised = start("--pidfile", "pid")
    first = supervised.pid
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


def test_su_14_the_environment_is_that_of_the_first(start: Start, tmp_path: Path) -> None:
    """What an env file has set is read anew, and what is between supervisor and worker is gone."""
    (tmp_path / ".env").write_text("GREETING=one\n", encoding="utf-8")
    supervised = start("--env-file", ".env", workers=1)
    assert ask(supervised.port, "/environ") == "one []"
    (tmp_path / ".env").write_text("GREETING=two\n", encoding="utf-8")
    assert control(tmp_path, "roll")["ok"]
    wait_until(lambda: ask(supervised.port, "/environ") == "two []", "the new worker")
    (tmp_path / ".env").write_text("GREETING=three\n", encoding="utf-8")
    assert control(tmp_path, "upgrade")["ok"]
    wait_until(lambda: ask(supervised.port, "/environ") == "three []", "the new supervisor")
    assert control(tmp_path, "drain")["ok"]
    assert supervised.process.wait_status() == 0


# As a socket unit of systemd does: the socket is descriptor 3.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@pytest.mark.parametrize("is_activated", [False, True])
def test_su_1_an_inherited_socket_is_passed_on(tmp_path: Path, is_activated: bool) -> None:
    save(tmp_path, "v1")
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        fd, port = inherited.fileno(), inherited.getsockname()[1]
        command = ["-m", "trillium_trio", "app:app", "--workers", "auto", "--pidfile", "pid"]
        if is_activated:
            command = ["-c", ACTIVATE, str(fd), *command]
        else:
            command += ["--bind", f"fd://{fd}"]
        process = subprocess.Popen(
            [sys.executable, *command],
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
