"""``--workers``: the command line under a supervisor."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from ..exceptions import BindError, ConfigError
from ..listeners import take_stored
from ..server import notify_socket, store_room, watchdog_seconds
from ..supervisor import ChildProcess, SupervisorConfig, Surroundings, run_supervisor
from ._environment import successor_environment, take_handover, worker_environment
from ._load import CannotStart
from ._options import is_given
from ._table import WORKER_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..listeners import LoadPage
    from ..server import Server
    from ..supervisor import AdminSettings, Agent

__all__ = ["launch_for_reload", "start_listening", "supervise", "workers_from"]

# The command line of this process.
_COMMAND: Final = [sys.executable, *sys.orig_argv[1:]]


def workers_from(context: click.Context) -> SupervisorConfig | None:
    """Return what the options say; None without ``--workers``.

    Raises:
      click.UsageError: Options contradict each other, or one is out of range.
    """
    values = context.params
    if values["workers"] is None:
        for name in (*WORKER_FIELDS, "control"):
            if is_given(context, name):
                raise click.UsageError(f"--{name.replace('_', '-')} needs --workers")
        return None
    if values["reload"]:
        raise click.UsageError("--reload has one worker at a time: drop --workers")
    try:
        return SupervisorConfig(
            workers=values["workers"], **{name: values[name] for name in WORKER_FIELDS}
        )
    except ConfigError as error:
        raise click.UsageError(str(error).replace("SupervisorConfig.", "")) from None


def supervise(
    config: SupervisorConfig,
    control_path: str | None,
    on_ready: Callable[[], object],
    admin: AdminSettings | None,
) -> int:
    """Run the command line of this process in workers, until a signal; return the exit status.

    Args:
      config: The settings.
      control_path: Where commands are taken; None: nowhere.
      on_ready: Called when there is a worker that is ready; it may raise `CannotStart`.
      admin: Where the admin page is; None: nowhere.

    Raises:
      CannotStart: There is no control socket, no admin page, or no predecessor where there has to
        be one.
    """
    around = Surroundings(
        launch=_launch,
        launch_successor=partial(
            ChildProcess, _COMMAND, successor_environment, is_worker=False, stdin=None
        ),
        on_ready=on_ready,
        control_path=control_path,
        predecessor=take_handover(),
        notify_address=notify_socket(),
        watchdog=watchdog_seconds(),
        admin=admin,
        store_room=store_room(),
        stored=take_stored(),
    )
    try:
        return run_supervisor(config, around)
    except (OSError, EOFError, ConfigError) as error:
        raise CannotStart(str(error)) from None


def _launch(loads: LoadPage, cell: int, slot: int) -> ChildProcess:
    return ChildProcess(
        _COMMAND, lambda fd: worker_environment(fd, loads.fd, cell, slot), fds=[loads.fd]
    )


def launch_for_reload(_: LoadPage, __: int, ___: int) -> ChildProcess:
    """Start the one worker of ``--reload``, which may be debugged at its terminal."""
    return ChildProcess(_COMMAND, worker_environment, stdin=None)


def start_listening(agent: Agent, server: Server) -> Server:
    """Return a server like this one that listens on the supervisor's sockets.

    Raises:
      CannotStart: An address cannot be bound, or the supervisor is gone.
    """
    try:
        return agent.with_shared_sockets(server)
    except BindError as error:
        raise CannotStart(error.strerror or str(error)) from None
    except (ConfigError, EOFError, ConnectionError) as error:
        raise CannotStart(str(error)) from None
