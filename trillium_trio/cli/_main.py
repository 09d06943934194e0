"""The command itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import click
import trio

from ..asgi import Asgi, is_asgi
from ..exceptions import BindError, ConfigError, MisuseError
from ..server import Server, relaxed_collector
from ._forced_exit import exit_now, exit_when_stuck
from ._load import CannotStart, load_target
from ._options import config_from, config_options, given

if TYPE_CHECKING:
    from ..asgi import AsgiApp
    from ..conn import HandlerLike

__all__ = ["main"]

# User errors: the message is enough, without a traceback.
_EXPECTED = (BindError, ConfigError, MisuseError)

_LEVELS = ["debug", "info", "warning", "error", "critical"]


def main() -> None:
    """Run the command line, and end the process with its status."""
    _command()


@click.command(
    context_settings={"auto_envvar_prefix": "TRILLIUM", "help_option_names": ["-h", "--help"]},
    epilog="Each option can also be set by a variable: TRILLIUM_DRAIN_TIMEOUT for "
    "--drain-timeout. Exit status: 0 drained clean, 1 something was cut off, 2 usage, "
    "3 could not start.",
)
@click.argument("target", metavar="MODULE:ATTR")
@click.option("--factory", is_flag=True, help="ATTR is called without arguments to get the server.")
@click.option(
    "--log-level",
    type=click.Choice(_LEVELS, case_sensitive=False),
    default="info",
    show_default=True,
    help="The level of the log on stderr, unless the application sets up logging itself.",
)
@config_options
@click.version_option(package_name="trillium-trio")
@click.pass_context
def _command(
    context: click.Context, /, target: str, factory: bool, log_level: str, **_: object
) -> None:
    """Serve an application until SIGINT, SIGTERM or SIGQUIT, then drain.

    MODULE:ATTR, or path/to/file.py:ATTR, names a handler; an ASGI application; or a Server, which
    has its own settings.
    """
    server = _prepare(context, target, factory=factory)
    # After importing the application: no effect if it has set up logging itself.
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    is_ready = False

    class Status(trio.TaskStatus[object]):
        def started(self, value: object = None) -> None:
            nonlocal is_ready
            is_ready = True

    async def serve() -> None:
        # A system task, because a nursery would wrap the exceptions of serve() in groups.
        trio.lowlevel.spawn_system_task(exit_when_stuck, server, exit_now)
        await server.serve(task_status=Status())

    try:
        with relaxed_collector():
            trio.run(serve)
    except Exception as error:
        if is_ready:
            raise
        raise _cannot_start(error) from (None if isinstance(error, _EXPECTED) else error)
    context.exit(0 if server.block().is_clean else 1)


def _prepare(context: click.Context, target: str, *, factory: bool) -> Server:
    """Return the server that the command line asks for.

    Raises:
      click.ClickException: The command line is invalid, or there is no such server.
    """
    try:
        config = config_from(context)
    except ConfigError as error:
        raise CannotStart(str(error)) from None
    found = load_target(target, factory=factory)
    if isinstance(found, Server):
        if options := given(context):
            raise click.UsageError(
                f"{target} is a Server and has its own settings, which "
                f"{', '.join(options)} cannot change"
            )
        return found
    try:
        handler = Asgi(cast("AsgiApp", found)) if is_asgi(found) else found
        # Any object: as_handler() refuses what is not a handler.
        return config.server(cast("HandlerLike", handler))
    except ConfigError as error:
        raise CannotStart(f"{target}: {error}") from None
    except TypeError as error:
        hint = "; with --factory, it is called to get one" if callable(found) else ""
        raise CannotStart(f"{target}: {error}{hint}") from None


def _cannot_start(error: Exception) -> CannotStart:
    """Return the reason why the server could not start, in one line."""
    # Without the errno that an OSError puts first.
    text = error.strerror if isinstance(error, BindError) else str(error)
    return CannotStart(text or repr(error))
