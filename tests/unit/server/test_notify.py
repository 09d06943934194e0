"""What a service manager hears, on real datagram sockets in its place."""

from __future__ import annotations

import logging
import os
import socket
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from trillium_trio.server._notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """Listen in place of a service manager; what nobody sent is an error at once."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind(address)
        sock.setblocking(False)
        yield sock


def heard(sock: socket.socket) -> list[str]:
    """Return the lines of the next datagram."""
    return sock.recv(4096).decode().split("\n")


def is_silent(sock: socket.socket) -> bool:
    try:
        sock.recv(4096)
    except BlockingIOError:
        return True
    return False


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    # Bound by a short name: what a socket address can hold, a temporary folder may exceed.
    monkeypatch.chdir(tmp_path)
    return "/proc/self/cwd/notify" if sys.platform == "linux" else str(tmp_path / "notify")


def test_sv_16_ready_says_so_in_one_datagram(path: str) -> None:
    with manager(path) as sock:
        Notifier(path).ready("listening on http://localhost:8080")
        assert heard(sock) == ["READY=1", "STATUS=listening on http://localhost:8080"]
        assert is_silent(sock)


def test_sv_16_stopping_is_announced(path: str) -> None:
    with manager(path) as sock:
        Notifier(path).stopping()
        assert heard(sock) == ["STOPPING=1", "STATUS=draining"]


def test_sv_16_a_drain_shows_its_line_and_asks_for_time(path: str) -> None:
    with manager(path) as sock:
        notifier = Notifier(path)
        notifier.draining("2 left, the oldest is GET /, 1.0 s old", extend_by=7.5)
        notifier.draining("2 left, the oldest is GET /, 6.0 s old", extend_by=None)
        assert heard(sock) == [
            "STATUS=2 left, the oldest is GET /, 1.0 s old",
            "EXTEND_TIMEOUT_USEC=7500000",
        ]
        assert heard(sock) == ["STATUS=2 left, the oldest is GET /, 6.0 s old"]


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's own, unix(7)")
def test_sv_16_an_abstract_socket_will_do() -> None:
    name = f"trillium-trio-test-{os.getpid()}"
    with manager(f"\0{name}") as sock:
        Notifier(f"@{name}").ready("here")
        assert heard(sock) == ["READY=1", "STATUS=here"]


def test_a_status_cannot_smuggle_a_line(path: str) -> None:
    # A guard's label, which a client may have chosen, ends up in it.
    with manager(path) as sock:
        Notifier(path).draining("GET /\nMAINPID=1", extend_by=None)
        assert heard(sock) == ["STATUS=GET / MAINPID=1"]


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative"])
def test_without_a_service_manager_nothing_happens(
    address: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    notifier = Notifier(address)
    notifier.ready("here")
    notifier.draining("there", extend_by=1.0)
    notifier.stopping()
    assert caplog.text == ""
    assert repr(notifier) == "<Notifier without a service manager>"


def test_a_service_manager_that_does_not_listen_is_no_error(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    notifier = Notifier(path)
    notifier.ready("here")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert path in record.getMessage()
    assert repr(notifier) == f"<Notifier {path}>"


def test_a_service_manager_that_does_not_read_holds_nobody_up(path: str) -> None:
    with manager(path) as sock:
        notifier = Notifier(path)
        # Far beyond what a datagram socket queues: net.unix.max_dgram_qlen, 512 at the most here.
        for _ in range(2000):
            notifier.draining("status", extend_by=None)
        assert heard(sock) == ["STATUS=status"]


def test_text_that_is_no_utf_8_does_no_harm(path: str) -> None:
    with manager(path) as sock:
        Notifier(path).ready("unix:/run/\udcff.sock")
        assert heard(sock)[0] == "READY=1"


def test_su_18_what_a_supervisor_reports(tmp_path: Path) -> None:
    with manager(f"{tmp_path}/notify") as sock:
        notifier = Notifier(f"{tmp_path}/notify")
        notifier.reloading()
        first, second, _ = heard(sock)
        assert first == "RELOADING=1"
        assert int(second.removeprefix("MONOTONIC_USEC=")) > 0
        notifier.main_process(17)
        assert heard(sock) == ["MAINPID=17", "READY=1"]
        notifier.alive()
        assert heard(sock) == ["WATCHDOG=1"]
