"""The contract of a bound listener: accept, and end in one of two ways."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..transport import Listener, Transport


class BoundListener(ABC):
    """A source of transports. One task accepts; any task of the same run may close it.

    Attributes:
      facts: What is known about it.
      is_owned: Whether we made it. What was inherited or handed in may have other holders: it is
        not emptied, and closed without touching what they share.
      is_closing: Set, for good, by `drain_and_close`, `close` and `aclose`.
    """

    __slots__ = ("facts", "is_closing", "is_owned")

    def __init__(self, facts: Listener, *, is_owned: bool) -> None:
        """Keep the facts."""
        self.facts: Listener = facts
        self.is_owned: bool = is_owned
        self.is_closing: bool = False

    @abstractmethod
    async def accept(self) -> Transport:
        """Wait for a connection and return it.

        Raises:
          trio.ClosedResourceError: The listener is closing.
          OSError: What accept(2) says; see `_errors.py`.

        Cancellation:
          No connection is lost.
        """

    @abstractmethod
    def accept_nowait(self) -> Transport | None:
        """Return a connection that is there now, else ``None``, as when closing or unknown.

        Raises:
          OSError: What accept(2) says.
        """

    @abstractmethod
    def drain_and_close(self) -> list[Transport]:
        """Accept what the kernel has queued and close, in one synchronous step (SV-6).

        A parked `accept` raises. A listener that is not owned is closed only. Bounded: by its
        backlog and 128 more, by 100 ms, and by the descriptors there are.

        Returns:
          The accepted transports, for the caller to serve and close.
        """

    @abstractmethod
    def close(self) -> None:
        """Close now and accept nothing. Idempotent. A parked `accept` raises."""

    async def aclose(self) -> None:
        """Close, also what cannot be closed synchronously: a prebound listener of streams.

        Cancellation:
          The listener is closed in any case.
        """
        self.close()

    def __repr__(self) -> str:
        closing = " closing" if self.is_closing else ""
        return f"<{type(self).__name__} {self.facts.name}{closing}>"
