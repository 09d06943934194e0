"""What became of a response, for the handlers that observe it."""

from __future__ import annotations

import enum
from typing import final

__all__ = ["Outcome", "Sent"]


class Outcome(enum.Enum):
    """How an exchange has ended."""

    COMPLETE = "complete"  # all of the response was taken; an upgrade has ended by itself
    CUT = "cut"  # by the deadline of a drain or by `cancel()`, perhaps with a 503
    DISCONNECTED = "disconnected"  # the client has left, or has not read in time
    FAILED = "failed"  # a handler or the body has raised, and the response was severed


@final
class Sent:
    """What was sent in answer to a request, for `Handler.after_send`.

    Attributes:
      status: The status of the response; None if none was begun.
      body_bytes: How much of the body the socket has taken, without the framing of chunks. What
        follows an upgrade is not counted.
      outcome: How it ended. An error page that was sent whole is complete.
      duration: From the first byte of the request to the last of the response, or to the end of an
        upgrade or of an incomplete response. Unit: seconds.
    """

    __slots__ = ("body_bytes", "duration", "outcome", "status")

    # One is created per request where a handler asks for it: a frozen dataclass costs 1 us.
    def __init__(
        self,
        status: int | None = None,
        body_bytes: int = 0,
        outcome: Outcome = Outcome.CUT,
        duration: float = -1.0,
    ) -> None:
        self.status: int | None = status
        self.body_bytes: int = body_bytes
        self.outcome: Outcome = outcome
        self.duration: float = duration

    def __repr__(self) -> str:
        return (
            f"<Sent {self.status}, {self.body_bytes} bytes, {self.outcome.value}, "
            f"{self.duration:.3f} s>"
        )
