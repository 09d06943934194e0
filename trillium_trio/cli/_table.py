"""The table of options: every option of the command line, by section of the help.

An option for a field of `Settings`, `HttpConfig` or `SupervisorConfig` takes its type, unit,
default and text from the class; the others are written here. The help, the reference page and
the completion of a shell come from this table.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import TYPE_CHECKING, Final

import click

from ..exceptions import ConfigError
from ..http import HttpConfig, Networks
from ..server import Settings
from ..supervisor import SupervisorConfig, usable_cores
from ._environment import load_env_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["HTTP_FIELDS", "SETTINGS_FIELDS", "TABLE", "WORKER_FIELDS", "full_text"]

# Where the default differs from the library's. 30: the usual grace period of containers.
_DEFAULTS: Mapping[str, object] = {"drain_timeout": 30.0}

_LEVELS = ["debug", "info", "warning", "error", "critical"]

# Fields of other types, such as `Config.swansong`, cannot be given as text.
_TYPES = {"int": int, "float": float, "str": str, "bool": bool}

_ATTRIBUTE = re.compile(r"^  (\w+): ((?:.|\n   +)+)", re.MULTILINE)
_FACT = re.compile(r"(Default|Unit|Prevents): ")
_SENTENCE = re.compile(r".+?\.(?= |$)")


def _fields() -> Iterator[tuple[str, tuple[dataclasses.Field[object], str]]]:
    for cls in (Settings, HttpConfig, SupervisorConfig):
        texts = dict(_ATTRIBUTE.findall(inspect.getdoc(cls) or ""))
        for field in dataclasses.fields(cls):
            yield field.name, (field, re.sub(r"`+", "", " ".join(texts[field.name].split())))


_FIELDS: Final = dict(_fields())


def _split(text: str) -> tuple[str, dict[str, str]]:
    """Split a field's text into its description and its facts: default, unit, what it prevents."""
    description, *rest = _FACT.split(text)
    facts = [fact.strip().removesuffix(".") for fact in rest[1::2]]
    return description.strip(), dict(zip(rest[::2], facts, strict=True))


def _field(name: str) -> click.Option:
    """Return the option for a field."""
    field, text = _FIELDS[name]
    # Annotations are strings: "float | None".
    kind = _TYPES[str(field.type).removesuffix(" | None")]
    flag = name.replace("_", "-")
    description, facts = _split(text)
    short = _SENTENCE.match(description)
    default = _DEFAULTS.get(name, field.default)
    return click.Option(
        [f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}"],
        type=kind,
        default=default,
        metavar=None if kind is bool else facts.get("Unit", "").upper() or None,
        help=description if short is None else short[0],
        # If the default is None, the field's text says what it means.
        show_default=facts.get("Default", "") if default is None else True,
    )


def _file() -> click.Path:
    return click.Path(exists=True, dir_okay=False)


def _folder() -> click.Path:
    return click.Path(exists=True, file_okay=False)


def _worker_option(name: str, metavar: str | None = None) -> click.Option:
    """Return the option for a field of `SupervisorConfig`."""
    option = _field(name)
    option.metavar = metavar or option.metavar
    return option


def _check_workers(_: click.Context, option: click.Parameter, value: str | None) -> int | None:
    if value is None or value == "":
        return None
    if value == "auto":
        return usable_cores()
    if not (value.isascii() and value.isdigit() and len(value) <= 3 and int(value)):
        raise click.BadParameter(f"expected a number or auto, not {value!r}", param=option)
    return int(value)


def _load_env_file(_: click.Context, option: click.Parameter, value: Path | None) -> Path | None:
    if value is not None:
        try:
            load_env_file(value)
        except (OSError, ValueError) as error:
            raise click.BadParameter(str(error), param=option) from None
    return value


