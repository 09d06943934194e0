"""What is stored with the service manager, on a real datagram socket in its place."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from trillium_trio.listeners import SharedSockets, inherited_fds, take_stored
from trillium_trio.server import Notifier, store_room
from trillium_trio.supervisor import Crew, Store, SupervisorConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trillium_trio.listeners import LoadPage
    from trillium_trio.supervisor import Process

Spec = list[str | int | None]

LOOPBACK: Spec = ["tcp", "127.0.0.1", 0]


class World:
    """A crew without workers, and what the service manager has heard."""

    def __init__(self, address: str, room: int) -> None:
        self.crew = Crew(no_process, SupervisorConfig(workers=1))
        self.sockets = self.crew.sockets
        self.store = Store(self.crew, Notifier(address), room)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(address)
        self.manager.setblocking(False)

    def heard(self) -> list[tuple[str, int]]:
        """Return the messages so far, and how many descriptors came with each."""
        found: list[tuple[str, int]] = []
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.manager, 4096, 16)
            except BlockingIOError:
                return found
            for fd in fds:
                os.close(fd)
            found.append((data.decode(), len(fds)))

    def close(self) -> None:
        self.manager.close()
        self.sockets.close()
        self.crew.close()


def no_process(_: LoadPage, __: int, ___: int) -> Process:
    raise OSError


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # A short name: what a socket address can hold, a temporary folder may exceed.
    monkeypatch.chdir(tmp_path)
    with closing(World("/proc/self/cwd/notify", 3)) as made:
        yield made


async def test_su_23_what_is_new_is_stored_and_what_is_closed_is_not(world: World) -> None:
    path = "/proc/self/cwd/a:%\n\u00e4.sock"
    await world.sockets.open([LOOPBACK, ["unix", path, None]])
    world.store.update()
    world.store.update()
    file = os.stat(path)
    tcp = 'FDSTORE=1\nFDNAME=trillium_trio["tcp","127.0.0.1",0,0]'
    facts = f'"/proc/self/cwd/a%3A%25\\n\\u00e4.sock",0,{file.st_dev},{file.st_ino}'
    name = f'trillium_trio["unix",{facts}]'
    assert world.heard() == [(tcp, 1), (f"FDSTORE=1\nFDNAME={name}", 1)]

    world.sockets.keep([[LOOPBACK]])
    world.store.update()
    assert world.heard() == [(f"FDSTOREREMOVE=1\nFDNAME={name}", 0)]


async def test_su_23_not_the_control_socket_and_not_what_is_inherited(
    world: World, tmp_path: Path
) -> None:
    control: Spec = ["unix", "/proc/self/cwd/ctl.sock", 0o600]
    world.crew.own_specs = [control]
    with closing(socket.create_server(("127.0.0.1", 0))) as ours:
        await world.sockets.open([control, ["fd", os.dup(ours.fileno()), ""]])
    world.store.update()
    assert world.heard() == []
    world.sockets.close()
    assert not (tmp_path / "ctl.sock").exists()


async def test_su_23_no_room(world: World, caplog: pytest.LogCaptureFixture) -> None:
    specs: list[Spec] = [LOOPBACK] * 4
    await world.sockets.open([["unix", "/proc/self/cwd/" + 45 * "\u00e4", None], *specs])
    world.store.update()
    world.store.update()
    assert len(world.heard()) == 3
    assert len(caplog.records) == 2, "once for each"
    # One that was not stored makes no room.
    world.sockets.keep([specs[:3]])
    world.store.update()
    assert len(world.heard()) == 2


async def test_su_23_without_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(World("/proc/self/cwd/notify", 0)) as world:
        await world.sockets.open([LOOPBACK, ["unix", "/proc/self/cwd/a.sock", None]])
        world.store.take_over()
        world.store.update()
        assert world.heard() == []
    assert not (tmp_path / "a.sock").exists()


async def test_su_23_what_is_restored_waits_for_a_worker(world: World, tmp_path: Path) -> None:
    specs: list[Spec] = [LOOPBACK, ["unix", "/proc/self/cwd/a.sock", None]]
    await world.sockets.open(specs)
    stored = {
        name: [each.dup() for each in socks] for name, socks in world.sockets.storable([]).items()
    }
    addresses = [each.getsockname() for socks in stored.values() for each in socks]
    world.sockets.release()

    # Another process.
    world.sockets = world.crew.sockets = SharedSockets()
    world.store.restore(stored)
    # A worker that dies before it asks, as when the new code cannot be imported.
    world.crew.keep_sockets()
    world.sockets.drop_restored(specs)
    grant = await world.sockets.open(specs)
    assert [each.sock.getsockname() for each in grant] == addresses
    world.sockets.close()
    assert (tmp_path / "a.sock").exists(), "the store holds it"


@pytest.mark.parametrize(
    "facts", ['["unix","/proc/self/cwd/gone",0,1,2]', '["tcp",1]', "[", "[{}]", '["env",0]']
)
def test_su_23_what_is_not_of_use_is_closed_for_all(world: World, facts: str) -> None:
    name = f"trillium_trio{facts}"
    with closing(socket.create_server(("127.0.0.1", 0))) as ours:
        address = ours.getsockname()
        socket.create_connection(address).close()
        world.store.restore({name: [ours.dup()]})
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
    assert world.sockets.storable([]) == {}
    world.store.update()
    assert world.heard() == [(f"FDSTOREREMOVE=1\nFDNAME={name}", 0)]


@pytest.mark.parametrize(
    ("environ", "room"),
    [
        ({"FDSTORE": "8", "NOTIFY_SOCKET": "/run/notify"}, 8),
        ({"FDSTORE": "8"}, 0),
        ({"NOTIFY_SOCKET": "/run/notify"}, 0),
        ({"FDSTORE": "many", "NOTIFY_SOCKET": "/run/notify"}, 0),
        ({"FDSTORE": "9" * 5000, "NOTIFY_SOCKET": "/run/notify"}, 0),
    ],
)
def test_su_23_what_the_service_manager_allows(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], room: int
) -> None:
    for name in ("FDSTORE", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert store_room() == room


def test_su_23_only_those_of_a_supervisor_are_taken() -> None:
    ours = "trillium_trio[1]"
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "web"}
    before = dict(environ)
    assert take_stored(environ) == {}
    assert environ == before
    environ = {"LISTEN_FDS": "many", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": ours}
    assert take_stored(environ) == {}
    environ = before | {"LISTEN_FDS": "2", "LISTEN_FDNAMES": f"{ours}:web"}
    assert inherited_fds(environ) == [(4, "web")]
