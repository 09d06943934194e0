"""Workers and supervisors that crash, hang, are stopped or killed."""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import signal
import sys
import threading
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.e2e._command import PATIENCE, Process, request
from tests.e2e._supervised import (
    NEVER_READY,
    Load,
    ask,
    is_gone,
    save,
    status,
    wait_until,
)
from trillium_trio.supervisor import ChildProcess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e._supervised import Start


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


def test_su_7_workers_that_hang_and_that_are_stopped(start: Start, tmp_path: Path) -> None:
    supervised = start("--worker-timeout", "3")
    with closing(request(supervised.port, "/block")) as connection:
        supervised.wait_line("begun")
        pid = int(ask(supervised.port, "/pid"))
        os.kill(pid, signal.SIGSTOP)
        ended: dict[int, str] = {}
        log = ""
        while len(ended) < 2:
            log += (line := supervised.wait_line("\n"))
            if found := re.search(r"worker (\d+) of slot \d was ended \((.*)\)", line):
                ended[int(found[1])] = found[2]
        # It cannot tell where it is.
        assert ended.pop(pid) == "killed by SIGKILL"
        [(hanging, how)] = ended.items()
        assert how == "killed by SIGABRT"
        assert re.search(rf":{hanging}\] .*the supervisor ends this process: 1 outstanding", log)
        assert "time.sleep(0.01)" in log
        assert "Fatal Python error: Aborted" in log
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            connection.getresponse()

    def is_replaced() -> bool:
        workers = status(tmp_path)["workers"]
        ready = {each["pid"] for each in workers if each["stage"] == "ready"}
        return len(ready - {pid, hanging}) == 2

    wait_until(is_replaced, "two others")
    assert ask(supervised.port) == "v1"
    supervised.stop()


def test_su_25_a_supervisor_that_is_stopped_for_a_while(start: Start, tmp_path: Path) -> None:
    supervised = start("--worker-timeout", "4")
    before = {each["pid"] for each in status(tmp_path)["workers"]}
    supervised.signal(signal.SIGSTOP)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        assert ask(supervised.port) == "v1"
        time.sleep(0.1)
    supervised.signal(signal.SIGCONT)
    assert {each["pid"] for each in status(tmp_path)["workers"]} == before
    # Nor when it has seen to everything.
    os.kill(supervised.workers[0], signal.SIGKILL)
    supervised.wait_ready()
    supervised.stop()
    assert "is ended: " not in supervised.process.log


def test_su_8_workers_that_wear_out(start: Start) -> None:
    supervised = start("--max-requests", "30", "--max-rss", "10000", "--max-worker-age", "600")
    load = Load(supervised.port)
    supervised.wait_line("is replaced: it has had")
    supervised.wait_line("has drained")
    assert load.end() == []
    supervised.stop()


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


def booting(folder: Path) -> tuple[Process, int]:
    """Start a supervisor; return it, and the worker that imports the application for ever."""
    save(folder, "v1", NEVER_READY)
    command = ["-m", "trillium_trio", "app:app", "--port", "0", "--workers", "1"]
    process = Process([*command, "--pidfile", "pid", "--control", "ctl.sock"], folder)
    return process, int(process.wait_line("importing ").split()[-1])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_su_12_a_supervisor_is_stopped_or_killed_while_it_starts(
    tmp_path: Path, how: signal.Signals
) -> None:
    process, worker = booting(tmp_path)
    try:
        # Only one that is ready has it.
        assert not (tmp_path / "pid").exists()
        process.process.send_signal(how)
        assert process.wait_status() == (0 if how == signal.SIGTERM else -how)
        wait_until(partial(is_gone, worker), "the worker's end")
    finally:
        process.kill()


async def test_su_1_a_process_outlives_the_thread_that_has_started_it() -> None:
    """A death signal would come at the end of the thread: prctl(2), PR_SET_PDEATHSIG."""
    started: list[ChildProcess] = []
    code = "import os; fd = int(os.environ['FD']); os.write(fd, os.read(fd, 99)); os.read(fd, 1)"
    command = [sys.executable, "-I", "-S", "-c", code]
    thread = threading.Thread(
        target=lambda: started.append(ChildProcess(command, lambda fd: {"FD": str(fd)}))
    )
    thread.start()
    thread.join()
    [process] = started
    process.send(b"still there")
    assert await process.receive() == b"still there"
    assert not process.has_ended
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    assert process.has_ended
    process.close()


# -- the log -----------------------------------------------------------------------------------

TALK = """
import logging

async def talk(info):
    for number in range(60):
        logging.getLogger("app").warning("%s", f"<{number}>".ljust(3900, "x") + "$")

app = (tt.Init(talk), app)
"""
_F_SETPIPE_SZ = 1031


def test_su_24_lines_of_several_workers_are_whole(tmp_path: Path) -> None:
    save(tmp_path, "v1", TALK)
    command = ["-m", "trillium_trio", "app:app", "--port", "0", "--workers", "4"]
    process = Process(command, tmp_path, patience=2 * PATIENCE)
    try:
        assert process.process.stderr is not None
        # Full after the first line, so that all of them wait to write.
        fcntl.fcntl(process.process.stderr, _F_SETPIPE_SZ, 4096)
        for _ in range(4):
            process.wait_line(" is ready")
        process.process.terminate()
        assert process.wait_status() == 0
    finally:
        process.kill()
    lines = [each for each in process.log.splitlines() if "x" * 50 in each]
    assert len(lines) == 4 * 60
    found = [re.fullmatch(r".* WARNING \[(\d):\d+\] app: <(\d+)>x+\$", each) for each in lines]
    assert {(int(each[1]), int(each[2])) for each in found if each} == {
        (slot, number) for slot in range(4) for number in range(60)
    }
