"""What waits to be sent to one client, bounded in bytes."""

from __future__ import annotations

from collections import deque
from typing import final

import trio

__all__ = ["Outbox"]

# What a message costs beside its content.
_MESSAGE_COST = 64


@final
class Outbox:
    """A queue of encoded messages, bounded in bytes.

    A message that is longer than the bound is taken if nothing else waits.

    Args:
      max_bytes: The bound.
    """

    __slots__ = ("_is_closed", "_max_bytes", "_news", "_queue", "_queued", "_room")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._queue: deque[str | bytes] = deque()
        self._queued = 0
        self._is_closed = False
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    def offer(self, data: str | bytes) -> bool:
        """Add a message without waiting; return whether there was room, or no need for it.

        Nothing is added once the outbox is closed.
        """
        if self._is_closed:
            return True
        cost = _MESSAGE_COST + len(data)
        if self._queue and self._queued + cost > self._max_bytes:
            return False
        self._queue.append(data)
        self._queued += cost
        self._news.unpark_all()
        return True

    async def put(self, data: str | bytes) -> None:
        """Add a message when there is room.

        There is no checkpoint after it is added: what the caller does next, it does before any
        other task.

        Cancellation:
          It is not added.
        """
        while not self.offer(data):
            await self._room.park()

    async def take(self) -> str | bytes | None:
        """Wait for the next message; None when the outbox is closed and empty.

        Cancellation:
          No message is lost.
        """
        while not self._queue:
            if self._is_closed:
                return None
            await self._news.park()
        data = self._queue.popleft()
        self._queued -= _MESSAGE_COST + len(data)
        self._room.unpark_all()
        return data

    def close(self) -> None:
        """Add nothing more; what waits can still be taken. Idempotent."""
        self._is_closed = True
        self._news.unpark_all()
        self._room.unpark_all()

    def __repr__(self) -> str:
        return f"<Outbox, {len(self._queue)} messages, {self._queued} bytes>"
