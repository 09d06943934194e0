"""From options and variables to settings."""

from __future__ import annotations

import dataclasses
from math import inf
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from trillium_trio import Config, ConfigError, HttpConfig
from trillium_trio.cli._options import OptionsCommand, config_from, given
from trillium_trio.cli._table import TABLE, full_text
from trillium_trio.listeners import FdBind, TcpBind, UnixBind

if TYPE_CHECKING:
    from trillium_trio.server import Settings

# What cannot be said in a word, or is not the command line's to change.
LEFT_OUT = {"listeners", "signals", "swansong", "shared_state", "http"}


def parse(
    *arguments: str, base: Config | None = None, **variables: str
) -> tuple[Settings, list[str]]:
    """Return the settings of a command line, and which of them were given."""

    @click.command(cls=OptionsCommand, context_settings={"auto_envvar_prefix": "TRILLIUM"})
    @click.pass_context
    def command(context: click.Context, /, **_: object) -> None:
        found.append((config_from(context, base), given(context)))

    found: list[tuple[Settings, list[str]]] = []
    environment = {f"TRILLIUM_{name}": value for name, value in variables.items()}
    result = CliRunner().invoke(command, arguments, env=environment, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return found[0]


def test_defaults_are_the_librarys_but_for_the_drain_timeout() -> None:
    assert parse() == (Config(drain_timeout=30.0), [])


@pytest.mark.parametrize("cls", [Config, HttpConfig])
def test_cl_3_every_field_is_an_option(cls: type[Config | HttpConfig]) -> None:
    options = [option for options in TABLE.values() for option in options]
    names = [option.name for option in options]
    assert sorted(names) == sorted(set(names)), "each is in one section"
    for field in dataclasses.fields(cls):
        assert (field.name in names) == (field.name not in LEFT_OUT), field.name
        if field.name in names:
            option = options[names.index(field.name)]
            assert option.help, f"{field.name} has a text in the docstring of {cls.__name__}"
            assert full_text(option).startswith(option.help)


def test_cl_3_an_option_sets_its_field() -> None:
    config, names = parse(
        *["--port", "0", "--drain-delay", "2.5", "--drain-timeout", "inf", "--no-nodelay"],
        *["--max-connections", "7", "--idle-timeout", "3", "--no-server-header"],
    )
    http = HttpConfig(idle_timeout=3.0, server_header="")
    assert config == Config(
        port=0, drain_delay=2.5, drain_timeout=inf, nodelay=False, max_connections=7, http=http
    )
    assert names == [
        *["--server-header", "--port", "--nodelay", "--max-connections", "--idle-timeout"],
        *["--drain-delay", "--drain-timeout"],
    ]


def test_cl_2_an_option_wins_over_its_variable() -> None:
    config, names = parse("--port", "1", PORT="2", DRAIN_DELAY="3")
    assert config == Config(port=1, drain_delay=3.0, drain_timeout=30.0)
    assert names == ["--port", "--drain-delay"]


def test_bind_may_be_repeated() -> None:
    config, names = parse("--bind", "[::1]:80", "--bind", "unix:/run/x", "--bind", "fd:3")
    assert config.listeners == (TcpBind("::1", 80), UnixBind("/run/x"), FdBind(3))
    assert names == ["--bind"]


def test_the_variable_of_bind_holds_several() -> None:
    config, _ = parse(BIND="127.0.0.1:80 fd:3")
    assert config.listeners == (TcpBind("127.0.0.1", 80), FdBind(3))


@pytest.mark.parametrize("other", ["--host", "--port"])
def test_bind_beside_an_address_makes_no_sense(other: str) -> None:
    with pytest.raises(click.UsageError, match="give one or the other"):
        parse("--bind", "fd:3", other, "1")


def test_an_address_and_a_bind_of_the_environment_give_way_to_options() -> None:
    assert parse("--bind", "fd:3", PORT="80")[0].listeners == (FdBind(3),)
    config, _ = parse("--port", "80", BIND="fd:3")
    assert (config.listeners, config.port) == ((), 80)


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--port", "65536", "Config.port"),
        ("--drain-delay", "-1", "Config.drain_delay"),
        ("--bind", "nowhere", "cannot listen on 'nowhere'"),
    ],
)
def test_cl_3_a_value_out_of_range_names_its_field(option: str, value: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse(option, value)


def test_cl_2_the_settings_in_code_stay_unless_given() -> None:
    base = Config(port=1, drain_timeout=7.0, http=HttpConfig(idle_timeout=3.0, max_headers=9))
    assert parse(base=base) == (base, [])
    config, _ = parse("--port", "2", "--max-headers", "8", base=base, DRAIN_DELAY="1.5")
    assert config == dataclasses.replace(
        base, port=2, drain_delay=1.5, http=dataclasses.replace(base.http, max_headers=8)
    )


def test_cl_2_the_listeners_in_code_give_way_to_an_address() -> None:
    base = Config(listeners=(FdBind(3),))
    assert parse("--no-nodelay", base=base)[0].listeners == (FdBind(3),)
    assert parse("--bind", "80", base=base)[0].listeners == (TcpBind("0.0.0.0", 80),)
    config, _ = parse("--port", "80", base=base)
    assert (config.listeners, config.port) == ((), 80)


def test_cl_12_the_server_field_can_be_put_back() -> None:
    named = Config(http=HttpConfig(server_header="mine"))
    without = Config(http=HttpConfig(server_header=""))
    assert parse("--server-header", base=named)[0] == named
    assert parse("--server-header", base=without)[0] == Config()
    assert parse(base=named, SERVER_HEADER="0")[0] == without
