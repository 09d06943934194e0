"""Descriptors from the environment, and what is no listening socket."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest
import trio

from trillium_trio.exceptions import BindError, ConfigError
from trillium_trio.listeners import EnvBind, FdBind, inherited_fds, open_listeners

if TYPE_CHECKING:
    from collections.abc import Callable

US = str(os.getpid())


@pytest.mark.parametrize(
    ("environ", "fds"),
    [
        ({"LISTEN_FDS": "2", "LISTEN_PID": US}, [(3, ""), (4, "")]),
        (
            {"LISTEN_FDS": "2", "LISTEN_PID": US, "LISTEN_FDNAMES": "web:admin"},
            [(3, "web"), (4, "admin")],
        ),
        ({"LISTEN_FDS": "2", "LISTEN_PID": US, "LISTEN_FDNAMES": "web"}, [(3, "web"), (4, "")]),
        ({"LISTEN_FD": "7"}, [(7, "")]),
        ({"LISTEN_FD": "7", "LISTEN_FDS": "1", "LISTEN_PID": US}, [(3, "")]),
        ({"LISTEN_FD": "7", "LISTEN_FDS": "1", "LISTEN_PID": "1"}, [(7, "")]),
    ],
)
def test_sv_16_what_the_environment_announces(
    environ: dict[str, str], fds: list[tuple[int, str]]
) -> None:
    assert inherited_fds(environ) == fds


@pytest.mark.parametrize(
    "environ", [{"LISTEN_FDS": "two", "LISTEN_PID": US}, {"LISTEN_FD": "-1"}, {"LISTEN_FD": ""}]
)
def test_sv_16_what_is_no_number(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="in the environment is not a number"):
        inherited_fds(environ)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "LISTEN_FDS is not set, LISTEN_PID is not set, LISTEN_FD is not set"),
        ({"LISTEN_FDS": "0", "LISTEN_PID": US}, f"LISTEN_FDS is '0', LISTEN_PID is '{US}'"),
        ({"LISTEN_FDS": "2"}, "LISTEN_PID is not set"),
        ({"LISTEN_FDS": "2", "LISTEN_PID": "1"}, "LISTEN_PID is '1'"),
    ],
    ids=["nothing", "none", "nobody's", "another's"],
)
def test_sv_16_an_environment_without_sockets_for_us(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"for process {US}: .*{message}"):
        inherited_fds(environ)


async def test_sv_16_a_socket_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    fd = socket.create_server(("127.0.0.1", 0)).detach()
    os.set_inheritable(fd, True)
    monkeypatch.delenv("LISTEN_FDS", raising=False)
    monkeypatch.setenv("LISTEN_FD", str(fd))
    (listener,) = await open_listeners([EnvBind()])
    assert not listener.is_owned
    assert not os.get_inheritable(fd)
    assert not os.get_blocking(fd)
    listener.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


async def test_a_name_and_facts_are_read_off_the_socket() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    (listener,) = await open_listeners([FdBind(server.detach(), "web")])
    assert listener.facts.kind == "tcp"
    assert listener.facts.address == ("127.0.0.1", port)
    assert listener.facts.name == "web"
    listener.close()


async def test_an_abstract_unix_name() -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"\0trillium-trio-test-{US}")
    server.listen()
    (listener,) = await open_listeners([FdBind(server.detach())])
    assert listener.facts.name == f"unix:@trillium-trio-test-{US}"
    listener.close()


def connected() -> socket.socket:
    near, far = socket.socketpair()
    far.close()
    return near


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (socket.socket, "does not listen"),
        (connected, "does not listen"),
        (lambda: socket.socket(type=socket.SOCK_DGRAM), "not a stream socket"),
        (lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW), "not TCP or unix"),
    ],
)
async def test_a_socket_that_is_no_listener_is_left_alone(
    make: Callable[[], socket.socket], reason: str
) -> None:
    with make() as other:
        with pytest.raises(BindError, match=reason) as refused:
            await open_listeners([FdBind(other.fileno())])
        assert refused.value.errno == errno.EINVAL
        assert refused.value.address == f"fd:{other.fileno()}"
        os.fstat(other.fileno())


async def test_a_file_that_is_no_socket_is_left_alone() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(BindError) as refused:
            await open_listeners([FdBind(reading)])
        assert refused.value.errno == errno.ENOTSOCK
        os.fstat(reading)
    finally:
        os.close(reading)
        os.close(writing)


async def test_a_descriptor_that_is_not_open() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with trio.fail_after(1), pytest.raises(BindError) as refused:
        await open_listeners([FdBind(writing)])
    assert refused.value.errno == errno.EBADF
