"""What can go wrong with an upstream."""

from __future__ import annotations

from typing import final

__all__ = ["UpstreamFailure"]


@final
class UpstreamFailure(Exception):
    """An upstream could not be asked, or has not answered as it should.

    Attributes:
      status: What the client gets, if it has got nothing yet: 502, 503 or 504.
      reason: For the log.
      is_unsent: There was no connection, so nothing of the request has been sent.
      is_silent: The connection has ended before a byte of the answer.
    """

    def __init__(
        self, status: int, reason: str, *, is_unsent: bool = False, is_silent: bool = False
    ) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.is_unsent = is_unsent
        self.is_silent = is_silent

    def __str__(self) -> str:
        return self.reason
