"""Bind specifications."""

from __future__ import annotations

import pytest

from trillium_trio.exceptions import ConfigError
from trillium_trio.listeners import Bind, FdBind, TcpBind, UnixBind, parse_bind


@pytest.mark.parametrize(
    ("spec", "bind"),
    [
        ("127.0.0.1:8080", TcpBind("127.0.0.1", 8080)),
        ("localhost:0", TcpBind("localhost", 0)),
        ("[::1]:8080", TcpBind("::1", 8080)),
        ("[fe80::1%eth0]:1", TcpBind("fe80::1%eth0", 1)),
        (":8080", TcpBind("", 8080)),
        (8080, TcpBind("0.0.0.0", 8080)),
        ("8080", TcpBind("0.0.0.0", 8080)),
        (65535, TcpBind("0.0.0.0", 65535)),
        ("unix:/run/x", UnixBind("/run/x")),
        ("unix:x:y", UnixBind("x:y")),
        ("/run/x:1", UnixBind("/run/x:1")),
        ("./x.sock", UnixBind("./x.sock")),
        ("fd:3", FdBind(3)),
        ("fd://3", FdBind(3)),
        ("unix:///run/x", UnixBind("///run/x")),
    ],
)
def test_specifications(spec: str | int, bind: Bind) -> None:
    assert parse_bind(spec) == bind


@pytest.mark.parametrize(
    "spec",
    [
        "",
        ":",
        "localhost",
        "localhost:",
        "localhost:http",
        "localhost:65536",
        "localhost:-1",
        "localhost:٣",
        "::1:8080",
        "[::1]",
        "[]:1",
        "http://localhost:8080",
        "local host:1",
        "unix:",
        "fd:",
        "fd:x",
        "fd://",
        "fd:-1",
        65536,
        -1,
    ],
)
def test_what_is_none(spec: str | int) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_bind(spec)
    assert repr(spec) in str(refused.value)
    assert "HOST:PORT" in str(refused.value)
