"""The tree behind every swansong: one lock and one queue of operations, shared by its nodes.

An *operation* is a function and its subject. Whoever wants something changed appends one and calls
`Tree.submit`, which takes the lock and carries out whatever is queued. Three rules make it safe in
a signal handler and in a finalizer, which run in the middle of anything:

* A thread that is already inside `Tree.submit` leaves its operation in the queue and returns. The
  frame that it interrupted looks at the queue again before it goes.
* Nothing foreign runs while the lock is held. What an operation wants done outside - wake a task,
  write a log line - goes to the outbox, which is emptied when this thread holds no lock of ours.
  Otherwise two threads could each hold one of the two locks, ours and trio's, and want the other.
* The stop itself needs no operation. It is a plain store, looked up by walking towards the root, so
  there is no list of children: a child that was dropped has left nothing behind.

Neither do guards and holds: each node keeps those of its subtree in a dict, and to put a key there
or to pop it is one step, which nothing can divide. See `_claim`.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from math import inf
from threading import Lock, get_ident
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar, assert_never, final

import trio

from ._report import DrainReport, merge_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._claim import Claim
    from ._report import GuardEntry
    from ._scope import Attachment, Limit

__all__ = [
    "SWEEP_AT",
    "Goal",
    "Node",
    "Tree",
    "Waiter",
    "run_soon",
    "wake_due",
]

S = TypeVar("S")

SWEEP_AT: Final = 64


@final
class Tree:
    """The lock, the queue and the registry of claims of one tree of nodes.

    Attributes:
      is_stopping: Whether any node was ever stopped; as long as none was, a release only pops.
    """

    __slots__ = ("_inside", "_lock", "_outbox", "_queue", "is_stopping")

    def __init__(self) -> None:
        self.is_stopping = False
        self._lock = Lock()
        self._inside: set[int] = set()
        self._queue: deque[tuple[Callable[..., None], object]] = deque()
        self._outbox: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()

    @property
    def is_inside(self) -> bool:
        """Whether this very thread was interrupted in an operation, and may hold the lock."""
        return get_ident() in self._inside

    # With trio's own SIGINT handler, KeyboardInterrupt waits until an operation is whole.
    @trio.lowlevel.enable_ki_protection
    def submit(self, operation: Callable[[S], None], subject: S) -> None:
        """Carry out ``operation(subject)``, after all that was submitted before.

        It is done when this returns; but in a signal handler or finalizer that interrupted an
        operation of this very thread, it comes soon after.
        """
        queue = self._queue
        queue.append((operation, subject))
        me = get_ident()
        inside = self._inside
        if me in inside:
            return
        # At least once round, even if another thread has taken our operation off the queue: once
        # the lock was ours, that operation is over.
        while True:
            try:
                # Marked before the lock is taken, so that no handler can come in between and wait
                # for a lock that its own thread holds.
                inside.add(me)
                with self._lock:
                    while queue:
                        do, what = queue.popleft()
                        do(what)
            finally:
                inside.discard(me)
            # A handler may have left something after the last look.
            if not queue:
                break
        if self._outbox:
            self._deliver()

    def later(self, call: Callable[..., None], *args: object) -> None:
        """Have ``call(*args)`` made once no lock is held. It must neither block nor raise."""
        self._outbox.append((call, args))

    def _deliver(self) -> None:
        while True:
            try:
                call, args = self._outbox.popleft()
            except IndexError:  # another thread was quicker
                return
            call(*args)


@final
class Node:
    """The state of one swansong: its place in the tree, the latch, counts and observers.

    Guards and observers are kept for the whole subtree, at every node up to the root; what is not
    a single step changes in operations only. Everything may be read at any time, without the lock.

    Attributes:
      stopped_at: When this very node was stopped (`time.monotonic`). The latch.
      guards: The live guards of the subtree, oldest first (a dict used as an ordered set).
      holds: The live holds of the subtree, likewise.
      waiters: Who waits for something in the subtree (a dict used as an ordered set).
      scopes: The cancel scopes attached in the subtree (likewise).
      sweep_at: At the root: with how many scopes to look for some that are over.
      limit: What ``shut_down(timeout)`` fixed here.
      cancelled_at: When ``cancel()`` was called here (`time.monotonic`).
      cancel_reason: What it was given.
      drains: How often the counts came back to zero after the stop.
      drained_at: When they last did.
      finished: Guards of the subtree that were released after the stop.
      cut: What was cut off in the subtree since the stop.
      cut_reason: Why, if somebody said.
      is_cut: Whether anything was cut off in the subtree since the stop.
    """

    __slots__ = (
        "cancel_reason",
        "cancelled_at",
        "cut",
        "cut_reason",
        "drained_at",
        "drains",
        "finished",
        "guards",
        "holds",
        "is_cut",
        "limit",
        "parent",
        "scopes",
        "stopped_at",
        "sweep_at",
        "tree",
        "waiters",
    )

    def __init__(self, parent: Node | None = None) -> None:
        self.parent = parent
        self.tree: Tree = Tree() if parent is None else parent.tree
        self.stopped_at: float | None = None
        self.guards: dict[Claim, None] = {}
        self.holds: dict[Claim, None] = {}
        self.waiters: dict[Waiter, None] = {}
        self.scopes: dict[Attachment, None] = {}
        self.sweep_at = SWEEP_AT
        self.limit: Limit | None = None
        self.cancelled_at: float | None = None
        self.cancel_reason: str | None = None
        self.drains = 0
        self.drained_at: float | None = None
        self.finished = 0
        self.cut: tuple[GuardEntry, ...] = ()
        self.cut_reason: str | None = None
        self.is_cut = False

    def path(self) -> Iterator[Node]:
        """Yield this node, its parent, and so on up to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    @property
    def is_stopped(self) -> bool:
        """Whether this node or one above it was stopped."""
        # Not by `path()`: it is asked for every request, and a generator costs more than the walk.
        node: Node | None = self
        while node is not None:
            if node.stopped_at is not None:
                return True
            node = node.parent
        return False

    @property
    def is_cancelled(self) -> bool:
        """Whether ``cancel()`` was called here."""
        return self.cancelled_at is not None

    @property
    def drains_since(self) -> float:
        """When this node or the first one above it was stopped; ``inf`` while it is running."""
        times = (node.stopped_at for node in self.path() if node.stopped_at is not None)
        return min(times, default=inf)

    @property
    def is_complete(self) -> bool:
        """Whether it is stopped and nothing is outstanding in the subtree."""
        return not self.guards and not self.holds and self.is_stopped

    def claims(self) -> Iterator[Claim]:
        """Yield the guards and holds outstanding in the subtree."""
        yield from self.live_guards()
        yield from list(self.holds)

    def live_guards(self) -> list[Claim]:
        """Return the guards outstanding in the subtree, oldest first."""
        # One step: nothing can come in between, not even a finalizer.
        return list(self.guards)

    def stop(self) -> None:
        """Stop this node and all below it. Idempotent."""
        self.tree.is_stopping = True
        if self.stopped_at is None:
            self.stopped_at = monotonic()
        self.tree.submit(wake_due, self)

    def drain_report(self) -> DrainReport:
        """Return how the drain of this node went, or goes, provided that it is stopped."""
        path = tuple(self.path())
        stopped_at = self.drains_since
        if self.drained_at is not None:
            until = self.drained_at
        else:
            until = monotonic() if self.guards or self.holds else stopped_at
        reasons = (node.cancel_reason for node in path if node.cancel_reason is not None)
        return DrainReport(
            is_clean=not self.is_cut and not any(scope.was_cut for scope in list(self.scopes)),
            duration=until - stopped_at,
            # What was cut is released in the end as well.
            finished=max(0, self.finished - sum(entry.count for entry in self.cut)),
            cancelled=merge_entries(self.cut),
            reason=self.cut_reason or next(reasons, None),
        )


