"""Listeners on real addresses, in this process and in others."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trillium_trio.exceptions import BindError
from trillium_trio.listeners import BoundListener, TcpBind, UnixBind, accept_loop, open_listeners
from trillium_trio.transport import SocketTransport

if TYPE_CHECKING:
    from pathlib import Path

    from trillium_trio.transport import Transport


class Resolver(trio.abc.HostnameResolver):
    """Resolves every name to the same addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def getaddrinfo(
        self, host: bytes | None, port: bytes | str | int | None, *_: Any, **__: Any
    ) -> list[Any]:
        return [
            info
            for address in self.addresses
            for info in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
        ]

    async def getnameinfo(self, *_: Any) -> tuple[str, str]:
        raise AssertionError("nobody asks for the name of an address")


def resolve_to(*addresses: str) -> None:
    trio.socket.set_custom_hostname_resolver(Resolver(*addresses))


def address_of(listener: BoundListener) -> tuple[str, int]:
    address = listener.facts.address
    assert isinstance(address, tuple)
    return address


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


async def test_sv_3_port_0_is_one_free_port_on_all_addresses() -> None:
    resolve_to("127.0.0.1", "127.0.0.2", "::1")
    listeners = await open_listeners([TcpBind("name", 0)])
    addresses = [address_of(listener) for listener in listeners]
    assert [address[0] for address in addresses] == ["127.0.0.1", "127.0.0.2", "::1"]
    assert len({address[1] for address in addresses}) == 1
    assert addresses[0][1] != 0
    for listener in listeners:
        with socket.create_connection(address_of(listener)) as client:
            transport = await listener.accept()
            assert transport.peer_ip == client.getsockname()[0]
            await transport.aclose()
        listener.close()


async def test_sv_3_port_0_is_tried_again_if_taken_on_another_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to("127.0.0.1", "127.0.0.2")
    bind, failures = socket.socket.bind, [OSError(errno.EADDRINUSE, "taken")] * 3

    def bind_or_fail(sock: socket.socket, address: tuple[str, int]) -> None:
        if address[0] == "127.0.0.2" and failures:
            raise failures.pop()
        bind(sock, address)

    monkeypatch.setattr(socket.socket, "bind", bind_or_fail)
    before = open_descriptors()
    listeners = await open_listeners([TcpBind("name", 0)])
    assert failures == []
    assert open_descriptors() == before + 2
    for listener in listeners:
        listener.close()

    failures += [OSError(errno.EADDRINUSE, "taken")] * 1000
    with pytest.raises(BindError, match="cannot listen on name:0: taken"):
        await open_listeners([TcpBind("name", 0)])
    assert open_descriptors() == before


async def test_sv_3_addresses_that_the_host_lacks_are_skipped() -> None:
    resolve_to("192.0.2.1", "127.0.0.1")  # The first is for documentation only (RFC 5737).
    (listener,) = await open_listeners([TcpBind("name", 0)])
    assert address_of(listener)[0] == "127.0.0.1"
    listener.close()


async def test_sv_3_one_address_must_bind() -> None:
    before = open_descriptors()
    with pytest.raises(BindError, match=r"192\.0\.2\.1:0") as refused:
        await open_listeners([TcpBind("192.0.2.1", 0)])
    assert refused.value.errno == errno.EADDRNOTAVAIL
    resolve_to()
    with pytest.raises(BindError, match="no address"):
        await open_listeners([TcpBind("name", 0)])
    assert open_descriptors() == before


async def test_sv_3_a_name_that_does_not_resolve() -> None:
    with pytest.raises(BindError, match="cannot listen on name"):
        await open_listeners([TcpBind("name." + "x" * 64, 0)])


async def test_sv_3_a_failure_names_the_address_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        before = open_descriptors()
        with pytest.raises(BindError) as refused:
            await open_listeners(
                [TcpBind("127.0.0.1", 0), UnixBind(str(path)), TcpBind("127.0.0.1", port)]
            )
        assert open_descriptors() == before
    assert refused.value.errno == errno.EADDRINUSE
    assert refused.value.address == f"127.0.0.1:{port}"
    assert not path.exists()


async def test_a_port_can_be_bound_again_at_once() -> None:
    (first,) = await open_listeners([TcpBind("127.0.0.1", 0)])
    host, port = address_of(first)
    with socket.create_connection((host, port)):
        # We close first, so the connection stays in TIME_WAIT on our side.
        await (await first.accept()).aclose()
    first.close()
    (second,) = await open_listeners([TcpBind(host, port)])
    second.close()


async def test_all_interfaces_are_ipv4_and_ipv6() -> None:
    listeners = await open_listeners([TcpBind("", 0)])
    hosts = {address_of(listener)[0] for listener in listeners}
    assert hosts == {"0.0.0.0", "::"}
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize("nodelay", [True, False])
async def test_nodelay(nodelay: bool) -> None:
    (listener,) = await open_listeners([TcpBind("127.0.0.1", 0)], nodelay=nodelay)
    with socket.create_connection(address_of(listener)):
        transport = await listener.accept()
        assert isinstance(transport, SocketTransport)
        option = transport._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert bool(option) == nodelay
        await transport.aclose()
    listener.close()


