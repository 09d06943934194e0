"""Claims: the tree's record of a guard or hold, and the operations that count them."""

from __future__ import annotations

import logging
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Final, final

import trio

from trillium_trio._log import SafeLogger, printable, text_of

from ._node import wake_due

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread
    from types import CodeType

    from ._node import Node

__all__ = ["Claim", "logger", "release_hold", "take_hold"]

logger: Final = SafeLogger("trillium_trio.swansong")


@final
class Claim:
    """One guard or hold: what a node keeps as `Outstanding`.

    It does not keep the user's object alive.

    Attributes:
      node: The node where it counts; it counts at every ancestor too.
      label: Any object; reports call its ``str()``.
      holder: Weak reference to the task or thread that does the work, if known.
      taken_at: When it was taken (`time.monotonic`).
      is_released: Whether the release was carried out.
    """

    __slots__ = (
        "_code",
        "_instruction",
        "holder",
        "is_released",
        "label",
        "node",
        "taken_at",
    )

    def __init__(
        self,
        node: Node,
        code: CodeType,
        instruction: int,
        label: object,
        holder: Callable[[], trio.lowlevel.Task | Thread | None] | None = None,
    ) -> None:
        self.node: Node = node
        self.label: object = label
        # Typed as a callable because `weakref.ref` is invariant.
        self.holder: Callable[[], trio.lowlevel.Task | Thread | None] | None = holder
        self.taken_at: float = monotonic()
        self.is_released: bool = False
        # Computing the line number costs more than the whole guard, so `site` does it on demand.
        self._code = code
        self._instruction = instruction

    # Taking and releasing bypass the queue. Setting and popping a dict key are atomic: no other
    # thread, signal handler or finalizer can interrupt them, and the count is the dict's size. So
    # they need no lock. A release checks for the stop afterwards, and a stop checks what is left:
    # whichever comes second sees the other.

    @trio.lowlevel.enable_ki_protection
    def take(self) -> None:
        """Count as a guard, at its node and all ancestors."""
        node: Node | None = self.node
        while node is not None:
            node.guards[self] = None
            node = node.parent

    @trio.lowlevel.enable_ki_protection
    def release(self) -> None:
        """Stop counting as a guard. Idempotent, and callable from anywhere."""
        # If several threads release it at once, only one pops it.
        node = self.node
        if node.guards.pop(self, self) is self:
            return
        self.is_released = True
        above = node.parent
        while above is not None:
            del above.guards[self]
            above = above.parent
        # A release costs a running server only this check.
        if node.tree.is_stopping:
            node.tree.submit(_after_guard, self)

    def copy(self) -> Claim:
        """Return another claim with the same site and label, not yet taken."""
        return Claim(self.node, self._code, self._instruction, self.label)

    @property
    def is_hold(self) -> bool:
        """Whether it is a live hold: it delays completion, but is not a guard."""
        return self in self.node.holds

    @property
    def site(self) -> str:
        """Where it was taken, ``"file:line"``."""
        return _site(self._code, self._instruction)

    @property
    def age(self) -> float:
        """Seconds since it was taken."""
        return monotonic() - self.taken_at


# A report of 10,000 requests asks as often, and they have one site.
@lru_cache(maxsize=256)
def _site(code: CodeType, instruction: int) -> str:
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
    return printable(f"{code.co_filename}:{line}")


# Holds work like guards, in separate dicts.


def take_hold(claim: Claim) -> None:
    """Count a hold at its node and all ancestors."""
    for node in claim.node.path():
        node.holds[claim] = None


def release_hold(claim: Claim) -> None:
    """Stop counting a hold. Idempotent."""
    if claim.node.holds.pop(claim, claim) is claim:
        return
    claim.is_released = True
    for node in claim.node.path():
        node.holds.pop(claim, None)
    claim.node.tree.submit(_after_hold, claim)


# Operations, as in `_tree`.


def _after_guard(claim: Claim) -> None:
    _after_release(claim, finished=1)


def _after_hold(claim: Claim) -> None:
    _after_release(claim, finished=0)


def _after_release(claim: Claim, *, finished: int) -> None:
    now = monotonic()
    is_stopped = False
    # The topmost stopped node without guards: it has the waiters of its whole subtree.
    drained: Node | None = None
    for node in reversed(tuple(claim.node.path())):
        is_stopped = is_stopped or node.stopped_at is not None
        if not is_stopped:
            continue
        node.finished += finished
        if node.guards:
            continue
        drained = drained or node
        if not node.holds:
            node.drains += 1
            node.drained_at = now
    if drained is not None:
        wake_due(drained)
    if is_stopped and finished:
        claim.node.tree.later(_log_late_release, claim, now)


def _log_late_release(claim: Claim, now: float) -> None:
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug(
            "guard taken at %s released during shutdown after %.1fs: %s",
            claim.site,
            now - claim.taken_at,
            text_of(str, claim.label),
        )