class Goal(Enum):
    """What one can wait for."""

    STOP = auto()
    NO_GUARDS = auto()
    COMPLETION = auto()


@final
class Waiter:
    """Somebody who is called once, when the goal is reached; at once if it already is.

    Args:
      wake: Is called with no arguments, in any thread. It must neither block nor raise.
    """

    __slots__ = ("_goal", "node", "wake")

    def __init__(self, node: Node, goal: Goal, wake: Callable[[], None]) -> None:
        self.node = node
        self._goal = goal
        self.wake = wake

    @property
    def is_due(self) -> bool:
        """Whether the goal is reached now."""
        match self._goal:
            case Goal.STOP:
                return self.node.is_stopped
            case Goal.NO_GUARDS:
                return not self.node.guards
            case Goal.COMPLETION:
                return self.node.is_complete
            case goal:
                assert_never(goal)

    def start(self) -> None:
        """Begin to wait. Pair it with `cancel`, or leave a trace until the goal is reached."""
        self.node.tree.submit(_watch, self)

    def cancel(self) -> None:
        """Wait no longer. Idempotent, and harmless after the call."""
        self.node.tree.submit(_unwatch, self)


def run_soon(token: trio.lowlevel.TrioToken, call: Callable[..., None], *args: object) -> None:
    """Have ``call(*args)`` made in the token's trio run; a run that is over is forgotten."""
    try:
        token.run_sync_soon(call, *args)
    except trio.RunFinishedError:
        pass


# Operations. Each runs with the tree's lock held, in the outermost frame of its thread.


def _watch(waiter: Waiter) -> None:
    if waiter.is_due:
        waiter.node.tree.later(waiter.wake)
        return
    for node in waiter.node.path():
        node.waiters[waiter] = None


def _unwatch(waiter: Waiter) -> None:
    for node in waiter.node.path():
        node.waiters.pop(waiter, None)


def wake_due(node: Node) -> None:
    """Call those who wait for something in the subtree that has come. An operation."""
    for waiter in [waiter for waiter in node.waiters if waiter.is_due]:
        _unwatch(waiter)
        node.tree.later(waiter.wake)
