"""Answers that leave in a row, when all connections of a turn have been served."""

from __future__ import annotations

from typing import Protocol, final

__all__ = ["Outbox", "Queued"]

# The first of a row waits for the last: for as long as so many small handlers take.
_MAX_ANSWERS = 64
# And what one row may take of the loop to be sent, as for a single connection (CN-23).
_MAX_BYTES = 256 * 1024


class Queued(Protocol):
    """An answer in the row."""

    def send_queued(self) -> None:
        """Send it; what is not taken is the business of its own task. Must not raise."""


@final
class Outbox:
    """Collects answers while it is open, and sends them one directly after the other.

    Each answer that is sent wakes its client. One at a time, with a handler between each two, that
    is an interrupt for each, and cold caches after it; sent in a row, most find the client awake.
    So the poller opens the row when it has received for several connections, and closes it when
    all of them have run: by then each has answered, or waits for something and is not waited for.

    A row leaves as soon as it has 64 answers, or 256 KiB.

    Attributes:
      is_open: Whether answers may be added.
    """

    __slots__ = ("_bytes", "_row", "is_open")

    def __init__(self) -> None:
        self.is_open: bool = False
        self._row: list[Queued] = []
        self._bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._row

    def open(self) -> None:
        """Begin to collect."""
        self.is_open = True

    def add(self, answer: Queued, size: int) -> None:
        """Have an answer sent with the row, behind those that are in it."""
        if len(self._row) >= _MAX_ANSWERS or self._bytes + size > _MAX_BYTES:
            self.send()
        self._row.append(answer)
        self._bytes += size

    def send(self) -> None:
        """Send the row, as far as it is there."""
        row, self._row, self._bytes = self._row, [], 0
        for answer in row:
            answer.send_queued()

    def close(self) -> None:
        """Collect no more, and send the row."""
        self.is_open = False
        self.send()

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<Outbox {state}, {len(self._row)} answers>"
