"""The last resort: leaving a process that something which cannot be cut would hold.

What shields itself from cancellation, or runs in a thread that cannot be abandoned, holds
``serve()`` for as long as it likes. A library has to put up with that; a process that was told to
end has not.
"""

from __future__ import annotations

import logging
import os
import sys
from math import inf
from typing import TYPE_CHECKING

import trio

from .._log import SafeLogger
from ..swansong import attach_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..server import Server

__all__ = ["leave", "leave_when_held"]

logger = SafeLogger("trillium_trio.cli")


async def leave_when_held(server: Server, leave: Callable[[], object]) -> None:
    """Call ``leave`` if, after the stop, the server does not end when all its times have passed.

    .. code-block:: text

        stop -- drain_delay + drain_timeout, or cut -- cleanup_timeout -- cleanup_timeout -- leave
                                                             '--- work that is left --------- leave

    Args:
      server: Serves, or is about to. A ``drain_timeout`` of None is patience without end, and ends
        with the second signal.
      leave: Ends the process.

    Cancellation:
      Nothing happens any more: the server has ended of itself.
    """
    config = server.config
    drain = inf if config.drain_timeout is None else config.drain_timeout
    await server.swansong.shutting_down()
    # Reached by cancel(), and by the deadline of shut_down(timeout).
    with attach_scope(server.swansong, counts=False):
        await trio.sleep(config.drain_delay + drain)
    # Once for what was cut to end. If that is done the lifespans are being left, which are given
    # the same time from their own start, and then the moment that their cancellation takes.
    await trio.sleep(config.cleanup_timeout)
    if not server.swansong.guard_count:
        await trio.sleep(config.cleanup_timeout + 1.0)
    report = server.swansong.guard_report(stacks=True)
    logger.critical("leaving with status 1, for what is left cannot be cut: %s", report)
    leave()


def leave() -> None:
    """End the process with status 1, whatever its tasks and threads do.

    By now the drain has closed the listeners and removed their socket files. Functions registered
    with `atexit` are not called.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
