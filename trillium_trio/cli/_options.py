"""From options and variables to settings."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

from ..http import HttpConfig, Networks
from ..listeners import ProxyBind, TlsBind, parse_bind
from ..server import Config
from ._table import HTTP_FIELDS, SETTINGS_FIELDS, TABLE
from ._tls import TLS_OPTIONS, ssl_context_from

if TYPE_CHECKING:
    from ..listeners import Bind
    from ..server import Settings

__all__ = ["OptionsCommand", "config_from", "given", "is_given"]

C = TypeVar("C", bound="Settings")

# Those of the table that change the settings of a server.
_SETTINGS = {
    *("bind", "insecure_bind", "proxy_protocol", "server_header"),
    *(*TLS_OPTIONS, *SETTINGS_FIELDS, *HTTP_FIELDS),
}


class OptionsCommand(click.Command):
    """A command with the options of the table, which its help shows by section."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they come
        self.params += [option for options in TABLE.values() for option in options]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list for each section, and the options without a section last."""
        rest = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        for section, options in TABLE.items():
            if records := [record for each in options if (record := each.get_help_record(ctx))]:
                with formatter.section(section):
                    formatter.write_dl(records)
            rest = [each for each in rest if each not in options]
        with formatter.section("Other"):
            formatter.write_dl([record for each in rest if (record := each.get_help_record(ctx))])


def config_from(context: click.Context, base: Settings | None = None) -> Settings:
    """Return the settings of a server: those of the code, changed by options and variables.

    Args:
      context: Of a command of class `OptionsCommand`.
      base: The settings in code. Default: the defaults of the options.

    Raises:
      ConfigError: A value is out of range; the message names the field. Or the environment is
        invalid.
      click.UsageError: Options contradict each other, or a file of one of them is invalid.
    """
    values = context.params
    if base is None:
        base = Config(
            **{name: _default(context, name) for name in SETTINGS_FIELDS},  # type: ignore[arg-type]  # of the fields
        )
    http: dict[str, object] = {
        name: values[name] for name in HTTP_FIELDS if is_given(context, name)
    }
    if values["server_header"] is False:
        http["server_header"] = ""
    elif values["server_header"] and not base.http.server_header:
        http["server_header"] = HttpConfig().server_header
    changes = {name: values[name] for name in SETTINGS_FIELDS if is_given(context, name)}
    if http:
        changes["http"] = dataclasses.replace(base.http, **http)  # type: ignore[arg-type]  # by name
    config = dataclasses.replace(base, **changes)
    return _with_listeners(context, config)


def given(context: click.Context) -> list[str]:
    """Name the settings that were given, as an option or a variable, in the order of the help."""
    return [
        option.opts[0]
        for option in context.command.params
        if option.name in _SETTINGS and is_given(context, option.name)
    ]


def is_given(context: click.Context, name: str) -> bool:
    """Whether an option was given, or its variable."""
    return _source(context, name) > _DEFAULT


def _default(context: click.Context, name: str) -> object:
    return next(each for each in context.command.params if each.name == name).get_default(context)


def _with_listeners(context: click.Context, config: C) -> C:
    values = context.params
    if _binds_win(context):
        config = _listening(config, tuple(parse_bind(spec) for spec in values["bind"]))
    elif is_given(context, "host") or is_given(context, "port"):
        config = _listening(config, ())
    tls = ssl_context_from(context)
    if tls is not None:
        config = _listening(
            config,
            tuple(
                TlsBind(each.inner if isinstance(each, TlsBind) else each, tls)
                for each in config.binds()
            ),
        )
    if values["insecure_bind"]:
        if not any(isinstance(each, TlsBind) for each in config.binds()):
            raise click.UsageError("--insecure-bind is for listeners beside TLS: use --bind")
        insecure = tuple(parse_bind(spec) for spec in values["insecure_bind"])
        config = _listening(config, (*config.binds(), *insecure))
    if values["proxy_protocol"]:
        trust = Networks(values["proxy_protocol"], setting="--proxy-protocol")
        config = _listening(config, tuple(_behind(each, trust) for each in config.binds()))
    return config


def _behind(bind: Bind, trust: Networks) -> Bind:
    """Return a bind whose connections begin with a proxy's header."""
    inner = bind.inner if isinstance(bind, TlsBind) else bind
    inner = ProxyBind(inner.inner if isinstance(inner, ProxyBind) else inner, trust)
    return TlsBind(inner, bind.ssl_context) if isinstance(bind, TlsBind) else inner


def _listening(config: C, listeners: tuple[Bind, ...]) -> C:
    return dataclasses.replace(config, listeners=listeners)


# The source of a value, in rising precedence.
_DEFAULT, _VARIABLE, _OPTION = range(3)


def _source(context: click.Context, name: str) -> int:
    match context.get_parameter_source(name):
        case ParameterSource.COMMANDLINE:
            return _OPTION
        case ParameterSource.ENVIRONMENT:
            return _VARIABLE
        case _:
            return _DEFAULT


def _binds_win(context: click.Context) -> bool:
    """Whether to listen on ``--bind`` rather than on ``--host`` and ``--port``."""
    bind = _source(context, "bind")
    address = max(_source(context, "host"), _source(context, "port"))
    if bind == address and bind != _DEFAULT:
        raise click.UsageError("--bind replaces --host and --port; give one or the other")
    return bind > address
