"""A request's body, sent while its answer is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from ...exceptions import ClientDisconnected, HttpError
from ._failure import UpstreamFailure

if TYPE_CHECKING:
    from ...conn import Conn
    from ._wire import Wire

__all__ = ["Sender"]

# RFC 9110, 10.1.1: not for ever, because some servers never say that they wait for the body.
_CONTINUE_SECONDS = 1.0


@final
class Sender:
    """Sends the body of a request, piece by piece; then watches whether the client stays.

    A piece is taken from the client when the upstream has taken the one before it.

    Args:
      conn: The request.
      wire: The connection to the upstream, which has been sent the head.
      waiting: The wait for the answer. It gets its deadline when the body is sent, and is cancelled
        if there is nothing to wait for.
      answer_timeout: How long the upstream then has.

    Attributes:
      may_begin: The upstream has said ``100 Continue``.
      is_answered: The answer has come, so that it has no deadline any more.
      fault: Why the wait was cancelled.
    """

    __slots__ = (
        "_answer_timeout",
        "_conn",
        "_has_begun",
        "_is_done",
        "_waiting",
        "_wire",
        "fault",
        "is_answered",
        "may_begin",
    )

    def __init__(
        self, conn: Conn, wire: Wire, waiting: trio.CancelScope, *, answer_timeout: float
    ) -> None:
        self._conn = conn
        self._wire = wire
        self._waiting = waiting
        self._answer_timeout = answer_timeout
        self._has_begun = False
        self._is_done = False
        self.may_begin = trio.Event()
        self.is_answered: bool = False
        self.fault: Exception | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the client is sending, and more of it is to come."""
        return self._has_begun and not self._is_done

    async def run(self) -> None:
        """Send the body, then wait for the client to leave.

        Cancellation:
          If it is still busy, the connection to the upstream can only be closed.
        """
        try:
            await self._send()
            self._is_done = True
            if not self.is_answered:
                self._waiting.deadline = trio.current_time() + self._answer_timeout
            await self._conn.wait_disconnected(eof=True)
            self.fault = ClientDisconnected("the client has left")
        except (HttpError, ClientDisconnected, UpstreamFailure) as fault:
            self.fault = fault
        self._waiting.cancel(reason=str(self.fault))

    async def _send(self) -> None:
        if self._conn.head.expects_continue:
            with trio.move_on_after(_CONTINUE_SECONDS):
                await self.may_begin.wait()
        self._has_begun = True
        # The first read invites the client.
        await self._wire.send_pieces(self._conn.request_body)
        await self._wire.send_end(self._conn.request_trailers)
