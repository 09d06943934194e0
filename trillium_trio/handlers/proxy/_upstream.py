"""Upstreams: which one is asked, and which ones are left out for a while."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Literal, final

import trio

from ..._log import SafeLogger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._pool import Dialler, Pool
    from ._target import Target

__all__ = ["Balance", "Balancer", "Upstream"]

logger = SafeLogger("trillium_trio.proxy")

Balance = Literal["round_robin", "least_busy"]


@final
class Upstream:
    """A server that requests are passed on to, and what is known of its health.

    Args:
      target: Where it is.
      dialler: Opens connections to it, for checks.
      pool: Lends connections to it, for requests.

    Attributes:
      active: How many requests and upgraded connections it has at the moment, of this proxy.
    """

    __slots__ = ("_fails_checks", "_out_until", "active", "dialler", "pool", "target")

    def __init__(self, target: Target, *, dialler: Dialler, pool: Pool) -> None:
        self.target: Target = target
        self.dialler: Dialler = dialler
        self.pool: Pool = pool
        self.active: int = 0
        self._out_until = -inf
        self._fails_checks = False

    def is_out(self, now: float) -> bool:
        """Whether it is left out."""
        return self._fails_checks or now < self._out_until

    def leave_out(self, reason: str, seconds: float) -> None:
        """Leave it out for so many seconds: a request could not reach it."""
        now = trio.current_time()
        if not self.is_out(now):
            logger.warning("%s %s; it is left out for %g s", self.target, reason, seconds)
        self._out_until = now + seconds

    def note_check(self, reason: str | None) -> None:
        """Note how a health check went: why it has failed, or None."""
        if reason is not None and not self._fails_checks:
            logger.warning("%s fails its health check: %s", self.target, reason)
        elif reason is None and self.is_out(trio.current_time()):
            logger.info("%s passes its health check again", self.target)
        self._fails_checks = reason is not None
        if reason is None:
            self._out_until = -inf

    def __repr__(self) -> str:
        return f"<Upstream {self.target}, {self.active} active>"


@final
class Balancer:
    """Decides in which order upstreams are tried.

    Args:
      upstreams: All of them.
      balance: How; see `Proxy`.
    """

    __slots__ = ("_balance", "_next", "upstreams")

    def __init__(self, upstreams: Sequence[Upstream], balance: Balance) -> None:
        self.upstreams: tuple[Upstream, ...] = tuple(upstreams)
        self._balance = balance
        self._next = 0

    def order(self) -> Sequence[Upstream]:
        """Return the upstreams, the one to ask first in front; those left out come last.

        They do come, because an upstream that may be back is better than none.
        """
        if len(self.upstreams) == 1:
            return self.upstreams
        start = self._next
        self._next = (start + 1) % len(self.upstreams)
        now = trio.current_time()
        turn = [*self.upstreams[start:], *self.upstreams[:start]]
        if self._balance == "least_busy":
            turn.sort(key=lambda each: each.active)
        return sorted(turn, key=lambda each: each.is_out(now))
