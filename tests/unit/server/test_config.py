"""The configuration: its fields, their checks, and what is derived from them."""

from __future__ import annotations

import math
import resource
import socket
import ssl
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

import trillium_trio as tt
from trillium_trio.listeners import (
    EnvBind,
    FdBind,
    PreboundBind,
    TcpBind,
    TlsBind,
    UnixBind,
)

# One value of each field that is not its default.
OTHER: dict[str, Any] = {
    "host": "::1",
    "port": 8081,
    "listeners": (TcpBind("127.0.0.1", 0),),
    "signals": True,
    "swansong": tt.Swansong(),
    "nodelay": False,
    "max_connections": 7,
    "drain_delay": 1.5,
    "keepalive_grace": 2,
    "drain_timeout": 30,
    "drain_spread": 3,
    "cleanup_timeout": math.inf,
    "report_interval": 0.5,
    "http": tt.HttpConfig(max_headers=5),
}

WRONG: list[tuple[str, Any]] = [
    ("host", 8080),
    ("port", "8080"),
    ("port", -1),
    ("port", 65_536),
    ("port", True),
    ("listeners", [TcpBind("", 0)]),
    ("listeners", ("127.0.0.1:80",)),
    ("signals", 1),
    ("swansong", "swan"),
    ("nodelay", None),
    ("max_connections", 0),
    ("max_connections", 1.5),
    *((field, -1) for field in ("drain_delay", "keepalive_grace")),
    *((field, None) for field in ("drain_delay", "keepalive_grace", "cleanup_timeout")),
    ("drain_spread", -1),
    ("drain_timeout", -0.1),
    ("drain_timeout", "30"),
    ("cleanup_timeout", math.nan),
    ("report_interval", 0),
    ("shared_state", [1]),
    ("http", None),
]


def test_every_field_has_its_method() -> None:
    assert {field.name for field in fields(tt.Config)} == {*OTHER, "shared_state"}
    for name, value in OTHER.items():
        changed = getattr(tt.config(), f"with_{name}")(value)
        assert changed == tt.Config(**{name: value})
        assert changed != tt.config()
    assert tt.config().with_shared_state("a").with_shared_state(1).shared_state == ("a", 1)


def test_every_method_leaves_the_other_fields() -> None:
    full = tt.Config(**OTHER)
    for name, value in OTHER.items():
        assert getattr(full, f"with_{name}")(value) == full


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_sv_1_a_wrong_setting_is_named(field: str, value: object) -> None:
    with pytest.raises(tt.ConfigError, match=rf"Config\.{field} must be "):
        tt.Config(**{field: value})  # type: ignore[arg-type]  # which is the point


def test_every_field_can_be_wrong() -> None:
    assert {field for field, _ in WRONG} == {field.name for field in fields(tt.Config)}


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        tt.config().port = 1  # type: ignore[misc]  # which is the point


def test_shorthands() -> None:
    assert tt.config().with_address("::", 1) == tt.Config(host="::", port=1)
    assert tt.config().with_signals() == tt.Config(signals=True)
    assert tt.config().without_signals() == tt.Config(signals=False)


def test_listeners_are_recorded_in_order() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with socket.socket() as sock:
        config = (
            tt.config()
            .bind_tcp("127.0.0.1:1")
            .bind_tcp(2)
            .bind_unix(Path("/run/x"), mode=0o660)
            .bind_tls("[::1]:3", context)
            .bind_fd(4)
            .bind_env()
            .bind_listener(sock, name="five")
        )
        assert config.binds() == (
            TcpBind("127.0.0.1", 1),
            TcpBind("0.0.0.0", 2),
            UnixBind("/run/x", 0o660),
            TlsBind(TcpBind("::1", 3), context),
            FdBind(4),
            EnvBind(),
            PreboundBind(sock, "five"),
        )


@pytest.mark.parametrize("method", ["bind_tcp", "bind_tls"])
def test_no_address(method: str) -> None:
    args = ("nowhere",) if method == "bind_tcp" else ("nowhere", None)
    with pytest.raises(tt.ConfigError, match="nowhere"):
        getattr(tt.config(), method)(*args)


@pytest.mark.parametrize(
    ("environ", "host", "port", "expected"),
    [
        ({}, None, None, TcpBind("localhost", 8080)),
        ({"HOST": "::", "PORT": "80"}, None, None, TcpBind("::", 80)),
        ({"HOST": "", "PORT": ""}, None, None, TcpBind("localhost", 8080)),
        ({"HOST": "::", "PORT": "80"}, "h", 1, TcpBind("h", 1)),
        ({"HOST": "::", "PORT": "80"}, None, 0, TcpBind("::", 0)),
        ({"HOST": "/run/x"}, None, None, UnixBind("/run/x")),
        ({}, "./x", None, UnixBind("./x")),
        ({"LISTEN_FDS": "1"}, None, None, EnvBind()),
        ({"LISTEN_FD": "3", "PORT": "80"}, None, None, EnvBind()),
        ({"LISTEN_FD": "3"}, None, 1, TcpBind("localhost", 1)),
    ],
)
def test_the_environment_fills_in(
    environ: dict[str, str],
    host: str | None,
    port: int | None,
    expected: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HOST", "PORT", "LISTEN_FDS", "LISTEN_FD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert tt.Config(host=host, port=port).binds() == (expected,)


@pytest.mark.parametrize("port", ["http", "65536", "-1", "٣"])
def test_a_port_in_the_environment_that_is_none(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(tt.ConfigError, match="PORT in the environment"):
        tt.config().with_host("x").binds()


@pytest.mark.parametrize(("soft", "limit"), [(1024, 768), (1, 1), (resource.RLIM_INFINITY, 10_000)])
def test_the_limit_of_connections_follows_that_of_files(
    soft: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert tt.config().connection_limit() == limit
    assert tt.config().with_max_connections(5).connection_limit() == 5
