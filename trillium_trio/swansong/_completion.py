"""Waiting for the stop (`ShuttingDown`) or for all work to finish (`ShutdownCompletion`)."""

from __future__ import annotations

import math
import queue
import threading
from abc import ABC, abstractmethod
from enum import Enum
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, final

import trio

from trillium_trio.exceptions import MisuseError

from ._node import Goal, Waiter
from ._report import DrainReport
from ._stacks import holders_here
from ._tree import run_soon

if TYPE_CHECKING:
    from collections.abc import Generator

    from ._node import Node

__all__ = ["NoGuards", "ShutdownCompletion", "ShutdownState", "ShuttingDown"]

R = TypeVar("R")


@final
class ShutdownState(Enum):
    """The state of a swansong.

    A guard taken after completion makes it ``SHUTTING_DOWN`` again until the guard is released.
    """

    RUNNING = "running"
    SHUTTING_DOWN = "shutting down"
    COMPLETE = "complete"


class _Wait(ABC, Generic[R]):
    """Something to wait for, from any trio run or thread, any number of times."""

    __slots__ = ("_node",)

    _goal: ClassVar[Goal]

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Whether the wait is over."""

    @abstractmethod
    def _result(self) -> R:
        """Return the result of a finished wait. It stays resolved from now on."""

    def _check_deadlock(self) -> None:
        """Raise if this wait could never end."""

    def __await__(self) -> Generator[Any, Any, R]:
        return self._wait().__await__()

    async def _wait(self) -> R:
        if self.is_complete:
            await trio.lowlevel.checkpoint()
            return self._result()
        self._check_deadlock()
        woken = trio.Event()
        token = trio.lowlevel.current_trio_token()
        waiter = Waiter(self._node, self._goal, partial(run_soon, token, woken.set))
        waiter.start()
        try:
            await woken.wait()
        finally:
            waiter.cancel()
        return self._result()

    def block(self, timeout: float | None = None) -> R:
        """Block this thread until the wait is over.

        Args:
          timeout: Seconds to wait at most. Default: no limit.

        Raises:
          TimeoutError: The timeout expired. Nothing has changed; the wait can be repeated.
          MisuseError: Called inside a trio run, which it would block; await it there. Or, for a
            completion, this thread or the task that it works for holds one of the guards.
        """
        if trio.lowlevel.in_trio_run():
            raise MisuseError("block() would block this trio run: await instead")
        if self.is_complete:
            return self._result()
        self._check_deadlock()
        # A signal handler can put to a SimpleQueue while this thread gets from it. The events and
        # conditions of `threading` would deadlock there.
        woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        waiter = Waiter(self._node, self._goal, partial(woken.put, None))
        waiter.start()
        is_main = threading.current_thread() is threading.main_thread()
        longest = _MAX_WAIT_IN_MAIN if is_main else _MAX_WAIT
        deadline = math.inf if timeout is None else monotonic() + timeout
        try:
            while True:
                try:
                    woken.get(timeout=min(max(deadline - monotonic(), 0.0), longest))
                except queue.Empty:
                    if monotonic() >= deadline:
                        raise TimeoutError(f"{self!r} after {timeout} s") from None
                else:
                    return self._result()
        finally:
            waiter.cancel()


# In seconds. A signal that arrives just as the main thread goes to sleep does not wake it. Its
# handler, which may be the one that shuts down, runs only when the sleep is over.
_MAX_WAIT_IN_MAIN: Final = 1.0
# The lock under a queue has a maximum timeout.
_MAX_WAIT: Final = 1e6


@final
class ShutdownCompletion(_Wait[DrainReport]):
    """The wait for all guards of the subtree and for the servers' clean-up. Does not signal a stop.

    Await it in any trio run, or `block` a thread. The result is the `DrainReport`. Once resolved it
    stays resolved, even if guards are taken later.
    """

    __slots__ = ("_drains", "_report")

    _goal = Goal.COMPLETION

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._drains: int | None = None
        self._report: DrainReport | None = None
        # Queued, like everything that depends on the number of drains: this may be a signal handler
        # that has interrupted an operation.
        node.tree.submit(_begin, self)

    def begin(self) -> None:
        """Record the number of drains so far: a later one completes. An operation, see `_tree`."""
        if self._node.is_complete:
            self._result()
        else:
            self._drains = self._node.drains

    @property
    def is_complete(self) -> bool:
        """Whether completion was reached since this object was created."""
        if self._report is not None:
            return True
        if self._drains is None:  # `begin` is still queued: this handler interrupted an operation
            return False
        if self._node.is_complete or self._node.drains > self._drains:
            self._result()
            return True
        return False

    def _result(self) -> DrainReport:
        if self._report is None:
            self._report = self._node.drain_report()
        return self._report

    def _check_deadlock(self) -> None:
        blocked = set(holders_here())
        for claim in self._node.claims():
            holder = None if claim.holder is None else claim.holder()
            if holder in blocked:
                kind = "hold" if claim.is_hold else "guard"
                raise MisuseError(
                    f"waiting for completion here would last for ever: {holder!r}, which cannot "
                    f"continue before this wait ends, holds the {kind} taken at {claim.site}; "
                    "shut_down() without waiting is fine"
                )

    def __repr__(self) -> str:
        return f"<ShutdownCompletion, {'complete' if self.is_complete else 'pending'}>"


def _begin(completion: ShutdownCompletion) -> None:
    completion.begin()


@final
class ShuttingDown(_Wait[None]):
    """The wait for the stop. Does not signal it, and does not wait for any work.

    Await it in any trio run, or `block` a thread.
    """

    __slots__ = ()

    _goal = Goal.STOP

    @property
    def is_complete(self) -> bool:
        """Whether the stop was signalled."""
        return self._node.is_stopped

    def _result(self) -> None:
        return None

    def __repr__(self) -> str:
        return f"<ShuttingDown, {'complete' if self.is_complete else 'pending'}>"


@final
class NoGuards(_Wait[None]):
    """The wait until a stopped subtree has no guards. Ignores holds: a server waits with one held.

    Await it in any trio run, or `block` a thread.
    """

    __slots__ = ()

    _goal = Goal.NO_GUARDS

    @property
    def is_complete(self) -> bool:
        """Whether there are no guards now."""
        return not self._node.guards

    def _result(self) -> None:
        return None

    def __repr__(self) -> str:
        return f"<NoGuards, {'complete' if self.is_complete else 'pending'}>"
