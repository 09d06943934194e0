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
    from types import CodeType, TracebackType

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

    Works outside trio, in one trio run, or across several. Guards of a `child` count here too. A
    stop here stops the child, but not the other way round.

    Args:
      name: Shown in the repr.
    """

    __slots__ = ("__weakref__", "_node", "name")

    def __init__(self, *, name: str | None = None) -> None:
        self.name: str | None = name
        self._node = Node(name=name)

    def shut_down(self, *, timeout: float | None = None) -> ShutdownCompletion:
        """Signal the stop. Synchronous, idempotent, and callable from anywhere.

        That includes other threads, signal handlers and finalizers. It does not wait: await the
        result, or block on it, for that.

        Args:
          timeout: Seconds after which attached cancel scopes are cancelled, each by the clock of
            its own trio run. A later call can shorten the remaining time, never lengthen it.
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
          reason: For the `DrainReport`, and for the `trio.Cancelled` that the scopes raise.
        """
        node = self._node
        if not node.is_cancelled:
            if reason is not None:
                reason = text_of(str, reason)
            # First, because a running node records no cuts.
            node.stop()
            # Before anything unwinds: afterwards the stacks are gone.
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
        """Return an awaitable for the stop, which can also block a thread. Does not signal it."""
        return ShuttingDown(self._node)

    def __await__(self) -> Generator[Any, Any, DrainReport]:
        return ShutdownCompletion(self._node).__await__()

    def block(self, timeout: float | None = None) -> DrainReport:
        """Block this thread until completion. Does not signal the stop.

        Args:
          timeout: Seconds to wait at most. Default: no limit.

        Raises:
          TimeoutError: The timeout expired.
          MisuseError: Called inside a trio run, or by a holder of one of the guards.
        """
        return ShutdownCompletion(self._node).block(timeout)

    @property
    def state(self) -> ShutdownState:
        """The current state."""
        if self.is_running:
            return ShutdownState.RUNNING
        return ShutdownState.COMPLETE if self._node.is_complete else ShutdownState.SHUTTING_DOWN

    @property
    def is_running(self) -> bool:
        """Whether no stop was signalled, here or at an ancestor. Visible at once in all threads."""
        # The inverse of `Node.is_stopped`, inlined because every response asks it.
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

        A guard can be taken after the stop, too, for work that was accepted before.

        Args:
          label: The name of the work in reports, which call its ``str()``.
        """
        frame = sys._getframe(1)
        claim = Claim(self._node, frame.f_code, frame.f_lasti, label)
        claim.take()
        return Guard(claim)

    def guarded(self, wrapped: T, label: object = None) -> Guarded[T]:
        """Wrap work so that it carries its own guard, from now until it is over.

        Args:
          wrapped: An awaitable, an async iterator, an iterator, or a context manager of either
            kind. The result is used the same way.
          label: The name of the work in reports.

        Raises:
          TypeError: ``wrapped`` is none of these. No guard was taken.
        """
        check_wrappable(wrapped)
        frame = sys._getframe(1)
        claim = Claim(self._node, frame.f_code, frame.f_lasti, label)
        claim.take()
        return Guarded(wrapped, Guard(claim))

    @overload
    def interrupt(self) -> InterruptScope: ...
    @overload
    def interrupt(  # type: ignore[overload-overlap]  # a stream is async iterable too: first match
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
        """Return a wrapper that ends at the stop, or has ended already if the stop came before.

        Args:
          wrapped: None, for a context manager of a `trio.CancelScope` that the stop cancels.
            Else a stream, an async iterable or an iterable; the first that fits, in this order.
            The result has ``was_interrupted``.
          eof: For a stream: an interrupted read returns ``b""``, as at the end of input. By
            default it raises `ShuttingDownError`, so that half an upload does not look complete.

        Raises:
          TypeError: ``wrapped`` is none of these.
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

        Its guards count here too. Without guards it delays nothing, and it can simply be dropped.

        Args:
          name: Shown in the repr.
        """
        child = Swansong.__new__(Swansong)
        child.name = name
        child._node = Node(self._node, name)
        return child

    def guard_report(self, *, stacks: bool = False) -> GuardReport:
        """Return what is outstanding, here and below, by creation site, oldest first.

        Never waits. Best effort if called from another thread than the holders'.

        Args:
          stacks: Also show where the holders are parked, if they are known.
        """
        return observe(self._node.live_guards(), stacks=stacks)

    def cancel_scope(self) -> trio.CancelScope:
        """Return a new, attached cancel scope: `cancel` and the deadline of a drain reach it.

        Only weakly referenced until then. If either has already come, it applies to the new scope.

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
        """Shut down and wait for completion; on an exception, cancel without waiting.

        Raises:
          MisuseError: This task, or one that waits for it, holds one of the guards.

        Cancellation: the stop stays signalled; the wait ends.
        """
        if exc is None:
            await self.shut_down()
        else:
            self.cancel(f"left with {kind_of(exc)}")

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        return f"<Swansong{name}, {self.state.value}, {self.guard_count} guards>"


def node_of(swansong: Swansong) -> Node:
    """Return the handle's node, for the other files of this folder."""
    return swansong._node


def attach_scope(swansong: Swansong, *, counts: bool = True) -> trio.CancelScope:
    """Return a new, attached cancel scope, as `Swansong.cancel_scope` does.

    Args:
      swansong: What it is attached to.
      counts: Whether cutting off this scope makes the drain unclean. False for a server that
        records with `record_cut` what it cut off.

    Raises:
      MisuseError: Not in a trio run.
    """
    return new_scope(swansong._node, counts=counts)


def record_cut(swansong: Swansong, report: GuardReport, *, reason: str | None = None) -> None:
    """Record that work was cut off, for the `DrainReport` of this swansong and its ancestors.

    Not needed after ``cancel()``, which records the guards that it finds.

    Args:
      swansong: Where the work was.
      report: What was cut off; taken before the cut, because the stacks are gone afterwards.
      reason: Why.
    """
    cut(Cut(swansong._node, report.entries, reason))


def claim(
    swansong: Swansong,
    label: object,
    holder: weakref.ref[trio.lowlevel.Task] | None,
    code: CodeType,
) -> Claim:
    """Take a guard without the `Guard` object, which would release it when garbage-collected.

    For a server's requests: their connection always releases it.

    Args:
      swansong: Where it counts.
      label: The name of the work in reports.
      holder: The task that does it.
      code: The function that takes it, for reports. Asking the interpreter for the caller would
        leave a frame object of 328 bytes with every connection.
    """
    taken = Claim(swansong._node, code, 0, label, holder)
    taken.take()
    return taken


def drain_report(swansong: Swansong) -> DrainReport:
    """Return how the drain of a stopped swansong is going, or went."""
    return swansong._node.drain_report()


def no_guards(swansong: Swansong) -> NoGuards:
    """Return an awaitable that ends when a stopped swansong has no guards."""
    return NoGuards(swansong._node)


def was_cancelled(swansong: Swansong) -> bool:
    """Whether ``cancel()`` was called, here or at an ancestor; it recorded the guards it found."""
    return any(node.is_cancelled for node in swansong._node.path())


def _lowest_without(claim: Outstanding) -> Node | None:
    """Return the lowest node that has not recorded the claim as cut off, if there is one.

    A node has recorded it if it was already stopped when it, or a node below it, was cancelled.
    """
    cancelled_at = -inf
    for node in claim.node.path():
        if node.cancelled_at is not None:
            cancelled_at = max(cancelled_at, node.cancelled_at)
        if cancelled_at < node.drains_since:
            return node
    return None
