"""Holds: what completion waits for besides guards, such as a server's own clean-up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, final

import trio

from ._claim import Claim, release_hold, take_hold
from ._guard import name_holder
from ._swansong import node_of

if TYPE_CHECKING:
    from ._swansong import Swansong

__all__ = ["Hold", "hold"]


@final
class Hold:
    """Delays completion like a guard, but is not work: no guard count or report includes it."""

    __slots__ = ("_claim",)

    def __init__(self, claim: Claim) -> None:
        self._claim = claim

    def release(self) -> None:
        """Release the hold. Idempotent, and callable from anywhere."""
        release_hold(self._claim)

    def __repr__(self) -> str:
        state = "released" if self._claim.is_released else f"{self._claim.age:.1f}s old"
        return f"<Hold {self._claim.label} {self._claim.site}, {state}>"


def hold(swansong: Swansong, label: str) -> Hold:
    """Take a hold. The current task is its holder: it must not wait for completion meanwhile."""
    frame = sys._getframe(1)
    node = node_of(swansong)
    claim = Claim(node, frame.f_code, frame.f_lasti, label)
    if trio.lowlevel.in_trio_task():
        name_holder(claim)
    take_hold(claim)
    return Hold(claim)
