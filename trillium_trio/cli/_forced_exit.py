"""The forced exit of a process that is stopped, but blocked by work that cannot be cancelled.

A shielded scope, or a thread that cannot be abandoned, can keep ``serve()`` from ending for any
time. A library must accept that; a process that was asked to end must not.
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

__all__ = ["exit_now", "exit_when_stuck"]

logger = SafeLogger("trillium_trio.cli")


async def exit_when_stuck(server: Server, exit_now: Callable[[], object]) -> None:
    """Call ``exit_now`` if, after the stop, the server has not ended within all its timeouts.

    .. code-block:: text

        stop -- drain_delay + drain_timeout, or cut -- cleanup_timeout -- cleanup_timeout -- exit
                                                             '--- work that is left --------- exit

    Args:
      server: Serves, or is about to. A ``drain_timeout`` of None waits for ever, until the second
        signal.
      exit_now: Ends the process.

    Cancellation:
      Nothing happens: the server has ended normally.
    """
    config = server.config
    drain = inf if config.drain_timeout is None else config.drain_timeout
    await server.swansong.shutting_down()
    # Cancelled by cancel(), and by the deadline of shut_down(timeout).
    with attach_scope(server.swansong, counts=False):
        await trio.sleep(config.drain_delay + drain)
    # One timeout for the cut work to end. If it has, the lifespans are exiting: they get the same
    # time from their own start, and then a second for their cancellation.
    await trio.sleep(config.cleanup_timeout)
    if not server.swansong.guard_count:
        await trio.sleep(config.cleanup_timeout + 1.0)
    report = server.swansong.guard_report(stacks=True)
    logger.critical("exiting with status 1, because this work cannot be cut: %s", report)
    exit_now()


def exit_now() -> None:
    """End the process with status 1, even if tasks or threads still run.

    The drain has already closed the listeners and removed their socket files. Functions registered
    with `atexit` are not called.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
