"""``wsgi.input``: the body of the request as a file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

__all__ = ["RequestStream"]


@final
class RequestStream(io.RawIOBase):
    """The body as it arrives; an `io.BufferedReader` around it has all methods of ``wsgi.input``.

    Args:
      receive: Waits for the next piece and returns it; nothing at the end.
    """

    def __init__(self, receive: Callable[[], bytes]) -> None:
        super().__init__()
        self._receive = receive
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read some bytes; see `io.RawIOBase.readinto`.

        Raises:
          ConnectionLost: The rest cannot be read.
        """
        if not self._rest:
            self._rest = memoryview(self._receive())
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
