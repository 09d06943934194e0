"""One lock and one queue of operations, shared by all nodes of a tree.

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
or to pop it is one step, which nothing can divide. See `_node` and `_claim`.
"""

from __future__ import annotations

from collections import deque
from threading import Lock, get_ident
from typing import TYPE_CHECKING, TypeVar, final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Tree", "run_soon"]

S = TypeVar("S")


@final
class Tree:
    """The lock and the queue of one tree of nodes.

    Attributes:
      is_stopping: Whether any node was ever stopped; as long as none was, a release only pops.
    """

    __slots__ = ("_inside", "_lock", "_outbox", "_queue", "is_stopping")

    def __init__(self) -> None:
        self.is_stopping: bool = False
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


def run_soon(token: trio.lowlevel.TrioToken, call: Callable[..., None], *args: object) -> None:
    """Have ``call(*args)`` made in the token's trio run; a run that is over is forgotten."""
    try:
        token.run_sync_soon(call, *args)
    except trio.RunFinishedError:
        pass
