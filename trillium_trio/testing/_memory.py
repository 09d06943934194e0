"""A connection in memory: two ends, no sockets, under any clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio
from trio.testing import memory_stream_pair

if TYPE_CHECKING:
    from trio.testing import MemoryReceiveStream, MemorySendStream

__all__ = ["MemoryStream", "memory_pair"]


@final
class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection in memory; `MemoryListener.connect` creates it.

    The buffer is unlimited, so sending never waits. For a peer that does not read, use
    `StallingStream`. Unlike trio's streams, an end can be closed without waiting, and aborted,
    which its peer sees as a reset.
    """

    def __init__(self, stream: trio.StapledStream[MemorySendStream, MemoryReceiveStream]) -> None:
        self._stream = stream
        self._peer: MemoryStream | None = None
        self._is_closed = False
        self._is_reset = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all data.

        Raises:
          trio.BrokenResourceError: The peer has closed or aborted.
          trio.ClosedResourceError: This end is closed.

        Cancellation:
          Nothing was sent.
        """
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once.

        Cancellation:
          Changes nothing.
        """
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes; ``b""`` once the peer has closed or sent EOF.

        Raises:
          trio.BrokenResourceError: The peer has aborted. Unread bytes are lost.
          trio.ClosedResourceError: This end is closed.

        Cancellation:
          Nothing is lost.
        """
        data = await self._stream.receive_some(max_bytes)
        if self._is_reset and not self._is_closed:
            raise trio.BrokenResourceError("connection reset by peer")
        return bytes(data)

    async def send_eof(self) -> None:
        """Send EOF; receiving continues.

        Cancellation:
          EOF is sent in any case.
        """
        await self._stream.send_eof()

    def close(self) -> None:
        """Close, without waiting. Sent bytes can still be received. Idempotent."""
        self._is_closed = True
        self._stream.send_stream.close()
        self._stream.receive_stream.close()

    def abort(self) -> None:
        """Close so that the peer sees a reset and loses unread bytes. Idempotent."""
        if self._peer is not None and not self._is_closed:
            self._peer._is_reset = True
        self.close()

    async def aclose(self) -> None:
        """Close as `close` does.

        Cancellation:
          Closed in any case.
        """
        self.close()
        await trio.lowlevel.checkpoint()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "reset" if self._is_reset else "open"
        return f"<MemoryStream {state}>"


def memory_pair() -> tuple[MemoryStream, MemoryStream]:
    """Return the two ends of a new connection."""
    left, right = (MemoryStream(stream) for stream in memory_stream_pair())
    left._peer, right._peer = right, left
    return left, right
