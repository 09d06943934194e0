"""One lock and one queue of operations, shared by all nodes of a tree.

An *operation* is a function and its subject. `Tree.submit` queues one, takes the lock and runs all
that are queued. Three rules make it safe in a signal handler and in a finalizer, which can
interrupt any line of code:

* A thread that is already inside `Tree.submit` leaves its operation in the queue and returns. The
  frame that it interrupted checks the queue again before it returns.
* No foreign code runs while the lock is held. Calls to the outside - wake a task, write a log
  line - go to the outbox, which is emptied when this thread holds no lock of ours. Otherwise two
  threads could each hold one of the two locks, ours and trio's, and wait for the other.
* The stop itself needs no operation. It is a plain store, found by walking up to the root, so
  there is no list of children: a dropped child leaves nothing behind.

Guards and holds need no operation either: each node keeps those of its subtree in a dict, and
setting or popping a key is atomic. See `_node` and `_claim`.
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
      is_stopping: Whether any node was ever stopped; until then, a release only pops.
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
        """Whether this thread is in `submit`, and may hold the lock."""
        return get_ident() in self._inside

    # With trio's own SIGINT handler, KeyboardInterrupt waits until the operation is complete.
    @trio.lowlevel.enable_ki_protection
    def submit(self, operation: Callable[[S], None], subject: S) -> None:
        """Run ``operation(subject)``, after all that were submitted before.

        It is done when this returns, except in a signal handler or finalizer that interrupted an
        operation of the same thread: the interrupted frame then runs it soon after.
        """
        queue = self._queue
        queue.append((operation, subject))
        me = get_ident()
        inside = self._inside
        if me in inside:
            return
        # Take the lock at least once, even if another thread has popped our operation: once we have
        # had the lock, that operation is over.
        while True:
            try:
                # Marked before the lock is taken. In between, a handler could wait for a lock that
                # its own thread holds.
                inside.add(me)
                with self._lock:
                    while queue:
                        run, its_subject = queue.popleft()
                        run(its_subject)
            finally:
                inside.discard(me)
            # A handler may have queued something after the last check.
            if not queue:
                break
        if self._outbox:
            self._deliver()

    def later(self, call: Callable[..., None], *args: object) -> None:
        """Call ``call(*args)`` once the lock is released. It must neither block nor raise."""
        self._outbox.append((call, args))

    def _deliver(self) -> None:
        while True:
            try:
                call, args = self._outbox.popleft()
            except IndexError:  # another thread took it
                return
            call(*args)


def run_soon(token: trio.lowlevel.TrioToken, call: Callable[..., None], *args: object) -> None:
    """Call ``call(*args)`` in the token's trio run, unless that run is over."""
    try:
        token.run_sync_soon(call, *args)
    except trio.RunFinishedError:
        pass
