"""One upstream at work on one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from ._pool import Loan
    from ._upstream import Upstream
    from ._wire import Wire

__all__ = ["Lease"]


@final
class Lease:
    """An upstream that is busy with a request, from the choice to the end of the answer.

    Args:
      upstream: The one that was chosen.
    """

    __slots__ = ("_is_closed", "_loan", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream: Upstream = upstream
        self._loan: Loan | None = None
        self._is_closed = False
        upstream.active += 1

    async def take_idle(self) -> bool:
        """Take an idle connection of its pool, if there is one.

        Cancellation:
          None: it does not wait.
        """
        self._loan = await self.upstream.pool.lend_idle()
        return self._loan is not None

    async def take(self, *, is_new: bool) -> None:
        """Wait for a connection of its pool; see `Pool.lend`.

        Cancellation:
          As for `Pool.lend`.
        """
        self._loan = await self.upstream.pool.lend(is_new=is_new)

    @property
    def has_connection(self) -> bool:
        """Whether a connection was taken."""
        return self._loan is not None

    @property
    def wire(self) -> Wire:
        """The connection."""
        assert self._loan is not None, "take one first"
        return self._loan.wire

    @property
    def is_used(self) -> bool:
        """Whether the connection has had a request before this one."""
        return self._loan is not None and self._loan.is_used

    async def aclose(self) -> None:
        """Give the connection back, which is closed unless the exchange is complete. Idempotent.

        Cancellation:
          None: it does not wait.
        """
        if not self._is_closed:
            self._is_closed = True
            self.upstream.active -= 1
            if self._loan is not None:
                await self._loan.aclose()
