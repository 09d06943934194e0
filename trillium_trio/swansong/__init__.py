"""Graceful shutdown: stop, guards, completion. Imports the exceptions and the log of ours.

States of one `Swansong`, a node in a tree of them:

.. code-block:: text

              shut_down(), cancel()                 guards and holds at zero
    RUNNING ------------------------> SHUTTING_DOWN ------------------------> COMPLETE
       |     here or at any ancestor        ^                                    |
       |                                    '------------ guard() ---------------'
       '---- with nothing outstanding ------------------------------------------>

*The stop* is a latch: one plain store at one node. A node is stopped if it or any ancestor is,
which is found out by walking up when somebody asks. So the stop is visible everywhere at once,
and a parent keeps no list of its children: a dropped child leaves nothing behind.

*Guards* count at their node and at all above it. *Holds* do the same out of sight, for a server's
clean-up. Completion is the moment when the stop was signalled and both are at zero.

*Why level-triggered.* Signals that are edges get lost between looking and waiting. Here everyone
who waits first becomes known, then looks, then sleeps; everyone who changes something first
changes it, then looks who is known. Whoever comes late sees the level.

*The lock and the queue.* A stop must work in a signal handler and a release in a finalizer, both
of which interrupt any line of code in this folder. A lock alone would deadlock there or, if
re-entrant, let two halves of two operations mix. So changes are operations in a queue; the
outermost frame of a thread carries them out, and whoever interrupts it only appends. Guards need
neither: each is a key in a dict, put and popped in one step, and the count is the dict's size.
What leaves the folder (waking a task, logging) is done after the lock was given back, so no foreign
lock is ever taken under ours. `trio` objects are touched only in their own run.

*Cancel scopes* can be attached: ``cancel()`` and the deadline of ``shut_down(timeout)`` reach them
in their own trio run, by its own clock.

What is here for servers, and not for applications: `Hold` and `hold`, `claim`, `attach_scope`,
`drain_report`, `no_guards`, `record_cut`, `was_cancelled`.
"""

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
    "claim",
    "drain_report",
    "hold",
    "no_guards",
    "record_cut",
    "was_cancelled",
]
