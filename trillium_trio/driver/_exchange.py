"""One request through its handler and back, whatever protocol carries it."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

import trio

from ..http import Status, reason_phrase
from ._errors import judge, log_failure, shutting_down
from ._outbound import close_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..conn import Conn
    from ..http import RequestHead
    from ..swansong import Claim
    from ..transport import Transport
    from ._service import Service

__all__ = ["Carrier", "Exchange", "Phase"]


class Phase(enum.Enum):
    """How far an exchange is."""

    HANDLER = "in the handler"
    QUEUED = "about to send a response"
    SENDING = "sending a response"
    SENT = "after a response"
    UPGRADED = "upgraded"


class Carrier(Protocol):
    """What an exchange knows of the connection that carries it.

    Attributes:
      service: What all connections of the server share.
      transport: The way to the peer.
      cut_reason: Why the connection was cut; None if it was not.
      exchange: The one in progress, if there is one.
    """

    service: Service
    transport: Transport
    cut_reason: str | None
    exchange: Exchange | None


class Exchange(ABC):
    """One request and its response: the part that every protocol has in common.

    .. code-block:: text

        run      the handler         raised: the error table decides what to answer, if anything
          |      cut meanwhile       finished all the same: `respond` is called outside the scope
        respond  before_send, send   failed: answered if nothing is sent yet, else severed
          |
        finish   after_send, then the guard is released

    A protocol implements `send` and `sever`, and `send_plain` if it has a fast path. What it sends
    is in `conn`. It sets `phase` to `Phase.SENDING` just before the first byte: until then the
    response can still be exchanged for another.

    Args:
      carrier: The connection.
      head: The request.
      conn: What the handler works on.
      guard: The request's guard; released by `finish`.

    Attributes:
      phase: How far it is.
      is_answered: The handler finished in spite of a cut: its response is to be sent outside the
        scope that was cancelled.
    """

    __slots__ = ("_guard", "carrier", "conn", "head", "is_answered", "phase")

    def __init__(self, carrier: Carrier, head: RequestHead, conn: Conn, guard: Claim) -> None:
        self.carrier: Carrier = carrier
        self.head: RequestHead = head
        self.conn: Conn = conn
        self.phase: Phase = _HANDLER
        self.is_answered: bool = False
        self._guard: Claim | None = guard

    # -- what a protocol implements ------------------------------------------------------------

    @abstractmethod
    async def send(self) -> bool:
        """Send the response that `conn` holds; return whether another exchange may follow.

        Raises:
          Exception: The response is answered with another as long as `phase` is `Phase.HANDLER`;
            afterwards it is severed.

        Cancellation:
          The response breaks off. See `sever` and `finish`.
        """

    @abstractmethod
    def sever(self) -> None:
        """Make sure that the peer sees an incomplete response as such, if one is under way."""

    def send_plain(self) -> bool:
        """Send the response if nothing is to be decided or waited for; say if that is done.

        If so, the guard has been released, or `phase` is `Phase.QUEUED` and it will be. What the
        transport has not taken is left for `send`.
        """
        return False

    # -- what all have in common ---------------------------------------------------------------

    async def run(self) -> bool:
        """Handle the request and respond; return whether another may follow.

        Cancellation:
          The handler is cancelled, or the response breaks off. See `answer_cut` and `finish`.
        """
        carrier, conn = self.carrier, self.conn
        try:
            try:
                await carrier.service.run(conn)
            except BaseException:
                await close_body(conn.raw_body)  # it will not be sent
                raise
        except Exception as error:  # goes through the error table
            if not await self._answer_with(error):
                await self.finish()
                return False
        if carrier.cut_reason is not None:
            # The handler swallowed its cancellation: leave the scope, which stays cancelled, here;
            # the connection sends the response outside it.
            self.is_answered = True
            await trio.lowlevel.checkpoint()
        if self.send_plain():
            return True
        return await self.respond()

    async def respond(self) -> bool:
        """Run ``before_send`` and send the response; return whether another request may follow.

        Cancellation:
          The response breaks off. See `sever` and `finish`.
        """
        keep = False
        try:
            if self.carrier.service.before_send is not None:
                await self._before_send()
            if self.conn.status is None and self.conn.raw_body is None:
                # Nobody has answered.
                self.conn.with_status(Status.NOT_FOUND).with_body(_page(Status.NOT_FOUND))
            keep = await self.send()
        except Exception as error:  # goes through the error table
            if self.phase is Phase.HANDLER:
                # Nothing is sent yet: it could not be opened or rendered.
                keep = await self._answer_with(error) and await self._send_answer()
            else:
                self.log(error)
                self.sever()
        await self.finish()
        return keep

    async def finish(self) -> None:
        """Run what waits for the response to be sent, then release the guard.

        Cancellation:
          A function that was running is not run again; a later call runs those behind it.
        """
        self.phase = Phase.SENT
        for fn in self.conn.take_after_send():
            try:
                await fn(self.conn)
            except Exception as error:  # the response is out: nothing to answer
                self.log(error)
        self.release()

    async def answer_cut(self) -> None:
        """Answer a request that was cut, unless some of its response is sent already.

        To be called outside the scope that was cancelled.

        Cancellation:
          The response breaks off.
        """
        if self.is_answered:
            # The handler finished in spite of the cut: its response is as good as any.
            await self.respond()
        elif self.phase is Phase.HANDLER:
            error = shutting_down()
            self.log(error)
            self._reset(error.status, error.headers)
            try:
                await self.send()
            except Exception as failure:  # nothing more can be tried
                self.log(failure)
            else:
                self.phase = Phase.SENT

    def release(self) -> None:
        """Release the guard. Idempotent."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.release()

    def log(self, error: BaseException) -> None:
        """Log an exception as the error table says, with request and peer."""
        log_failure(error, self.carrier.transport.peer, self.label)

    @property
    def label(self) -> str:
        """What logs call it."""
        return str(self.head)

    async def _before_send(self) -> None:
        hook = self.carrier.service.before_send
        assert hook is not None
        try:
            await hook(self.conn)
        except BaseException:
            await close_body(self.conn.raw_body)  # it will not be sent
            raise

    async def _answer_with(self, error: BaseException) -> bool:
        """Turn an exception into a response; return False if there is nobody to answer."""
        self.log(error)
        if self.carrier.cut_reason is not None:
            # What a cut makes a handler raise says nothing about the request: if this still is the
            # cancelled scope, leave it, for the 503.
            await trio.lowlevel.checkpoint()
        verdict = judge(error)
        if verdict.status is None:
            return False
        self._reset(verdict.status, verdict.headers)
        return True

    def _reset(self, status: int, fields: Iterable[tuple[str, str]]) -> None:
        self.conn.reset_response(status, _page(status))
        for name, value in fields:
            self.conn.response_headers.append(name, value)
        if status == Status.CONTENT_TOO_LARGE:
            # Not to be sent again on this connection (RFC 9110, 15.5.14), whole or in part.
            self.conn.response_headers.set("connection", "close")

    async def _send_answer(self) -> bool:
        try:
            return await self.send()
        except Exception as error:  # nothing more can be tried
            self.log(error)
            return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label} {self.phase.value}>"


def _page(status: int) -> str:
    """Return the body of an error: its reason phrase, and no more."""
    return f"{reason_phrase(status) or status}\n"


# Bound once: before Python 3.12, to look a member up on its class takes 0.07 us.
_HANDLER = Phase.HANDLER
