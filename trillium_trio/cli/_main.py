"""The command itself."""

from __future__ import annotations

import sys

import click
from click.shell_completion import CompletionItem

from .._log import SafeLogger
from ..listeners import drop_stored
from ..supervisor import Agent
from ._access_log import AccessLog
from ._admin import admin_from
from ._check import checking
from ._ctl import ctl
from ._environment import take_control
from ._forced_exit import exit_now
from ._logging import configure_from_file, is_set_up, log_to_stderr
from ._options import OptionsCommand, is_given
from ._pidfile import PidFile
from ._reload import reload
from ._serve import serve
from ._target import server_from
from ._watch import watch_from
from ._workers import launch_for_reload, start_listening, supervise, workers_from

__all__ = ["main"]

logger = SafeLogger("trillium_trio.cli")


def main() -> None:
    """Run the command line, and end the process with its status."""
    if sys.argv[1:2] == ["ctl"]:
        ctl(sys.argv[2:], prog_name="trillium-trio ctl")
    _command()


def _complete_target(*event: object) -> list[CompletionItem]:
    """Have the shell complete the file of a target: nothing is imported for a key press."""
    return [CompletionItem(event[-1], type="file")]


@click.command(
    cls=OptionsCommand,
    context_settings={"auto_envvar_prefix": "TRILLIUM", "help_option_names": ["-h", "--help"]},
    epilog="Each option can also be set by a variable: TRILLIUM_DRAIN_TIMEOUT for "
    "--drain-timeout. Exit status: 0 drained clean, 1 something was cut off, 2 usage, "
    "3 could not start.",
)
@click.argument("target", metavar="MODULE:ATTR", shell_complete=_complete_target)
@click.version_option(package_name="trillium-trio")
@click.pass_context
def _command(context: click.Context, /, target: str, **_: object) -> None:
    """Serve an application until SIGINT, SIGTERM or SIGQUIT, then drain.

    MODULE:ATTR, or path/to/file.py:ATTR, names a handler; an ASGI or a WSGI application; a
    Server; or a function without parameters that returns one.
    """
    values = context.params
    agent = Agent(*numbers[:3], exit_now=exit_now) if (numbers := take_control()) else None
    # The one worker of --reload has no slot.
    slot = numbers[3] if len(numbers) > 3 else None
    if agent is not None:
        context.call_on_close(agent.close)
    watch = watch_from(context, target)
    workers = workers_from(context)
    admin = admin_from(context, target)
    if agent is None and not values["check"] and (watch is not None or workers is not None):
        # Not as --log-config says, which may name code of the application.
        log_to_stderr(values["log_level"], values["log_format"])
        with PidFile(values["pidfile"]) as pidfile:
            if watch is not None:
                status = reload(watch, launch_for_reload, pidfile.write)
            else:
                assert workers is not None, "as the condition says"
                status = supervise(workers, values["control"], pidfile.write, admin)
        context.exit(status)
    if values["log_config"] is not None:
        configure_from_file(values["log_config"])
    drop_stored()
    access_log = AccessLog(context)
    server = server_from(context, target, access_log)
    # After importing the application, which may set up logging itself.
    live = None
    if not is_set_up():
        # A check says how it went by itself.
        level = "warning" if values["check"] and not is_given(context, "log_level") else None
        live = log_to_stderr(level or values["log_level"], values["log_format"], slot)
    elif unused := [each for each in ("log_level", "log_format") if is_given(context, each)]:
        names = " and ".join(f"--{each.replace('_', '-')}" for each in unused)
        owner = "the application" if values["log_config"] is None else "--log-config"
        logger.warning("%s sets up logging itself: %s is not used", owner, names)
    access_log.share_terminal(live)
    if access_log.is_unused:
        logger.warning("%s has a Logger of its own: --access-log is not used", target)
    if values["check"]:
        checked = checking(server)
        status = serve(checked, checked.stop)
        click.echo(f"{target} can start")
    elif agent is not None:
        server = start_listening(agent, server)
        agent.obey(server)
        # Without a live line: several workers write to the terminal.
        status = serve(server, lambda: agent.report_ready(server), attend=agent.attend)
        agent.report_end(server)
    else:
        with PidFile(values["pidfile"]) as pidfile:
            status = serve(server, pidfile.write, live, admin=admin)
    context.exit(status)
