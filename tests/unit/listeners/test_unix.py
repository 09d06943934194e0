"""Unix sockets and their files."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trillium_trio.exceptions import BindError
from trillium_trio.listeners import BoundListener, UnixBind, open_listeners
from trillium_trio.listeners._unix import SocketFile

if TYPE_CHECKING:
    from pathlib import Path

    from trillium_trio.transport import Transport


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.sock"


async def open_one(path: Path, mode: int | None = None) -> BoundListener:
    (listener,) = await open_listeners([UnixBind(str(path), mode)])
    return listener


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


async def test_facts(path: Path) -> None:
    listener = await open_one(path)
    assert listener.facts.kind == "unix"
    assert listener.facts.address == str(path)
    assert listener.is_owned
    assert repr(listener) == f"<BoundSocket unix:{path}>"
    listener.close()
    assert repr(listener) == f"<BoundSocket unix:{path} closing>"


async def test_it_accepts(path: Path) -> None:
    listener = await open_one(path)
    with connect(path) as client:
        transport = await listener.accept()
        assert (transport.peer, transport.peer_ip) == ("unix", None)
        client.sendall(b"hello")
        assert await transport.receive_some() == b"hello"
        await transport.aclose()
    listener.close()


@pytest.mark.parametrize("mode", [0o600, 0o666])
async def test_the_mode_is_applied(path: Path, mode: int) -> None:
    listener = await open_one(path, mode)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    listener.close()


async def test_sv_3_a_file_that_refuses_connections_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener = await open_one(path)
    with connect(path):
        (await listener.accept()).abort()
    listener.close()
    assert not path.exists()


async def test_sv_3_a_live_one_is_not(path: Path) -> None:
    live = await open_one(path)
    with pytest.raises(BindError) as refused:
        await open_one(path)
    assert refused.value.errno == errno.EADDRINUSE
    assert refused.value.address == f"unix:{path}"
    assert "another server listens there" in str(refused.value)
    with connect(path):
        pass
    live.close()


async def test_sv_3_a_live_one_with_a_full_queue_is_not(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen(0)
        with connect(path), pytest.raises(BindError) as refused:
            await open_one(path)
    assert refused.value.errno == errno.EADDRINUSE


async def test_sv_3_other_files_are_kept(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(BindError, match="not a socket") as refused:
        await open_one(path)
    assert refused.value.errno == errno.EADDRINUSE
    assert path.read_text() == "precious"


async def test_sv_3_a_failure_leaves_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chmod(*_: object) -> None:
        raise PermissionError(errno.EPERM, "not yours")

    monkeypatch.setattr(os, "chmod", chmod)
    with pytest.raises(BindError, match="not yours"):
        await open_one(path, 0o600)
    assert not path.exists()


async def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(BindError, match="too long") as refused:
        await open_one(tmp_path / ("x" * 200))
    assert refused.value.errno == errno.ENAMETOOLONG


async def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BindError) as refused:
        await open_one(tmp_path / "none" / "x")
    assert refused.value.errno == errno.ENOENT


async def test_sv_6_draining_takes_the_queue_and_removes_the_file(path: Path) -> None:
    listener = await open_one(path)
    clients = [connect(path) for _ in range(20)]
    for client in clients:
        client.sendall(b"hello")
    transports = listener.drain_and_close()
    assert len(transports) == 20
    assert not path.exists()
    for transport, client in zip(transports, clients, strict=True):
        assert await transport.receive_some() == b"hello"
        await transport.aclose()
        client.close()
    assert listener.drain_and_close() == []


async def test_sv_6_a_file_that_somebody_replaced_is_kept(path: Path) -> None:
    listener = await open_one(path)
    path.unlink()
    successor = await open_one(path)
    assert listener.drain_and_close() == []
    assert path.is_socket()
    with connect(path):
        (await successor.accept()).abort()
    successor.close()
    assert not path.exists()


async def test_sv_6_a_file_that_is_gone_is_no_error(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listener = await open_one(path)
    path.unlink()
    listener.close()
    listener.close()
    assert caplog.records == []


async def test_the_working_directory_may_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (listener,) = await open_listeners([UnixBind("./app.sock")])
    assert listener.facts.name == "unix:./app.sock"
    monkeypatch.chdir(tmp_path / "there")
    listener.close()
    assert list((tmp_path / "here").iterdir()) == []


def test_a_file_that_cannot_be_removed_is_logged(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unlink(_: str) -> None:
        raise PermissionError(errno.EACCES, "not allowed")

    path.touch()
    found = path.stat()
    monkeypatch.setattr(os, "unlink", unlink)
    SocketFile(path=str(path), device=found.st_dev, inode=found.st_ino).remove()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", f"cannot remove unix:{path}: not allowed")
    ]


@pytest.mark.parametrize("end", ["close", "drain_and_close"])
async def test_sv_6_a_parked_accept_is_woken(path: Path, end: str, nursery: trio.Nursery) -> None:
    listener = await open_one(path)

    @nursery.start_soon
    async def accept() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()

    await wait_all_tasks_blocked()
    getattr(listener, end)()
    await wait_all_tasks_blocked()
    with pytest.raises(trio.ClosedResourceError, match="is closing"):
        await listener.accept()
    assert listener.accept_nowait() is None


async def test_sv_6_a_listener_closed_after_its_accept_was_woken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its descriptor may be another socket's by the time the accept runs."""
    listener = await open_one(path)
    queued: list[Transport] = []

    async def wait_readable(_: socket.socket) -> None:
        queued.extend(listener.drain_and_close())

    monkeypatch.setattr("trillium_trio.listeners._socket.wait_readable", wait_readable)
    with connect(path), pytest.raises(trio.ClosedResourceError, match="is closing"):
        await listener.accept()
    assert len(queued) == 1
    await queued[0].aclose()


