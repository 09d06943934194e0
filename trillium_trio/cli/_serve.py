"""Serving in a process of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ..exceptions import BindError, ConfigError, MisuseError
from ..server import relaxed_collector
from ._admin import beside
from ._forced_exit import exit_now, exit_when_stuck
from ._live import show_drain
from ._load import CannotStart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..server import Server
    from ..supervisor import AdminSettings
    from ._live import LiveLine

__all__ = ["serve"]

# User errors: the message is enough, without a traceback.
_EXPECTED = (BindError, ConfigError, MisuseError)


def serve(
    server: Server,
    on_ready: Callable[[], object],
    live: LiveLine | None = None,
    attend: Callable[[Server], Awaitable[object]] | None = None,
    admin: AdminSettings | None = None,
) -> int:
    """Serve under ``trio.run`` until the drain is over; return the exit status.

    Args:
      server: Has not served.
      on_ready: Called when the server is ready; it may raise `CannotStart`.
      live: Shows the drain.
      attend: Runs until the server is over, from when it is ready.
      admin: Where the admin page is; None: nowhere.

    Raises:
      CannotStart: The server did not become ready.
      Exception: What ended the server later.
    """
    is_ready = False
    failure: CannotStart | None = None

    class Status(trio.TaskStatus[object]):
        def started(self, value: object = None) -> None:
            nonlocal is_ready, failure
            is_ready = True
            if attend is not None:
                trio.lowlevel.spawn_system_task(attend, server)
            try:
                on_ready()
            except CannotStart as error:
                failure = error
                server.stop()

    async def run() -> None:
        # System tasks, because a nursery would wrap the exceptions of serve() in groups.
        trio.lowlevel.spawn_system_task(exit_when_stuck, server, exit_now)
        if live is not None:
            trio.lowlevel.spawn_system_task(show_drain, server, live)
        async with beside(admin, server):
            await server.serve(task_status=Status())

    try:
        with relaxed_collector():
            trio.run(run)
    except Exception as error:
        if is_ready:
            raise
        raise _cannot_start(error) from (None if isinstance(error, _EXPECTED) else error)
    if failure is not None:
        raise failure
    return 0 if server.block().is_clean else 1


def _cannot_start(error: Exception) -> CannotStart:
    """Return the reason why the server could not start, in one line."""
    # Without the errno that an OSError puts first.
    text = error.strerror if isinstance(error, BindError) else str(error)
    return CannotStart(text or repr(error))
