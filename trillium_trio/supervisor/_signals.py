"""The signals of a supervisor besides those that stop it.

.. code-block:: text

    HUP   roll                  USR2  upgrade: a new supervisor beside this one
    TTIN  one worker more       USR1  report
    TTOU  one worker less       CHLD  only as the first process of a container: reap
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["ABORT", "describe_status", "received_signals"]

ABORT: Final = signal.SIGABRT

_NAMES: Final = {
    signal.SIGHUP: "roll",
    signal.SIGUSR2: "upgrade",
    signal.SIGTTIN: "more",
    signal.SIGTTOU: "less",
    signal.SIGUSR1: "report",
    signal.SIGCHLD: "reap",
}


@contextmanager
def received_signals(*, reaps: bool) -> Iterator[AsyncIterator[str]]:
    """Receive signals as the names of what they ask for.

    One that was ignored when the process was started, such as HUP under nohup, stays ignored.

    Args:
      reaps: Whether to receive CHLD.
    """
    wanted = [
        number
        for number in _NAMES
        if (reaps or number != signal.SIGCHLD) and signal.getsignal(number) is not signal.SIG_IGN
    ]
    with trio.open_signal_receiver(*wanted) as received:
        yield _named(received)


async def _named(received: AsyncIterator[int]) -> AsyncIterator[str]:
    async for number in received:
        yield _NAMES[signal.Signals(number)]


def describe_status(status: int) -> str:
    """Return how a process has ended, from its exit status; negative: the number of a signal."""
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"killed by {name}"
