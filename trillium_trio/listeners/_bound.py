"""The contract of a bound listener: accept, drain, close."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..transport import Listener, Transport
    from ._balance import Share


class BoundListener(ABC):
    """A source of transports. One task accepts; any task of the same run can close it.

    Attributes:
      facts: Its address, kind and name.
      is_owned: Whether we created it. An inherited or prebound one may be shared: its queue is not
        drained, and closing it does not affect the others.
      share: Of this process, if others accept from the same source; None: it is for this one alone.
      is_closing: Set permanently by `drain_and_close`, `close` and `aclose`.
    """

    __slots__ = ("facts", "is_closing", "is_owned", "share")

    def __init__(self, facts: Listener, *, is_owned: bool) -> None:
        """Store the facts."""
        self.facts: Listener = facts
        self.is_owned: bool = is_owned
        self.is_closing: bool = False
        self.share: Share | None = None

    @abstractmethod
    async def accept(self) -> Transport:
        """Wait for a connection and return it.

        Raises:
          trio.ClosedResourceError: The listener is closing.
          OSError: An error of accept(2); see `_errors.py`.

        Cancellation:
          No connection is lost.
        """

    @abstractmethod
    def accept_nowait(self) -> Transport | None:
        """Return a connection that is queued now, or ``None``: also if closing or unknown.

        Raises:
          OSError: An error of accept(2).
        """

    def queued(self) -> int | None:
        """Return how many connections wait to be accepted; None if that is not known."""
        return None

    @abstractmethod
    def drain_and_close(self) -> list[Transport]:
        """Accept what the kernel has queued and close, in one synchronous step (SV-6).

        A waiting `accept` raises. A listener that is not owned is only closed. Limited to the
        backlog and 128 more, to 100 ms, and to the available descriptors.

        Returns:
          The accepted transports, for the caller to serve and close.
        """

    @abstractmethod
    def close(self) -> None:
        """Close now without accepting. Idempotent. A waiting `accept` raises."""

    async def aclose(self) -> None:
        """Close, including what cannot be closed synchronously: a prebound listener of streams.

        Cancellation:
          The listener is closed in any case.
        """
        self.close()

    def __repr__(self) -> str:
        closing = " closing" if self.is_closing else ""
        return f"<{type(self).__name__} {self.facts.name}{closing}>"