async def test_sv_6_emptying_stops_when_descriptors_run_out(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listener = await open_one(path)
    with connect(path), connect(path), connect(path):
        outcomes = [None, OSError(errno.ECONNABORTED, "gone"), None, OSError(errno.EMFILE, "full")]
        accept = socket.socket.accept

        def accept_or_fail(sock: socket.socket) -> tuple[socket.socket, object]:
            outcome = outcomes.pop(0)
            if outcome is not None:
                raise outcome
            return accept(sock)

        monkeypatch.setattr(socket.socket, "accept", accept_or_fail)
        with caplog.at_level(logging.WARNING):
            transports = listener.drain_and_close()
    assert len(transports) == 2
    assert [record.message for record in caplog.records] == [
        f"unix:{path}: connections left in the queue: [Errno {errno.EMFILE}] full"
    ]
    for transport in transports:
        await transport.aclose()


async def test_sv_6_emptying_is_bounded_in_number(path: Path) -> None:
    (listener,) = await open_listeners([UnixBind(str(path))], backlog=8)
    taken = []

    class Endless:
        """Puts a new connection into the queue for each one taken from it."""

        def __init__(self, sock: socket.socket) -> None:
            self.sock = sock

        def __getattr__(self, name: str) -> object:
            return getattr(self.sock, name)

        def accept(self) -> tuple[socket.socket, object]:
            near, far = socket.socketpair()
            far.close()
            taken.append(near)
            return near, ""

    listener._sock = Endless(listener._sock)  # type: ignore[attr-defined]  # a fake
    transports = listener.drain_and_close()
    assert len(transports) == len(taken) == 8 + 128
    for transport in transports:
        await transport.aclose()


async def test_sv_6_emptying_is_bounded_in_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = await open_one(path)
    now = iter([0.0, 0.05, 0.11])
    monkeypatch.setattr("trillium_trio.listeners._socket.time.monotonic", lambda: next(now))
    with connect(path), connect(path), connect(path):
        transports = listener.drain_and_close()
    assert len(transports) == 2
    for transport in transports:
        await transport.aclose()