def _check_networks(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    try:
        Networks(value or "", setting=option.opts[0])
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    return value


TABLE: Final[Mapping[str, tuple[click.Option, ...]]] = {
    "Application": (
        click.Option(
            ["--factory"],
            is_flag=True,
            help="ATTR is called without arguments to get the application.",
        ),
        click.Option(
            ["--root-path"],
            metavar="PATH",
            help="The path below which a proxy serves an ASGI or WSGI application.",
        ),
        click.Option(
            ["--wsgi-threads"],
            type=int,
            metavar="N",
            help="How many requests of a WSGI application are in threads at a time. [default: 40]",
        ),
        click.Option(
            ["--config"],
            metavar="MODULE:ATTR",
            help="A Config to start from; options and variables override it.",
        ),
        click.Option(
            ["--app-dir"],
            type=_folder(),
            metavar="DIR",
            help="Import from this folder first. [default: the current one]",
        ),
        click.Option(
            ["--header"],
            multiple=True,
            metavar="NAME:VALUE",
            help="Add this field to each response that lacks it. May be repeated.",
        ),
        click.Option(
            ["--server-header/--no-server-header"],
            default=None,
            help="Whether responses have a Server field. [default: server-header]",
        ),
        click.Option(
            ["--check"], is_flag=True, help="Load, init, clean up and exit; bind nothing."
        ),
    ),
    "Listeners": (
        click.Option(
            ["--bind"],
            multiple=True,
            metavar="ADDRESS",
            help="HOST:PORT, [IPV6]:PORT, PORT, unix:PATH or fd://NUMBER, instead of host and "
            "port. May be repeated.",
        ),
        click.Option(
            ["--insecure-bind"],
            multiple=True,
            metavar="ADDRESS",
            help="As --bind, without TLS where the others have it. May be repeated.",
        ),
        _field("host"),
        _field("port"),
        _field("nodelay"),
    ),
    "Proxies": (
        click.Option(
            ["--forwarded-allow-ips"],
            metavar="NETWORKS",
            callback=_check_networks,
            help="Believe Forwarded or X-Forwarded-For and -Proto from these proxies: networks, "
            "unix, or * for every peer, separated by commas. [default: none]",
        ),
        click.Option(
            ["--proxy-protocol"],
            metavar="NETWORKS",
            callback=_check_networks,
            help="Each connection begins with a PROXY protocol header of one of these proxies; "
            "others are closed. [default: none]",
        ),
    ),
    "TLS": (
        click.Option(
            ["--certfile"],
            type=_file(),
            metavar="FILE",
            help="The certificate and its chain, as PEM: all listeners have TLS.",
        ),
        click.Option(
            ["--keyfile"],
            type=_file(),
            metavar="FILE",
            help="The private key, as PEM. [default: in the certificate's file]",
        ),
        click.Option(
            ["--keyfile-password"],
            metavar="TEXT",
            help="Decrypts the private key. Prefer its variable: a command line is public.",
        ),
        click.Option(
            ["--ca-certs", "--client-ca"],
            type=_file(),
            metavar="FILE",
            help="The authorities, as PEM, whose client certificates are accepted.",
        ),
        click.Option(
            ["--cert-reqs"],
            type=click.Choice(["none", "optional", "required"], case_sensitive=False),
            help="Whether clients show a certificate. [default: required with --ca-certs]",
        ),
        _field("handshake_timeout"),
        _field("handshake_grace"),
    ),
    "Limits": (
        _field("max_connections"),
        _field("max_head_bytes"),
        _field("max_headers"),
        _field("max_target_bytes"),
        _field("max_body_bytes"),
        _field("max_json_bytes"),
        _field("max_trailer_bytes"),
        _field("max_connection_age"),
        _field("max_connection_requests"),
    ),
    "Timeouts": (
        _field("head_timeout"),
        _field("idle_timeout"),
        _field("body_timeout"),
        _field("write_timeout"),
        _field("min_rate"),
        _field("linger_timeout"),
    ),
    "Drain": (
        _field("drain_delay"),
        _field("keepalive_grace"),
        _field("drain_timeout"),
        _field("drain_spread"),
        _field("cleanup_timeout"),
        _field("report_interval"),
    ),
    "Logging": (
        click.Option(
            ["--log-level"],
            type=click.Choice(_LEVELS, case_sensitive=False),
            default="info",
            show_default=True,
            help="The level of the log on stderr.",
        ),
        click.Option(
            ["--log-format"],
            type=click.Choice(["plain", "json"], case_sensitive=False),
            default="plain",
            show_default=True,
            help="One line of text or one JSON object for each record.",
        ),
        click.Option(
            ["--log-config"],
            type=_file(),
            metavar="FILE",
            help="Set up logging from a .json, .yaml or .ini file, before the application is "
            "imported.",
        ),
        click.Option(
            ["--access-log"],
            metavar="FORMAT",
            default="off",
            show_default=True,
            help="A line for each request: dev, common, combined, json, or a template such as "
            "'%(h)s %(r)s %(s)s %(L)s'.",
        ),
        click.Option(
            ["--access-logfile"],
            type=click.Path(dir_okay=False, allow_dash=True),
            metavar="FILE",
            default="-",
            show_default=True,
            help="Where these lines go; - is standard output.",
        ),
    ),
    "Workers": (
        click.Option(
            ["--workers"],
            metavar="N",
            callback=_check_workers,
            help="Serve in this many processes, which a supervisor starts, watches and replaces; "
            "auto: one for each core. [default: serve in this process]",
        ),
        _worker_option("roll", metavar="N|N%"),
        _worker_option("start_timeout"),
        _worker_option("worker_timeout"),
        _worker_option("max_requests", metavar="N"),
        _worker_option("max_rss"),
        _worker_option("max_worker_age"),
        _worker_option("max_crashes", metavar="N"),
        click.Option(
            ["--control"],
            type=click.Path(dir_okay=False),
            metavar="PATH",
            help="A unix socket, for this user alone, on which trillium-trio ctl gives commands.",
        ),
    ),
    "Admin page": (
        click.Option(
            ["--admin"],
            multiple=True,
            metavar="ADDRESS",
            help="Show the service there: a page, /status, /metrics, /livez, /readyz. May be "
            "repeated.",
        ),
        click.Option(
            ["--admin-token"],
            metavar="TEXT",
            help="Asked for there, as needed on an address that other machines reach. Prefer its "
            "variable: a command line is public.",
        ),
        click.Option(
            ["--admin-host"],
            multiple=True,
            metavar="NAME",
            help="A name by which it may be asked for, besides localhost and any address. May be "
            "repeated.",
        ),
        click.Option(
            ["--metrics"],
            is_flag=True,
            help="Measure each request for /metrics, as the handler Metrics does.",
        ),
    ),
    "Reload": (
        click.Option(
            ["--reload"],
            is_flag=True,
            help="Start again when a file changes; the old code finishes what it has begun.",
        ),
        click.Option(
            ["--reload-dir"],
            multiple=True,
            type=_folder(),
            metavar="DIR",
            help="Watch this folder and those below. May be repeated. [default: that of --app-dir]",
        ),
        click.Option(
            ["--reload-include"],
            multiple=True,
            metavar="GLOB",
            help="Watch such files besides *.py, also hidden ones. May be repeated.",
        ),
        click.Option(
            ["--reload-exclude"],
            multiple=True,
            metavar="GLOB",
            help="Do not watch such files and folders, nor hidden ones, __pycache__, "
            "site-packages, node_modules. May be repeated.",
        ),
    ),
    "Process": (
        click.Option(
            ["--env-file"],
            type=_file(),
            metavar="FILE",
            is_eager=True,
            callback=_load_env_file,
            help="Set the variables in this file that the environment lacks.",
        ),
        click.Option(
            ["--pidfile"],
            type=click.Path(dir_okay=False),
            metavar="FILE",
            help="Holds the process id from ready to the end.",
        ),
    ),
}


def full_text(option: click.Option) -> str:
    """Return all that is known of an option, for the reference: a field's whole description."""
    if option.name in _FIELDS and option.name != "server_header":
        description, facts = _split(_FIELDS[option.name][1])
        prevents = facts.get("Prevents")
        return f"{description} Prevents: {prevents}." if prevents else description
    return option.help or ""


_OPTIONS: Final = {option.name for options in TABLE.values() for option in options}

SETTINGS_FIELDS: Final = tuple(
    field.name for field in dataclasses.fields(Settings) if field.name in _OPTIONS
)
"""The fields of `Settings` that are options."""

HTTP_FIELDS: Final = tuple(
    field.name
    for field in dataclasses.fields(HttpConfig)
    if field.name in _OPTIONS and field.name != "server_header"
)
"""Those of `HttpConfig`, except `server_header`: its option only says whether there is one."""

WORKER_FIELDS: Final = tuple(
    field.name
    for field in dataclasses.fields(SupervisorConfig)
    if field.name in _OPTIONS and field.name != "workers"
)
"""Those of `SupervisorConfig`, except `workers`: without its option there is no supervisor."""
