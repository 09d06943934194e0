"""A client that sends and receives raw bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, final

import trio

from ._exchange import Exchanger, dummy_connection

if TYPE_CHECKING:
    from types import TracebackType

    from ._memory import MemoryStream
    from ._response import TestResponse

__all__ = ["RawPeer"]


@final
class RawPeer:
    """The client's end of a connection, for what no well-behaved client does.

    A context manager that closes on exit.

    Args:
      stream: The client's end of a connection; closed by the peer.
    """

    def __init__(self, stream: MemoryStream) -> None:
        self.stream = stream
        self._exchanger = Exchanger(stream)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
          trio.BrokenResourceError: The server has closed.

        Cancellation:
          Nothing was sent.
        """
        await self.stream.send_all(data)

    async def send_slowly(self, data: bytes, *, interval: float, step: int = 1) -> None:
        """Send bytes in pieces of ``step``, ``interval`` seconds apart.

        Raises:
          trio.BrokenResourceError: The server has closed.

        Cancellation:
          Some pieces may have been sent.
        """
        for start in range(0, len(data), step):
            if start:
                await trio.sleep(interval)
            await self.send(data[start : start + step])

    async def send_eof(self) -> None:
        """Half-close: send EOF.

        Cancellation:
          EOF is sent in any case.
        """
        await self.stream.send_eof()

    async def receive_response(self, method: str = "GET") -> TestResponse:
        """Receive one response; bytes after it are kept for the next call.

        Args:
          method: Of the request; it decides which body follows (RFC 9112, 6.3).

        Raises:
          ConnectionResetError: The connection ended before a complete response.
          h11.RemoteProtocolError: The response is not valid HTTP.

        Cancellation:
          Leaves a peer that can only be closed.
        """
        return await self._exchanger.receive(dummy_connection(method), method, "(raw)")

    async def receive_some(self) -> bytes:
        """Wait for bytes; ``b""`` once the server has closed.

        Raises:
          trio.BrokenResourceError: The server has reset the connection.

        Cancellation:
          Nothing is lost.
        """
        return self._exchanger.take_buffer() or await self.stream.receive_some()

    async def receive_until_closed(self) -> bytes:
        """Receive everything until the server has closed.

        Raises:
          trio.BrokenResourceError: The server has reset the connection.

        Cancellation:
          The bytes received so far are lost.
        """
        received = bytearray()
        while data := await self.receive_some():
            received += data
        return bytes(received)

    async def expect_close(self, *, within: float = 5.0) -> None:
        """Assert that the server closes or resets the connection without sending anything more.

        Args:
          within: How many seconds it may take.

        Raises:
          AssertionError: It sent something, or did not close in time.

        Cancellation:
          Nothing is lost.
        """
        __tracebackhide__ = True
        with trio.move_on_after(within):
            try:
                data = await self.receive_some()
            except trio.BrokenResourceError:
                return
            if data:
                raise AssertionError(f"expected the connection to be closed; received {data!r}")
            return
        raise AssertionError(f"expected the connection to be closed within {within:g} s")

    def close(self) -> None:
        """Close. Sent bytes can still be received. Idempotent."""
        self.stream.close()

    def reset(self) -> None:
        """Close as a crashed client does: the server sees a reset, and loses unread bytes."""
        self.stream.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RawPeer {self.stream!r}>"
