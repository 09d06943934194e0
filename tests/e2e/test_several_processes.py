"""Several processes on one listening socket, as docs/how-to/several-processes.md has it."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from tests.e2e._command import PATIENCE, clean_environment

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION = """
import os

async def app(conn):
    return conn.ok(str(os.getpid()))
"""


def start(folder: Path, listening: socket.socket) -> subprocess.Popen[str]:
    number = listening.fileno()
    process = subprocess.Popen(
        [sys.executable, "-m", "trillium_trio", "app:app", "--bind", f"fd://{number}"],
        cwd=folder,
        env=clean_environment(),
        pass_fds=[number],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any("listening on" in line for line in process.stderr), "it has ended"
    return process


def ask(port: int) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/", headers={"Connection": "close"})
        return int(connection.getresponse().read())


def test_sv_6_processes_on_one_socket_are_replaced_without_a_refused_connection(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text(APPLICATION, encoding="utf-8")
    processes: list[subprocess.Popen[str]] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        try:
            processes += [start(tmp_path, listening) for _ in range(2)]
            old = {each.pid for each in processes}
            assert {ask(port) for _ in range(20)} <= old
            for each in list(processes):
                each.terminate()
                # While it drains, and when it has ended, the other one accepts.
                assert {ask(port) for _ in range(20)} <= old | {p.pid for p in processes}
                assert each.wait(PATIENCE) == 0
                others = {p.pid for p in processes if p.returncode is None}
                assert {ask(port) for _ in range(20)} <= others
                processes.append(start(tmp_path, listening))
            assert not {ask(port) for _ in range(20)} & old
        finally:
            for each in processes:
                each.kill()
                each.communicate()
