"""Sending a body that the application pushes, with a driver that pulls.

The driver sends a response in one coroutine, which reads the body piece by piece. Here that
coroutine runs in slices, inside the application's own calls of ``send``: each slice gives it one
piece, and ends when it asks for the next. So there is one place that frames responses and handles
their failures, ``before_send`` may wrap the body, and no task or channel is between the two.

.. code-block:: text

    application        send(piece) ......... returns     send(piece) ......... returns
                           |                    |             |
    the driver's           piece -> wire -> "the next"        piece -> wire -> "the next"
    coroutine          '------- a slice -------'          '------- a slice -------'
"""

from __future__ import annotations

from types import coroutine
from typing import TYPE_CHECKING, Any, Self, final

import trio

from ..exceptions import ClientDisconnected
from ..http import Body
from ._errors import SendError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from ..conn import Conn

__all__ = ["Sending"]

# What the driver's coroutine yields when it needs a piece. It never reaches trio.
_HUNGRY: Any = object()  # Any: a coroutine may yield anything


@coroutine
def _ask() -> Generator[Any, None, None]:
    yield _HUNGRY


@final
class _PushedBody:
    """The body as the driver sees it: an async iterable of pieces."""

    __slots__ = ("is_over", "piece")

    def __init__(self) -> None:
        self.piece: bytes | None = None
        self.is_over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while self.piece is None:
            if self.is_over:
                raise StopAsyncIteration
            await _ask()
        piece, self.piece = self.piece, None
        return piece


@final
class Sending:
    """One response whose body is pushed.

    Several tasks may push: each piece is sent whole.

    Args:
      conn: Its status and headers are set.
      length: Bytes of body, if declared.

    Attributes:
      is_over: The response has been sent, or failed.
    """

    __slots__ = ("_body", "_conn", "_failure", "_is_busy", "_sending", "_waiting", "is_over")

    def __init__(self, conn: Conn, length: int | None) -> None:
        self.is_over = False
        self._conn = conn
        self._body = _PushedBody()
        self._failure: ClientDisconnected | None = None
        conn.with_body(Body.streaming(self._body, length))
        # Any: what trio sends and receives is between the two.
        self._sending: Coroutine[Any, Any, object] = conn.send_now()
        self._is_busy = False
        self._waiting = trio.lowlevel.ParkingLot()

    async def push(self, piece: bytes, *, more: bool) -> None:
        """Send a piece; if it is the last, end the response.

        Pieces of a response that has no body, such as that to HEAD, are dropped.

        Raises:
          SendError: The response cannot be sent any more.

        Cancellation:
          The response is incomplete, and nothing more can be sent.
        """
        while self._is_busy:
            await self._waiting.park()
        if not self.is_over:
            self._is_busy = True
            try:
                self._body.piece = piece or None
                self._body.is_over = not more
                await self._advance(None)
            finally:
                self._is_busy = False
                self._waiting.unpark()
        if self._failure is not None:
            raise SendError("the response could not be sent") from self._failure

    async def fail(self, error: BaseException) -> None:
        """End the response so that the peer notices that it is incomplete, and log why.

        Raises:
          BaseException: The error itself, unless it is an `Exception`.

        Cancellation:
          The connection can only be aborted.
        """
        if not self.is_over:
            await self._advance(error)

    @coroutine
    def _advance(self, error: BaseException | None) -> Generator[Any, Any, None]:
        """Run the driver's coroutine until it asks for a piece, or ends."""
        sending = self._sending
        try:
            trap = sending.send(None) if error is None else sending.throw(error)
            while trap is not _HUNGRY:
                try:
                    value = yield trap
                except BaseException as raised:  # trio's answer to the trap, or a cancellation
                    trap = sending.throw(raised)
                else:
                    trap = sending.send(value)
        except StopIteration:
            self.is_over = True
        except ClientDisconnected as failure:
            self.is_over = True
            self._failure = failure
        except BaseException:
            self.is_over = True
            self._failure = ClientDisconnected("sending was cancelled")
            raise

    def __repr__(self) -> str:
        return f"<Sending {self._conn!r}{' over' if self.is_over else ''}>"
