"""From what ``MODULE:ATTR`` names to a server."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, cast

import click

from ..asgi import Asgi, is_asgi
from ..exceptions import ConfigError
from ..handlers import Forwarded
from ..server import Config, Server, Settings
from ..wsgi import Wsgi, is_wsgi
from ._admin import measured
from ._headers import DefaultHeaders, parse_headers
from ._load import CannotStart, call_factory, load_target
from ._options import config_from, given, is_given

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from ..asgi import AsgiApp
    from ..conn import Handler, HandlerLike
    from ._access_log import AccessLog

__all__ = ["server_from"]

# Options of applications, and the arguments of `Asgi` and `Wsgi` that they are.
_APPLICATION_OPTIONS = {"root_path": "root_path", "wsgi_threads": "threads"}


def server_from(context: click.Context, target: str, access_log: AccessLog) -> Server:
    """Load the target and return the server that the command line asks for.

    Args:
      context: Of the command.
      target: ``MODULE:ATTR``.
      access_log: Goes in front.

    Raises:
      click.ClickException: The command line is invalid, or there is no such server.
    """
    values = context.params
    # First: a wrong option is cheaper to find than to load an application.
    added = _handlers_from(context)
    base = _base_from(context)
    found = load_target(target, factory=values["factory"], folder=values["app_dir"])
    if _is_factory(found):
        found = call_factory(found, target)
    if isinstance(found, Config):
        raise CannotStart(
            f"{target} is a Config and serves nothing: name a handler or config.server(handler), "
            f"and give the Config as --config {target}"
        )
    handler: object
    if isinstance(found, Server):
        _refuse_application_options(context, f"{target} is a Server")
        if base is not None:
            raise click.UsageError(f"{target} is a Server and has its own Config: drop --config")
        if not (given(context) or added or access_log.is_on or values["metrics"]):
            return found
        # Another server, which code that holds the first one can still stop.
        handler = found.handler
        base = dataclasses.replace(found.config, swansong=found.swansong)
    else:
        handler = _handler_like(context, found, target)
    try:
        config = config_from(context, base)
    except ConfigError as error:
        raise CannotStart(str(error)) from None
    return _serving(handler, target, config, added, access_log, is_measured=values["metrics"])


def _handlers_from(context: click.Context) -> list[Handler]:
    """Return the handlers that options put in front of the application."""
    values = context.params
    handlers: list[Handler] = []
    if values["forwarded_allow_ips"]:
        handlers.append(Forwarded(values["forwarded_allow_ips"]))
    if headers := parse_headers(values["header"]):
        handlers.append(DefaultHeaders(headers))
    return handlers


def _base_from(context: click.Context) -> Settings | None:
    """Return the `Config` that ``--config`` names."""
    name = context.params["config"]
    if name is None:
        return None
    found = load_target(name, factory=False, folder=context.params["app_dir"])
    if not isinstance(found, Settings):
        raise CannotStart(f"--config {name}: expected a Config, not {found!r}")
    return found


def _is_factory(found: object) -> bool:
    """Whether it can only be a factory: every handler and application takes an argument."""
    return (
        inspect.isfunction(found)
        and not inspect.iscoroutinefunction(found)
        and not inspect.signature(found).parameters
    )


def _serving(
    handler: object,
    target: str,
    config: Settings,
    added: list[Handler],
    access_log: AccessLog,
    *,
    is_measured: bool,
) -> Server:
    try:
        # Any object: as_handler() refuses what is not a handler.
        like = cast("HandlerLike", handler)
        whole = access_log.in_front_of((*added, like) if added else like)
        return Server(measured(whole) if is_measured else whole, config)
    except ConfigError as error:
        raise CannotStart(f"{target}: {error}") from None
    except TypeError as error:
        hint = "; with --factory, it is called to get one" if callable(handler) else ""
        raise CannotStart(f"{target}: {error}{hint}") from None


def _handler_like(context: click.Context, found: object, target: str) -> object:
    """Wrap an application of another interface; return any other object as it is.

    Raises:
      click.UsageError: An option is for applications of another kind.
      CannotStart: The application, or the value of an option, is refused.
    """
    given_for_it = {
        argument: context.params[option]
        for option, argument in _APPLICATION_OPTIONS.items()
        if is_given(context, option)
    }
    try:
        # First: an ASGI application is not called with two arguments, but a WSGI application may
        # take a third.
        if is_wsgi(found):
            return Wsgi(cast("WSGIApplication", found), **given_for_it)
        if is_asgi(found):
            _refuse_application_options(context, f"{target} is an ASGI application", "wsgi_threads")
            return Asgi(cast("AsgiApp", found), **given_for_it)
    except ConfigError as error:
        raise CannotStart(f"{target}: {error}") from None
    _refuse_application_options(context, f"{target} is not an ASGI or WSGI application")
    return found


def _refuse_application_options(context: click.Context, why: str, *names: str) -> None:
    for name in names or _APPLICATION_OPTIONS:
        if is_given(context, name):
            raise click.UsageError(f"--{name.replace('_', '-')} has no effect: {why}")
