"""`Swansong`, the handle to one node of the tree."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Iterable
from math import inf
from typing import TYPE_CHECKING, Any, Self, TypeVar, final, overload

import trio

from trillium_trio._log import kind_of, text_of

from ._claim import Claim
from ._completion import NoGuards, ShutdownCompletion, ShutdownState, ShuttingDown
from ._guard import Guard, Guarded, check_wrappable
from ._interrupt import (
    InterruptedAsyncIterator,
    InterruptedIterator,
    InterruptedReceiveStream,
    InterruptScope,
)
from ._node import Node
from ._observe import observe
from ._scope import Cut, cancel, cut, limit, new_scope

if TYPE_CHECKING:
    import weakref
    from collections.abc import Generator
    from types import TracebackType

    from ._node import Outstanding
    from ._report import DrainReport, GuardReport

__all__ = [
    "Swansong",
    "attach_scope",
    "claim",
    "drain_report",
    "no_guards",
    "node_of",
    "record_cut",
    "was_cancelled",
]

T = TypeVar("T")


@final
class Swansong:
    """A shared, thread-safe handle to shut things down, and to wait until they are down.

    Usable with no trio run, in one, or across several. What is taken from a `child` counts here
    too; a stop here is a stop there, but not the other way round.

    Args:
      name: Shown in the repr.
    """

    __slots__ = ("__weakref__", "_node", "name")

    def __init__(self, *, name: str | None = None) -> None:
        self.name: str | None = name
        self._node = Node()

    def shut_down(self, *, timeout: float | None = None) -> ShutdownCompletion:
        """Signal the stop. Synchronous, idempotent, and callable from anywhere.

        That includes other threads, signal handlers and finalizers. It waits for nothing: await
        or block on the result for that.

        Args:
          timeout: Seconds after which attached cancel scopes are cancelled, each by the clock of
            its own trio run. A later call may shorten the time that is left, never lengthen it.
            Default: none.

        Raises:
          ValueError: The timeout is negative or not a number. Nothing was stopped.
        """
        if timeout is not None:
            limit(self._node, timeout)
        self._node.stop()
        return ShutdownCompletion(self._node)

    def cancel(self, reason: str | None = None) -> ShutdownCompletion:
        """Stop, and cancel every attached scope, present and future, each in its own trio run.

        Guards that are outstanding now are reported as cut off, with stacks. Idempotent: later
        calls change neither the report nor the reason.

        Args:
          reason: For the `DrainReport`, and for the `trio.Cancelled` that the bodies see.
        """
        node = self._node
        if not node.is_cancelled:
            if reason is not None:
                reason = text_of(str, reason)
            # First, because a node that runs keeps no record of what is cut.
            node.stop()
            # Before anything unwinds: afterwards there are no stacks to see.
            by_node: dict[Node, list[Outstanding]] = {}
            for claim in node.live_guards():
                where = _lowest_without(claim)
                if where is not None:
                    by_node.setdefault(where, []).append(claim)
            cuts = (
                Cut(where, observe(claims, stacks=True).entries, reason)
                for where, claims in by_node.items()
            )
            cancel(node, reason, tuple(cuts))
        return self.shut_down()

    def shutting_down(self) -> ShuttingDown:
        """Return the stop as something to await, or to block a thread on. Does not cause it."""
        return ShuttingDown(self._node)

    def __await__(self) -> Generator[Any, Any, DrainReport]:
        return ShutdownCompletion(self._node).__await__()

    def block(self, timeout: float | None = None) -> DrainReport:
        """Park this thread until completion. Does not cause it.

        Args:
          timeout: Seconds to wait at most. Default: no limit.

        Raises:
          TimeoutError: The time passed first.
          MisuseError: Called inside a trio run, or by a holder of one of the guards.
        """
        return ShutdownCompletion(self._node).block(timeout)

    @property
    def state(self) -> ShutdownState:
        """Where this swansong is, at this moment."""
        if self.is_running:
            return ShutdownState.RUNNING
        return ShutdownState.COMPLETE if self._node.is_complete else ShutdownState.SHUTTING_DOWN

    @property
    def is_running(self) -> bool:
        """Whether no stop was signalled, here or above. Visible at once in every thread."""
        # As `Node.is_stopped`; a call less for what every response asks.
        node: Node | None = self._node
        if not self._node.tree.is_stopping:
            return True
        while node is not None:
            if node.stopped_at is not None:
                return False
            node = node.parent
        return True

    @property
    def guard_count(self) -> int:
        """How many guards are outstanding here and below."""
        return len(self._node.guards)

    def guard(self, label: object = None) -> Guard:
        """Take a guard: it counts from now on, and completion waits until it is released.

        One may be taken after the stop, too, for work that was accepted before.

        Args:
          label: What to call the work in reports; its ``str()`` is taken when reported.
        """
        frame = sys._getframe(1)
        claim = Claim(self._node, frame.f_code, frame.f_lasti, label)
        claim.take()
        return Guard(claim)

    def guarded(self, wrapped: T, label: object = None) -> Guarded[T]:
        """Wrap work so that it carries its own guard, from now on until it is over.

        Args:
          wrapped: An awaitable, an async iterator, an iterator, or a context manager of either
            kind. The result is used the same way.
          label: What to call the work in reports.

        Raises:
          TypeError: It is none of these. No guard was taken.
        """
        check_wrappable(wrapped)
        frame = sys._getframe(1)
        claim = Claim(self._node, frame.f_code, frame.f_lasti, label)
        claim.take()
        return Guarded(wrapped, Guard(claim))

    @overload
    def interrupt(self) -> InterruptScope: ...
    @overload
    def interrupt(  # type: ignore[overload-overlap]  # a stream is async iterable too: first come
        self, wrapped: trio.abc.ReceiveStream, *, eof: bool = False
    ) -> InterruptedReceiveStream: ...
    @overload
    def interrupt(self, wrapped: AsyncIterable[T]) -> InterruptedAsyncIterator[T]: ...
    @overload
    def interrupt(self, wrapped: Iterable[T]) -> InterruptedIterator[T]: ...
    def interrupt(
        self,
        wrapped: trio.abc.ReceiveStream | AsyncIterable[T] | Iterable[T] | None = None,
        *,
        eof: bool = False,
    ) -> (
        InterruptScope
        | InterruptedReceiveStream
        | InterruptedAsyncIterator[T]
        | InterruptedIterator[T]
    ):
        """Return something that ends at the stop, or has ended if the stop came before.

        Args:
          wrapped: Nothing, for a context manager of a `trio.CancelScope` that the stop cancels.
            Else a stream, an async iterable or an iterable; the first that fits, in this order.
            The result says ``was_interrupted``.
          eof: For a stream: an interrupted read returns ``b""``, as at the end of input. By
            default it raises `ShuttingDownError`, for half an upload must not look whole.

        Raises:
          TypeError: It is none of these.
        """
        node = self._node
        if wrapped is None:
            return InterruptScope(node)
        if isinstance(wrapped, trio.abc.ReceiveStream):
            return InterruptedReceiveStream(node, wrapped, eof=eof)
        if isinstance(wrapped, AsyncIterable):
            return InterruptedAsyncIterator(node, wrapped)
        return InterruptedIterator(node, wrapped)

    def child(self, *, name: str | None = None) -> Swansong:
        """Return a swansong that is stopped with this one, and can be stopped alone.

        Its guards count here too. Without guards it delays nobody, and dropping it changes nothing.

        Args:
          name: Shown in the repr.
        """
        child = Swansong.__new__(Swansong)
        child.name = name
        child._node = Node(self._node)
        return child

    def guard_report(self, *, stacks: bool = False) -> GuardReport:
        """Return what is outstanding, here and below, by creation site, oldest first.

        Never waits; from another thread than the holders' it is a best effort.

        Args:
          stacks: Also show where the holders are parked, as far as they are known.
        """
        return observe(self._node.live_guards(), stacks=stacks)

    def cancel_scope(self) -> trio.CancelScope:
        """Return a new, attached cancel scope: `cancel` and the deadline of a drain reach it.

        It is held weakly, until one of them does. If one already has, it is born that way.

        Raises:
          MisuseError: Not in a trio run.
        """
        return new_scope(self._node, counts=True)

    async def __aenter__(self) -> Self:
        """Return this swansong.

        Cancellation: a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down and wait for completion; or cancel, without a wait, on an exception.

        Raises:
          MisuseError: This task, or one that waits for it, holds one of the guards.

        Cancellation: the stop stays signalled; the guards are no longer waited for.
        """
        if exc is None:
            await self.shut_down()
        else:
            self.cancel(f"left with {kind_of(exc)}")

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        return f"<Swansong{name}, {self.state.value}, {self.guard_count} guards>"


def node_of(swansong: Swansong) -> Node:
    """Return the node behind the handle, for the other files of this folder."""
    return swansong._node


def attach_scope(swansong: Swansong, *, counts: bool = True) -> trio.CancelScope:
    """Return a new, attached cancel scope, as `Swansong.cancel_scope` does.

    Args:
      swansong: What it is attached to.
      counts: Whether the drain is unclean if this scope is cut. A server that decides for itself
        what it cut off, and says so with `record_cut`, says False.

    Raises:
      MisuseError: Not in a trio run.
    """
    return new_scope(swansong._node, counts=counts)


def record_cut(swansong: Swansong, report: GuardReport, *, reason: str | None = None) -> None:
    """Record that work was cut off, for the `DrainReport` of this swansong and those above.

    Not needed after ``cancel()``, which has recorded the guards that it found.

    Args:
      swansong: Where the work was.
      report: What was cut off; taken before it was, for later there are no stacks.
      reason: Why.
    """
    cut(Cut(swansong._node, report.entries, reason))


def claim(
    swansong: Swansong, label: object, holder: weakref.ref[trio.lowlevel.Task] | None
) -> Claim:
    """Take a guard without the object that releases it when it is dropped.

    For a server's requests: there is one for each, and their connection surely releases it.

    Args:
      swansong: Where it counts.
      label: What to call the work in reports.
      holder: The task that does it.
    """
    frame = sys._getframe(1)
    taken = Claim(swansong._node, frame.f_code, frame.f_lasti, label)
    taken.holder = holder
    taken.take()
    return taken


def drain_report(swansong: Swansong) -> DrainReport:
    """Return how the drain of a stopped swansong has gone so far."""
    return swansong._node.drain_report()


def no_guards(swansong: Swansong) -> NoGuards:
    """Return the moment when a stopped swansong has no guards, as something to await."""
    return NoGuards(swansong._node)


def was_cancelled(swansong: Swansong) -> bool:
    """Whether ``cancel()`` was called, here or above; it has recorded the guards that it found."""
    return any(node.is_cancelled for node in swansong._node.path())


def _lowest_without(claim: Outstanding) -> Node | None:
    """Return the lowest node that has not put the claim on record as cut off, if one has not.

    Those have that were stopped already when they, or one below them, were cancelled.
    """
    cancelled_at = -inf
    for node in claim.node.path():
        if node.cancelled_at is not None:
            cancelled_at = max(cancelled_at, node.cancelled_at)
        if cancelled_at < node.drains_since:
            return node
    return None
