"""Options of the command line, generated from the fields of `Settings` and `HttpConfig`.

A new field becomes an option automatically; nothing about it is repeated here.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

from ..http import HttpConfig
from ..listeners import parse_bind
from ..server import Config, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["config_from", "config_options", "given"]

F = TypeVar("F", bound="Callable[..., object]")

# Fields of other types, such as `Config.swansong`, cannot be given as text.
_TYPES = {"int": int, "float": float, "str": str, "bool": bool}

# A process must be stoppable by signals. (`--bind` sets `Config.listeners`.)
_NOT_OPTIONS = frozenset({"signals"})

# Where the default differs from the library's. 30: the usual grace period of containers.
_DEFAULTS: Mapping[str, object] = {"drain_timeout": 30.0}

_ATTRIBUTE = re.compile(r"^  (\w+): ((?:.|\n   +)+)", re.MULTILINE)
_FACT = re.compile(r"(Default|Unit|Prevents): ")


def config_options(command: F) -> F:
    """Add ``--bind``, and one option for each setting; see `config_from`."""
    for option in reversed(
        [_bind_option(), *_field_options(Settings), *_field_options(HttpConfig)]
    ):
        command = option(command)
    return command


def config_from(context: click.Context) -> Config:
    """Return the settings that the options of a command line give.

    Raises:
      ConfigError: A value is out of range; the message names the field.
      click.UsageError: ``--bind`` is given together with ``--host`` or ``--port``.
    """
    values = dict(context.params)
    http = HttpConfig(**{name: values[name] for name in _names(HttpConfig)})
    config = Config(**{name: values[name] for name in _names(Settings)}, http=http)
    if not _binds_win(context):
        return config
    return config.with_listeners(tuple(parse_bind(spec) for spec in values["bind"]))


def given(context: click.Context) -> list[str]:
    """Name the settings that were given, as an option or a variable, in the order of the help."""
    settings = {"bind", *_names(Settings), *_names(HttpConfig)}
    return [
        option.opts[0]
        for option in context.command.params
        if option.name in settings and _source(context, option.name) > _DEFAULT
    ]


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


def _bind_option() -> Callable[[F], F]:
    return click.option(
        "--bind",
        multiple=True,
        metavar="ADDRESS",
        help="HOST:PORT, [IPV6]:PORT, PORT, unix:PATH or fd:NUMBER, instead of host and port. "
        "May be repeated.",
    )


def _field_options(cls: type[Settings | HttpConfig]) -> Iterator[Callable[[F], F]]:
    texts = dict(_ATTRIBUTE.findall(inspect.getdoc(cls) or ""))
    for field in _fields(cls):
        flag = field.name.replace("_", "-")
        is_flag = _type_of(field) is bool
        description, facts = _split(texts.get(field.name, ""))
        default = _DEFAULTS.get(field.name, field.default)
        yield click.option(
            f"--{flag}/--no-{flag}" if is_flag else f"--{flag}",
            type=_type_of(field),
            default=default,
            metavar=None if is_flag else facts.get("Unit", "").upper() or None,
            help=description,
            # If the default is None, the field's text says what it means.
            show_default=facts.get("Default", "") if default is None else True,
        )


def _split(text: str) -> tuple[str, dict[str, str]]:
    """Split a field's text into its description and its facts: default, unit, what it prevents."""
    text = re.sub(r"`+", "", " ".join(text.split()))
    description, *rest = _FACT.split(text)
    facts = [fact.strip().removesuffix(".") for fact in rest[1::2]]
    return description.strip(), dict(zip(rest[::2], facts, strict=True))


def _names(cls: type[Settings | HttpConfig]) -> Iterator[str]:
    return (field.name for field in _fields(cls))


def _fields(cls: type[Settings | HttpConfig]) -> Iterator[dataclasses.Field[object]]:
    for field in dataclasses.fields(cls):
        if field.name not in _NOT_OPTIONS and _base_of(field) in _TYPES:
            yield field


def _type_of(field: dataclasses.Field[object]) -> type:
    return _TYPES[_base_of(field)]


def _base_of(field: dataclasses.Field[object]) -> str:
    # Annotations may be strings: "float | None".
    return str(field.type).removesuffix(" | None")
