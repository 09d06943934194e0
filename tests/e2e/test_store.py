"""Listening sockets outlive their supervisor in a service manager's store."""

from __future__ import annotations

import os
import re
import signal
import socket
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.e2e._command import PATIENCE
from tests.e2e._manager import Manager
from tests.e2e._supervised import ask, is_alive, save, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e._command import Process


class Service:
    """A supervisor on a TCP port and a unix socket, and its service manager."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.manager = Manager(folder)
        stack.callback(self.manager.close)
        self._stack = stack
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port: int = free.getsockname()[1]
        self.both = ("--bind", f"127.0.0.1:{self.port}", "--bind", "unix:app.sock")
        self.supervised = ("--workers", "1", "--control", "ctl.sock")

    def start(self, *arguments: str, workers: bool = True) -> Process:
        more = self.supervised if workers else ()
        process = self.manager.start(self.folder, *(arguments or self.both), *more)
        self._stack.callback(process.kill)
        self.manager.wait("READY")
        return process

    def connect(self) -> list[socket.socket]:
        """Send a request to each address."""
        tcp = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        unix = socket.socket(socket.AF_UNIX)
        unix.settimeout(PATIENCE)
        unix.connect(str(self.folder / "app.sock"))
        for each in (tcp, unix):
            each.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self._stack.callback(each.close)
        return [tcp, unix]


def answer(client: socket.socket) -> bytes:
    with client.makefile("rb") as stream:
        return stream.read().rpartition(b"\r\n")[2]


def pid_in(line: str) -> int:
    found = re.search(r"(?:worker|process) (\d+)", line)
    assert found is not None
    return int(found[1])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    save(tmp_path, "v1")
    with ExitStack() as stack:
        yield Service(tmp_path, stack)


def test_su_23_a_supervisor_is_killed(service: Service, tmp_path: Path) -> None:
    first = service.start()
    worker = pid_in(first.wait_line(" is ready"))
    file = os.stat(tmp_path / "app.sock")
    assert service.manager.names == [
        f'trillium_trio["tcp","127.0.0.1",{service.port},0]',
        f'trillium_trio["unix","{tmp_path}/app.sock",0,{file.st_dev},{file.st_ino}]',
    ]
    first.process.kill()
    wait_until(lambda: not is_alive(worker), "the end of the worker")

    clients = service.connect()
    save(tmp_path, "v2")
    second = service.start()
    assert [answer(each) for each in clients] == [b"v2", b"v2"]
    second.process.terminate()
    assert second.wait_status() == 0
    assert service.manager.sent.count("FDSTORE") == 2
    assert "FDSTOREREMOVE" not in service.manager.sent


def test_su_23_an_upgrade_and_a_restart(service: Service, tmp_path: Path) -> None:
    first = service.start()
    first.process.send_signal(signal.SIGUSR2)
    second = pid_in(first.wait_line("has taken over"))
    first.wait_line("the previous supervisor is gone")
    os.kill(second, signal.SIGTERM)
    assert first.wait_status() == 0
    wait_until(partial(is_gone, second), "the end of the supervisor")
    assert len(service.manager.names) == 2

    clients = service.connect()
    save(tmp_path, "v2")
    third = service.start()
    assert [answer(each) for each in clients] == [b"v2", b"v2"]
    third.process.terminate()
    assert third.wait_status() == 0
    assert service.manager.sent.count("FDSTORE") == 2


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


def test_su_23_other_addresses(service: Service, tmp_path: Path) -> None:
    first = service.start()
    first.process.kill()

    # The store still holds 127.0.0.1 when this is bound.
    second = service.start("--bind", f"0.0.0.0:{service.port}")
    assert ask(service.port) == "v1"
    assert not (tmp_path / "app.sock").exists()
    wait_until(lambda: len(service.manager.names) == 1, "one in the store")
    assert service.manager.names == [f'trillium_trio["tcp","0.0.0.0",{service.port},0]']
    second.process.kill()

    # Not even a supervisor.
    third = service.start("--bind", f"127.0.0.1:{service.port}", workers=False)
    assert ask(service.port) == "v1"
    third.process.terminate()
    assert third.wait_status() == 0
