"""Waiting: for the stop (`ShuttingDown`), or for all work to be over (`ShutdownCompletion`)."""

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
    """Where a swansong is.

    A guard taken after completion makes it read ``SHUTTING_DOWN`` again, until it is released.
    """

    RUNNING = "running"
    SHUTTING_DOWN = "shutting down"
    COMPLETE = "complete"


class _Wait(ABC, Generic[R]):
    """Something to wait for, from any trio run or thread, as often as one likes."""

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
        """Return what the wait yields, once it is over, and stay resolved from now on."""

    def _refuse(self) -> None:
        """Raise if this wait could never end."""

    def __await__(self) -> Generator[Any, Any, R]:
        return self._wait().__await__()

    async def _wait(self) -> R:
        if self.is_complete:
            await trio.lowlevel.checkpoint()
            return self._result()
        self._refuse()
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
        """Park this thread until the wait is over.

        Args:
          timeout: Seconds to wait at most. Default: no limit.

        Raises:
          TimeoutError: The time passed first. Nothing has changed; wait again if you like.
          MisuseError: Called inside a trio run, which it would stop; await it there. Or, for a
            completion, this thread or the task that it works for holds one of the guards.
        """
        if trio.lowlevel.in_trio_run():
            raise MisuseError("block() would stop the trio run that it is called in: await instead")
        if self.is_complete:
            return self._result()
        self._refuse()
        # A signal handler can put to a SimpleQueue while this very thread gets from it. Events and
        # conditions of `threading` deadlock there.
        woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        waiter = Waiter(self._node, self._goal, partial(woken.put, None))
        waiter.start()
        is_main = threading.current_thread() is threading.main_thread()
        longest = _LONGEST_PARK_OF_MAIN if is_main else _LONGEST_PARK
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


# In seconds. A signal that arrives at the very moment when the main thread goes to sleep does not
# wake it, and its handler, which may be what shuts down, is called only when the sleep is over.
_LONGEST_PARK_OF_MAIN: Final = 1.0
# What the lock under a queue can wait for is bounded.
_LONGEST_PARK: Final = 1e6


@final
class ShutdownCompletion(_Wait[DrainReport]):
    """All guards of the subtree are released, and servers have cleaned up. Does not cause it.

    Await it in any trio run, or `block` a thread. The result is the `DrainReport`. Once resolved it
    stays so, whatever guards are taken later.
    """

    __slots__ = ("_drains", "_report")

    _goal = Goal.COMPLETION

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._drains: int | None = None
        self._report: DrainReport | None = None
        # Like everything that depends on counts, this takes its turn in the queue: a signal handler
        # may have taken a guard just before, which is still on its way.
        node.tree.submit(_begin, self)

    def begin(self) -> None:
        """Note from which moment on completion counts. An operation, as in `_tree`."""
        if self._node.is_complete:
            self._result()
        else:
            self._drains = self._node.drains

    @property
    def is_complete(self) -> bool:
        """Whether completion was reached since this object was made."""
        if self._report is not None:
            return True
        if self._drains is None:  # not begun: in a signal handler that interrupted an operation
            return False
        if self._node.is_complete or self._node.drains > self._drains:
            self._result()
            return True
        return False

    def _result(self) -> DrainReport:
        if self._report is None:
            self._report = self._node.drain_report()
        return self._report

    def _refuse(self) -> None:
        mine = set(holders_here())
        for claim in self._node.claims():
            holder = None if claim.holder is None else claim.holder()
            if holder in mine:
                kind = "hold" if claim.is_hold else "guard"
                raise MisuseError(
                    f"waiting for completion here would last for ever: {holder!r}, which cannot go "
                    f"on before this wait is over, holds the {kind} taken at {claim.site}; "
                    "shut_down() without waiting is fine"
                )

    def __repr__(self) -> str:
        return f"<ShutdownCompletion, {'complete' if self.is_complete else 'pending'}>"


def _begin(completion: ShutdownCompletion) -> None:
    completion.begin()


@final
class ShuttingDown(_Wait[None]):
    """The stop was signalled. Does not cause it, and does not wait for any work.

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
    """A stopped subtree has no guards, whatever holds there are. For servers: they hold, and wait.

    Await it in any trio run, or `block` a thread.
    """

    __slots__ = ()

    _goal = Goal.NO_GUARDS

    @property
    def is_complete(self) -> bool:
        """Whether there are none now."""
        return not self._node.guards

    def _result(self) -> None:
        return None

    def __repr__(self) -> str:
        return f"<NoGuards, {'complete' if self.is_complete else 'pending'}>"
