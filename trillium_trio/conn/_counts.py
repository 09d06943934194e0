"""The connections of a server as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["ConnectionCounts"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCounts:
    """The connections of a server at one moment, and how many it has accepted so far.

    Attributes:
      open: How many are open now.
      idle: How many of these wait for a request, with no byte of it received.
      closing: How many of these have answered their last request.
      accepted: How many were accepted, those that were refused included.
      refused: How many were answered 503, or closed, because there was no room.
      evicted: How many idle ones were closed to make room.
      ended: How many have ended, for any reason.
      requests: How many requests have begun, on these and on those that have ended.
      queued: How many wait in the system's queues to be accepted; None where it does not say: on
        other systems than Linux, on unix sockets, and once the listeners are closed.
    """

    open: int = 0
    idle: int = 0
    closing: int = 0
    accepted: int = 0
    refused: int = 0
    evicted: int = 0
    ended: int = 0
    requests: int = 0
    queued: int | None = None

    @property
    def busy(self) -> int:
        """How many have a request in progress, or are in their handshake."""
        return self.open - self.idle - self.closing

    def __str__(self) -> str:
        return (
            f"{self.open} connections are open, {self.idle} of them idle; "
            f"{self.evicted} were evicted and {self.refused} refused so far"
        )
