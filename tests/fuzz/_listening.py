"""Where to listen: bind specifications, and what a service manager leaves in the environment."""

from __future__ import annotations

import os
from unittest import mock

import trillium_trio as tt
from tests.fuzz._splits import check_message
from trillium_trio.exceptions import ConfigError
from trillium_trio.listeners import EnvBind, FdBind, TcpBind, UnixBind
from trillium_trio.listeners._inherited import inherited_fds
from trillium_trio.transport import host_and_port

_VARIABLES = ("HOST", "PORT", "LISTEN_FDS", "LISTEN_FD", "LISTEN_PID", "LISTEN_FDNAMES")
# What Linux lets a process have open by default (fs.nr_open); far more than anybody hands over.
_MAX_FDS = 1_048_576


def binds(data: bytes) -> None:
    """Read a bind specification: what it gives can be written down and read again."""
    # As an argument of the command line comes.
    spec = data.decode("utf-8", "surrogateescape")
    try:
        [bind] = tt.config().bind_tcp(spec).listeners
    except ConfigError as error:
        check_message(error, repr(spec))
        return
    match bind:
        case TcpBind(host, port):
            assert 0 <= port <= 65_535
            again = host_and_port(host, port)
        case UnixBind(path, None):
            assert path
            again = f"unix:{path}"
        case FdBind(fd, ""):
            assert fd >= 0
            again = f"fd:{fd}"
        case _:
            raise AssertionError(bind)
    assert tt.config().bind_tcp(again).listeners == (bind,)
    names = {each.__name__: each for each in (TcpBind, UnixBind, FdBind)}
    assert eval(repr(bind), names) == bind


def environments(data: bytes) -> None:
    """Read an environment of lines ``NAME=value``, where ``PID`` stands for this process."""
    # No variable holds a NUL, so that one is taken for a byte that it may hold.
    lines = data.replace(b"\0", b"\x01").decode("utf-8", "surrogateescape").split("\n")
    pairs = [line.partition("=")[::2] for line in lines]
    environ = {name: value for name, value in pairs if name in _VARIABLES}
    if environ.get("LISTEN_PID") == "PID":
        environ["LISTEN_PID"] = str(os.getpid())
    try:
        fds = inherited_fds(environ)
    except ConfigError as error:
        if "LISTEN_FDS" in environ or "LISTEN_FD" in environ:
            _check_named(error, environ)
    else:
        assert 0 < len(fds) <= _MAX_FDS
        assert all(fd >= 0 for fd, _ in fds)
    with mock.patch.dict(os.environ, environ, clear=True):
        try:
            [bind] = tt.config().binds()
        except ConfigError as error:
            _check_named(error, environ)
            return
    match bind:
        case EnvBind():
            assert "LISTEN_FDS" in environ or "LISTEN_FD" in environ
        case UnixBind(path, None):
            assert path == environ["HOST"]
        case TcpBind(host, port):
            assert host == (environ.get("HOST") or "localhost")
            assert port == int(environ.get("PORT") or 8080)
        case _:
            raise AssertionError(bind)


def _check_named(error: ConfigError, environ: dict[str, str]) -> None:
    """Check that the message names the variable and its value."""
    check_message(error)
    assert any(name in str(error) and repr(environ[name]) in str(error) for name in environ)
