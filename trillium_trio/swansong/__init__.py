"""Graceful shutdown: stop, guards, completion. Of the package, imports only exceptions and log.

States of one `Swansong`, a node in a tree of them:

.. code-block:: text

              shut_down(), cancel()                 guards and holds at zero
    RUNNING ------------------------> SHUTTING_DOWN ------------------------> COMPLETE
       |     here or at any ancestor        ^                                    |
       |                                    '------------ guard() ---------------'
       '---- with nothing outstanding ------------------------------------------>

*The stop* is a latch: one plain store at one node. A node is stopped if it or any ancestor is;
each query walks up the tree. So the stop is visible everywhere at once, and a parent keeps no list
of its children: a dropped child leaves nothing behind.

*Guards* count at their node and at all ancestors. *Holds* do the same for a server's clean-up, but
appear in no report. A node is complete when it is stopped and both counts are zero.

*Level-triggered.* An edge-triggered signal can be lost between the check and the wait. Here a
waiter registers, then checks, then sleeps; a writer changes the state, then looks up the waiters.
A late waiter sees the state.

*The lock and the queue.* A stop must work in a signal handler and a release in a finalizer, both
of which can interrupt any line of code in this folder. A plain lock would deadlock there, and a
re-entrant lock would let two operations interleave. So changes are operations in a queue: the
outermost frame of a thread runs them, and an interrupting frame only appends. Guards need neither:
each is a key in a dict, set and popped atomically, and the count is the dict's size. Calls that
leave the folder (waking a task, logging) are made after the lock is released, so no foreign lock
is ever taken under ours. `trio` objects are touched only in their own run.

*Cancel scopes* can be attached: ``cancel()`` and the deadline of ``shut_down(timeout)`` reach them
in their own trio run, by its own clock.

For servers, not applications: `Branch` and `branch_of`, `Hold` and `hold`, `claim`, `attach_scope`,
`drain_report`, `no_guards`, `record_cut`, `was_cancelled`.
"""

from ._branch import Branch, branch_of
from ._claim import Claim
from ._completion import NoGuards, ShutdownCompletion, ShutdownState, ShuttingDown
from ._guard import Guard, Guarded
from ._hold import Hold, hold
from ._interrupt import (
    InterruptedAsyncIterator,
    InterruptedIterator,
    InterruptedReceiveStream,
    InterruptScope,
)
from ._report import DrainReport, GuardEntry, GuardReport
from ._swansong import (
    Swansong,
    attach_scope,
    claim,
    drain_report,
    no_guards,
    record_cut,
    was_cancelled,
)

__all__ = [
    "Branch",
    "Claim",
    "DrainReport",
    "Guard",
    "GuardEntry",
    "GuardReport",
    "Guarded",
    "Hold",
    "InterruptScope",
    "InterruptedAsyncIterator",
    "InterruptedIterator",
    "InterruptedReceiveStream",
    "NoGuards",
    "ShutdownCompletion",
    "ShutdownState",
    "ShuttingDown",
    "Swansong",
    "attach_scope",
    "branch_of",
    "claim",
    "drain_report",
    "hold",
    "no_guards",
    "record_cut",
    "was_cancelled",
]