async def test_sv_6_connections_in_the_queue_are_accepted_and_later_ones_refused() -> None:
    (listener,) = await open_listeners([TcpBind("127.0.0.1", 0)])
    address = address_of(listener)
    started: list[Transport] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_loop, listener, started.append)
        await wait_all_tasks_blocked()
        # The accept loop is woken by these, and runs only after the drain.
        clients = [socket.create_connection(address) for _ in range(20)]
        for client in clients:
            client.sendall(b"hello")
        queued = listener.drain_and_close()
        assert len(queued) == 20
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
    assert started == []
    for transport in queued:
        assert await transport.receive_some() == b"hello"
        transport.send_nowait(b"answer")
        await transport.aclose()
    for client in clients:
        with client:
            assert client.recv(100) == b"answer"
            assert client.recv(100) == b""


async def test_sv_6_a_unix_socket_loses_nobody_under_fire(tmp_path: Path) -> None:
    """Whoever could connect while the listener drained is in the queue that was taken."""
    path = str(tmp_path / "app.sock")
    (listener,) = await open_listeners([UnixBind(path)])
    connected: list[socket.socket] = []

    def fire() -> None:
        while True:
            client = socket.socket(socket.AF_UNIX)
            try:
                client.connect(path)
            except OSError:
                client.close()
                return
            connected.append(client)

    accepted: list[Transport] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, fire)
        while len(accepted) < 50:
            accepted.append(await listener.accept())
        accepted += listener.drain_and_close()
    assert len(connected) == len(accepted)
    for transport, client in zip(accepted, connected, strict=True):
        client.close()
        await transport.aclose()


def run_python(program: str, *args: str, pass_fds: tuple[int, ...] = ()) -> Any:
    """Run a program in another process; returns the JSON that it prints."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *args],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        pass_fds=pass_fds,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


EXHAUSTED = """
import json, logging, resource, socket
import trio
from trillium_trio.listeners import TcpBind, accept_loop, open_listeners

class Log(logging.Handler):
    def emit(self, record):
        log.append([record.levelname, record.getMessage().split(": ", 1)[1]])

log = []
logging.getLogger("trillium_trio.listeners").addHandler(Log())
logging.getLogger("trillium_trio.listeners").setLevel("INFO")

async def main():
    (listener,) = await open_listeners([TcpBind("127.0.0.1", 0)])
    clients = [socket.create_connection(listener.facts.address) for _ in range(20)]
    # Room for 10 of the 20.
    limit = clients[-1].fileno() + 1 + 10
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    started = []
    counts = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_loop, listener, started.append)
        await trio.sleep(0.35)
        counts.append(len(started))
        for transport in started[:10]:
            await transport.aclose()
        with trio.fail_after(10):
            while len(started) < 20:
                await trio.sleep(0.01)
        counts.append(len(started))
        listener.close()
    for transport in started:
        await transport.aclose()
    for client in clients:
        client.close()
    print(json.dumps([counts, log]))

trio.run(main)
"""


def test_sv_14_running_out_of_descriptors() -> None:
    counts, log = run_python(EXHAUSTED)
    assert counts == [10, 20]
    assert log == [
        ["WARNING", f"cannot accept: [Errno {errno.EMFILE}] Too many open files; waiting"],
        ["INFO", "accepting again"],
    ]


# What systemd does between fork and exec: the socket to descriptor 3, the variables, and then the
# program in the same process.
LAUNCH = """
import os, sys
fd, program, pid = int(sys.argv[1]), sys.argv[2], sys.argv[3] or str(os.getpid())
if fd == 3:
    os.set_inheritable(3, True)
else:
    os.dup2(fd, 3, inheritable=True)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": pid, "LISTEN_FDNAMES": "web"}
os.execv(sys.executable, [sys.executable, "-W", "error", "-c", program])
"""

ACTIVATED = """
import json, os
import trio
from trillium_trio.exceptions import ConfigError
from trillium_trio.listeners import EnvBind, open_listeners

async def main():
    try:
        (listener,) = await open_listeners([EnvBind()])
    except ConfigError:
        print("null")
        return
    transport = await listener.accept()
    await transport.send_some(b"activated")
    await transport.aclose()
    print(json.dumps([listener.facts.name, listener.is_owned, os.get_inheritable(3)]))
    assert listener.drain_and_close() == []

trio.run(main)
"""


def test_sv_16_socket_activation(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        name, is_owned, is_inheritable = run_python(
            LAUNCH, str(server.fileno()), ACTIVATED, "", pass_fds=(server.fileno(),)
        )
        assert (name, is_owned, is_inheritable) == ("web", False, False)
        assert client.recv(100) == b"activated"
        # The file and the queue are still there for whoever else holds the socket.
        with socket.socket(socket.AF_UNIX) as next_client:
            next_client.connect(path)
            near, _ = server.accept()
            near.close()


def test_sv_16_sockets_of_another_process_are_not_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        fd = server.fileno()
        assert run_python(LAUNCH, str(fd), ACTIVATED, "1", pass_fds=(fd,)) is None
