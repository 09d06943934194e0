"""Messages that are read while the handler does not receive."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, final

import trio

if TYPE_CHECKING:
    from ._codec import MessageCodec
    from ._wire import Wire

__all__ = ["ReadAhead"]

# So many bytes of messages are read ahead, and the message that passes them.
_MAX_BYTES = 65_536
# What a message costs beside its content.
_MESSAGE_COST = 64


@final
class ReadAhead:
    """Reads in a task of its own while the handler only sends.

    So pings are answered, and a Close or the end of the connection is noticed. The task ends when
    the handler receives again, and when enough is read.

    Attributes:
      messages: What was read and is not received, oldest first; see `take`.
    """

    __slots__ = ("_codec", "_is_running", "_nursery", "_size", "_wire", "messages")

    def __init__(self, wire: Wire, codec: MessageCodec, nursery: trio.Nursery) -> None:
        self._wire = wire
        self._codec = codec
        self._nursery = nursery
        self._is_running = False
        self._size = 0
        self.messages: deque[str | bytes] = deque()

    def start(self) -> None:
        """Read ahead, unless a task is reading or enough is read."""
        if not (self._wire.is_reading or self._is_running) and self._size < _MAX_BYTES:
            self._is_running = True
            self._nursery.start_soon(self._run)

    def take(self) -> str | bytes:
        """Remove the oldest message and return it."""
        message = self.messages.popleft()
        self._size -= _MESSAGE_COST + len(message)
        return message

    async def _run(self) -> None:
        codec, wire = self._codec, self._wire
        while self._size < _MAX_BYTES and not codec.is_over and not wire.is_lost:
            message = codec.next_message()
            if codec.has_answers:
                wire.push()
            if message is not None:
                self.messages.append(message)
                self._size += _MESSAGE_COST + len(message)
                wire.news.unpark_all()
            elif not codec.is_hungry:
                await trio.lowlevel.checkpoint()
            elif wire.waiting:
                break  # the handler receives again, and reads itself
            else:
                await wire.fill()
        self._is_running = False
        wire.news.unpark_all()
