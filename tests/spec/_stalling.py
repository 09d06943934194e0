"""A peer that stops reading after some sends of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trillium_trio.testing import StallingStream

if TYPE_CHECKING:
    from trillium_trio.testing import MemoryStream


class Stalling:
    """Wraps the server's end, as ``wrap_server``: from one send on nothing is taken.

    Args:
      at: The number of the first send that stalls, from 1.
    """

    def __init__(self, *, at: int) -> None:
        self._at = at
        self._stream: StallingStream | None = None

    def __call__(self, stream: MemoryStream) -> StallingStream:
        self._stream = StallingStream(stream, at=self._at, on="send")
        return self._stream

    @property
    def stream(self) -> StallingStream:
        assert self._stream is not None, "nothing was wrapped yet"
        return self._stream
