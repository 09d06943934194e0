"""One node of the tree: the latch, what is outstanding in its subtree, and the waiters.

A node knows its guards and scopes only by protocol: see `Outstanding` and `Attached`.
"""

from __future__ import annotations

from enum import Enum, auto
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, assert_never, final

import trio

from ._report import DrainReport, merge_entries
from ._tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Thread

    from ._report import GuardEntry

__all__ = [
    "SWEEP_AT",
    "Attached",
    "Goal",
    "Limit",
    "Node",
    "Outstanding",
    "Waiter",
    "wake_due",
]

SWEEP_AT: Final = 64


class Outstanding(Protocol):
    """A guard or a hold, as a node and the reports see it.

    Attributes:
      label: Any object; reports call its ``str()``.
      holder: Weak reference to the task or thread that does the work, if known.
      taken_at: When it was taken (`time.monotonic`).
    """

    label: object
    holder: Callable[[], trio.lowlevel.Task | Thread | None] | None
    taken_at: float

    @property
    def node(self) -> Node:
        """The node where it counts; it counts at every ancestor too."""

    @property
    def is_hold(self) -> bool:
        """Whether it is a hold: it delays completion, but is not a guard."""

    @property
    def site(self) -> str:
        """Where it was taken, ``"file:line"``."""


class Attached(Protocol):
    """A cancel scope in its trio run, as a node sees it."""

    @property
    def node(self) -> Node:
        """The node that it is attached to."""

    @property
    def token(self) -> trio.lowlevel.TrioToken:
        """The run that it belongs to."""

    @property
    def was_cut(self) -> bool:
        """Whether its body is being, or was, cut off."""

    @property
    def is_over(self) -> bool:
        """Whether it has been exited, so that nothing about it can change."""

    def update(self) -> None:
        """Apply the deadline and cancellation now in force. Call it in its own run only."""


@final
class Limit:
    """The deadline of a drain, by several clocks.

    Attributes:
      until: By `time.monotonic`, for trio runs that are not known yet.
      by_run: By the clock of each known run. A virtual clock runs at its own pace.
    """

    __slots__ = ("by_run", "until")

    def __init__(self) -> None:
        self.until: float = inf
        self.by_run: dict[trio.lowlevel.TrioToken, float] = {}

    def here(self, token: trio.lowlevel.TrioToken) -> float:
        """Return the deadline by the clock of the current run; ``token`` is that run's."""
        if (known := self.by_run.get(token)) is not None:
            return known
        return trio.current_time() + self.until - monotonic()


@final
class Node:
    """The state of one swansong: its place in the tree, the latch, counts and waiters.

    Each node keeps the guards, holds, waiters and scopes of its whole subtree. Changes that are not
    atomic are made in operations only. Everything may be read at any time, without the lock.

    Attributes:
      name: That of its swansong, for people.
      stopped_at: When this node itself was stopped (`time.monotonic`). The latch.
      guards: The live guards of the subtree, oldest first (a dict used as an ordered set).
      holds: The live holds of the subtree, likewise.
      waiters: The waiters of the subtree (a dict used as an ordered set).
      scopes: The cancel scopes attached in the subtree (likewise).
      sweep_at: At the root: the number of scopes at which those that are over are swept.
      limit: The deadline set here by ``shut_down(timeout)``.
      cancelled_at: When ``cancel()`` was called here (`time.monotonic`).
      cancel_reason: The reason given to it.
      drains: How often the counts returned to zero after the stop.
      drained_at: When they last did.
      finished: How many guards of the subtree were released after the stop.
      cut: What was cut off in the subtree since the stop.
      cut_reason: Why, if a reason was given.
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
        "name",
        "parent",
        "scopes",
        "stopped_at",
        "sweep_at",
        "tree",
        "waiters",
    )

    def __init__(self, parent: Node | None = None, name: str | None = None) -> None:
        self.name: str | None = name
        self.parent: Node | None = parent
        self.tree: Tree = Tree() if parent is None else parent.tree
        self.stopped_at: float | None = None
        self.guards: dict[Outstanding, None] = {}
        self.holds: dict[Outstanding, None] = {}
        self.waiters: dict[Waiter, None] = {}
        self.scopes: dict[Attached, None] = {}
        self.sweep_at: int = SWEEP_AT
        self.limit: Limit | None = None
        self.cancelled_at: float | None = None
        self.cancel_reason: str | None = None
        self.drains: int = 0
        self.drained_at: float | None = None
        self.finished: int = 0
        self.cut: tuple[GuardEntry, ...] = ()
        self.cut_reason: str | None = None
        self.is_cut: bool = False

    def path(self) -> Iterator[Node]:
        """Yield this node, its parent, and so on up to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    @property
    def is_stopped(self) -> bool:
        """Whether this node or an ancestor was stopped."""
        # Not by `path()`: every request asks this, and a generator costs more than the walk.
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
        """When this node or an ancestor was first stopped; ``inf`` while it is running."""
        times = (node.stopped_at for node in self.path() if node.stopped_at is not None)
        return min(times, default=inf)

    @property
    def is_complete(self) -> bool:
        """Whether it is stopped and nothing is outstanding in the subtree."""
        return not self.guards and not self.holds and self.is_stopped

    def claims(self) -> Iterator[Outstanding]:
        """Yield the guards and holds outstanding in the subtree."""
        yield from self.live_guards()
        yield from list(self.holds)

    def live_guards(self) -> list[Outstanding]:
        """Return the guards outstanding in the subtree, oldest first."""
        # Atomic: not even a finalizer can interrupt it.
        return list(self.guards)

    def stop(self) -> None:
        """Stop this node and its whole subtree. Idempotent."""
        self.tree.is_stopping = True
        if self.stopped_at is None:
            self.stopped_at = monotonic()
        self.tree.submit(wake_due, self)

    def drain_report(self) -> DrainReport:
        """Return how the drain of this stopped node went, or is going."""
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
            # Work that was cut off releases its guard, too.
            finished=max(0, self.finished - sum(entry.count for entry in self.cut)),
            cancelled=merge_entries(self.cut),
            reason=self.cut_reason or next(reasons, None),
        )


class Goal(Enum):
    """What a waiter waits for."""

    STOP = auto()
    NO_GUARDS = auto()
    COMPLETION = auto()


@final
class Waiter:
    """A callback that is called once, when the goal is reached; at once if it already is.

    Args:
      wake: Called with no arguments, in any thread. It must neither block nor raise.
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
        """Start waiting. Without `cancel`, it stays registered until the goal is reached."""
        self.node.tree.submit(_watch, self)

    def cancel(self) -> None:
        """Stop waiting. Idempotent, and harmless after ``wake`` was called."""
        self.node.tree.submit(_unwatch, self)


# Operations of the tree, as in `_tree`: each runs with the lock held, in the outermost frame of its
# thread.


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
    """Wake the waiters of the subtree whose goal is reached. An operation."""
    for waiter in [waiter for waiter in node.waiters if waiter.is_due]:
        _unwatch(waiter)
        node.tree.later(waiter.wake)
