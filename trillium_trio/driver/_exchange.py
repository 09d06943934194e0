"""One request through its handler and its response, independent of the protocol."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

import trio

from ..conn import Conn, Failure, Link, Outcome, Sent, check_awaitable, check_returned
from ..exceptions import ClientDisconnected, HttpError, MisuseError
from ..http import Status, reason_phrase
from ._errors import find_exit, judge, log_failure, shutting_down
from ._outbound import close_body

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextvars import Context

    from ..conn import RequestSource
    from ..http import Headers, RequestHead
    from ..swansong import Claim
    from ._service import Service

__all__ = ["Carrier", "Exchange", "Phase"]


class Phase(enum.Enum):
    """The progress of an exchange."""

    HANDLER = "in the handler"
    ANSWERED = "after the handler, which finished in spite of a cut"
    QUEUED = "about to send a response"
    SENDING = "sending a response"
    SENT = "after a response"
    UPGRADED = "upgraded"


class Carrier(Link, Protocol):
    """What an exchange knows of its connection, besides what the conn does.

    Attributes:
      service: What all connections of the server share.
      cut_reason: Why the connection was cut; None if it was not.
      context: The context variables that each request begins with; None: those of the last one.
      exchange: The one in progress, if there is one.
    """

    service: Service
    cut_reason: str | None
    context: Context | None
    exchange: Exchange | None


class Exchange(ABC):
    """One request and its response: the part that every protocol has in common.

    .. code-block:: text

        run      the handler         raised: the error table decides what to answer, if anything
          |      cut meanwhile       finished nevertheless: `respond` is called outside the scope
        respond  before_send, send   failed: answered if nothing is sent yet, else severed
          |
        finish   after_send, of the conn and of the handlers, then the guard is released

    A handler that wants to continue after its response calls `send_now`, which responds at once;
    what `run` then has left to do is to release the guard when the handler returns.

    A protocol implements `send`, and `send_plain` if it has a fast path. It sends the response in
    `conn`. It calls `begin` and sets `phase` to `Phase.SENDING` just before the first byte: until
    then the response can still be replaced. `count_body` is for those who observe it.

    Args:
      carrier: The connection.
      head: The request.
      inbound: Its body.
      start_time: When its first byte arrived, on trio's clock.
      guard: Its guard; released by `finish`.

    Attributes:
      conn: The conn that the handler gets.
      phase: The progress.
      needs_reset: Whether nothing but a reset would tell the peer that the response is incomplete.
      rest: What the transport has not taken yet of a plain response.
      beside: Set when the task that sends that rest beside the handler has ended; None: there is
        none. As the next two, from `send_now` on.
      is_settled: The handler has sent a plain response, and nothing of it is sent beside it.
      upgraded: What `send_now` returns; a protocol that can upgrade sets it.
      sent: What was sent, from `begin` on, where a handler has ``after_send``.
      mark: Of the protocol, to count the body from.
    """

    # Set for a handler that has ``after_send``.
    sent: Sent
    mark: int
    # Set by `send_now`, which few handlers call.
    beside: trio.Event | None
    is_settled: bool
    upgraded: bytes | None
    _failure: Exception | None
    _keeps: bool

    __slots__ = (
        "_failure",
        "_guard",
        "_held",
        "_keeps",
        "beside",
        "carrier",
        "conn",
        "head",
        "inbound",
        "is_settled",
        "mark",
        "needs_reset",
        "phase",
        "rest",
        "sent",
        "upgraded",
    )

    # One is created per request: an `__init__` of a subclass would cost it 0.1 us.
    def __init__(
        self,
        carrier: Carrier,
        head: RequestHead,
        inbound: RequestSource,
        start_time: float,
        guard: Claim,
    ) -> None:
        self.carrier: Carrier = carrier
        self.head: RequestHead = head
        self.inbound: RequestSource = inbound
        self.conn: Conn = Conn(carrier, head, inbound, start_time)
        self.phase: Phase = _HANDLER
        self.needs_reset: bool = False
        self.rest: bytes | memoryview | None = None
        self._guard: Claim | None = guard
        # The guard, from `send_now` to the end of the handler.
        self._held: Claim | None = None

    # -- what a protocol implements ------------------------------------------------------------

    @abstractmethod
    async def send(self) -> bool:
        """Send the response in `conn`; return whether another exchange may follow.

        Raises:
          Exception: While `phase` is `Phase.HANDLER`, an error response replaces this one;
            afterwards it is severed.

        Cancellation:
          The response is incomplete. See `sever` and `finish`.
        """

    def sever(self) -> None:
        """Make sure that the peer notices that a response in progress is incomplete."""
        if self.needs_reset:
            self.carrier.transport.abort()

    async def send_interim(  # noqa: B027 (nothing is right where there is none)
        self, status: int, fields: Headers
    ) -> None:
        """Send an interim response, such as 103; by default a protocol has none.

        Cancellation:
          Part of it may have been sent: the connection can only be aborted.
        """

    def send_plain(self) -> bool:
        """Send the response if nothing is to be decided or waited for; say if that is done.

        If so, the guard has been released, or `phase` is `Phase.QUEUED` and it will be. What the
        transport has not taken is left for `send`.
        """
        return False

    def count_body(self) -> int:
        """Return how many bytes of the body have been sent; by default a protocol counts none."""
        return 0

    # -- what all have in common ---------------------------------------------------------------

    async def run(self) -> bool:
        """Handle the request and respond; return whether another may follow.

        Cancellation:
          The handler is cancelled, or the response is incomplete. See `answer_cut` and `finish`.
        """
        carrier, conn = self.carrier, self.conn
        service = carrier.service
        try:
            try:
                # As `run_handler` does, which would be a coroutine more for each request.
                handler = service.handler
                result = handler.run(conn)
                try:
                    returned = await result
                except TypeError as error:
                    check_awaitable(handler, result, error)
                    raise
                if returned is not conn:
                    check_returned(handler, conn, returned)
            except BaseException:
                await close_body(conn.raw_body)  # it will not be sent
                raise
            finally:
                if self._held is not None:
                    # The handler is over.
                    self._guard, self._held = self._held, None
        except Exception as error:  # goes through the error table
            if not await self._goes_on_after(error):
                return False
        if self.phase is not _HANDLER:
            if self.phase is _SENT and self.is_settled:
                self.release()
                return True
            return self.phase is Phase.QUEUED or await self._end_early_answer()
        if carrier.cut_reason is not None:
            # The handler swallowed its cancellation. The checkpoint exits the scope, which is still
            # cancelled; `answer_cut` sends the response outside it.
            self.phase = Phase.ANSWERED
            await trio.lowlevel.checkpoint()
        return (service.before_send is None and self.send_plain()) or await self.respond()

    async def _goes_on_after(self, error: Exception) -> bool:
        """Log what the handler raised, or have it answered; False if the exchange is over by that.

        Cancellation:
          As for `run`.
        """
        if self.phase is not _HANDLER:
            self._log_late(error)  # it has been answered
            return True
        if await self._answer_with(error):
            return True
        await self.finish()
        return False

    async def respond(self) -> bool:
        """Run ``before_send`` and send the response; return whether another request may follow.

        Cancellation:
          The response is incomplete. See `sever` and `finish`.
        """
        keep = await self._respond()
        if keep is None:
            return True
        await self.finish()
        return keep

    async def _respond(self) -> bool | None:
        """Do what `respond` does up to `finish`; None if there is nothing to finish.

        Cancellation:
          As for `respond`.
        """
        keep = False
        try:
            # The rest of a plain response has been through them.
            if self.carrier.service.before_send is not None and self.rest is None:
                await self._before_send()
                if self.send_plain():
                    return None
            if self.conn.status is None and self.conn.raw_body is None:
                # No handler has answered.
                self.conn.with_status(Status.NOT_FOUND).with_body(_page(Status.NOT_FOUND))
            keep = await self.send()
            if self.phase is not Phase.UPGRADED or self._held is None:
                self.note_end(Outcome.COMPLETE)
        except Exception as error:  # goes through the error table
            if self._held is not None:
                self._failure = error
            if self.phase is Phase.HANDLER:
                # Nothing is sent yet: the body could not be opened, or the head not rendered.
                keep = await self._answer_with(error) and await self._send_answer()
            else:
                self.log(error)
                self.sever()
        return keep

    async def send_now(self) -> bytes | None:
        """Respond while the handler continues: its guard is held until it returns.

        Returns:
          After an upgrade, the bytes that precede the transport's.

        Raises:
          MisuseError: The response was already sent.
          ClientDisconnected: It could not be sent whole, or not as it is. Why is logged.

        Cancellation:
          Before the first byte the response is taken back, and replaced by a 500 unless the handler
          sets another. Afterwards it is incomplete.
        """
        if self._held is not None or self.phase is not _HANDLER:
            raise MisuseError("the response has been sent")
        self._held, self._guard = self._guard, None
        self.beside = None
        # First, because a row that is full leaves at once.
        self.is_settled = self._keeps = True
        keep = None
        if self.carrier.service.before_send is not None or not self.send_plain():
            self._failure = self.upgraded = None
            try:
                keep = await self._respond()
            except BaseException:
                if self.phase is _HANDLER:
                    # Nothing is sent, and the body is closed: the handler may answer again.
                    self._guard, self._held = self._held, None
                    self._reset(Status.INTERNAL_SERVER_ERROR, ())
                raise
        if keep is None:
            if self.phase is _HANDLER:
                self.phase = _SENT
            return None
        self.is_settled = False
        self._keeps = keep
        if self.phase is not Phase.UPGRADED:
            await self.finish()
        if self._failure is not None:
            raise ClientDisconnected("the response could not be sent") from self._failure
        return self.upgraded

    async def _end_early_answer(self) -> bool:
        """End the exchange of a handler that called `send_now`; return whether another may follow.

        Cancellation:
          As for `finish`.
        """
        if self.beside is not None:
            await self.beside.wait()
        if self.phase is Phase.UPGRADED:
            self.note_end(Outcome.COMPLETE)
        elif self.phase is Phase.SENDING:
            # Sending was cancelled, and the handler has swallowed that.
            self.note_end(Outcome.FAILED)
            self.sever()
            self._keeps = False
        await self.finish()
        return self._keeps

    async def finish(self) -> None:
        """Run the ``after_send`` functions, then release the guard.

        Cancellation:
          A function that was running is not run again; a later call runs those after it.
        """
        self.phase = Phase.SENT
        for fn in self.conn.take_after_send():
            try:
                await fn(self.conn)
            except Exception as error:  # the response is sent: it cannot be answered
                self.log(error)
        self.release()

    async def answer_cut(self) -> None:
        """Answer a request that was cut, unless part of its response is already sent.

        Call it outside the scope that was cancelled.

        Cancellation:
          The response is incomplete.
        """
        if self.phase is Phase.ANSWERED:
            self.phase = _HANDLER
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
        """Run the handlers' ``after_send`` and release the guard. Idempotent."""
        guard, self._guard = self._guard, None
        if guard is not None:
            if self.carrier.service.after_send is not None:
                self._run_after_send()
            guard.release()

    def begin(self, status: int) -> None:
        """Note the status of the response that is about to be sent."""
        if self.carrier.service.after_send is not None:
            self.sent = Sent(status)

    def note_end(self, outcome: Outcome) -> None:
        """Note how the response has ended, and when, unless it has ended before."""
        sent: Sent | None = getattr(self, "sent", None)
        if sent is not None and sent.duration < 0:
            if outcome is not Outcome.COMPLETE and self.carrier.cut_reason is not None:
                outcome = Outcome.CUT
            sent.outcome = outcome
            sent.duration = self.carrier.service.now() - self.conn.start_time
            sent.body_bytes = self.count_body()

    def log(self, error: BaseException) -> None:
        """Log an exception as the error table says; it ends a response that is in progress.

        The line has request and peer.
        """
        is_answerable = judge(error).status is not None
        self.note_end(Outcome.FAILED if is_answerable else Outcome.DISCONNECTED)
        log_failure(error, self.carrier.transport.peer, self.label)

    def _log_late(self, error: Exception) -> None:
        """Log what a handler raised after `send_now`."""
        if self.rest is None:
            self.log(error)
        else:
            # A plain response is sent, or will be, whatever its handler does.
            log_failure(error, self.carrier.transport.peer, self.label)

    @property
    def label(self) -> str:
        """Its name in logs."""
        return str(self.head)

    def _run_after_send(self) -> None:
        carrier = self.carrier
        service = carrier.service
        sent: Sent | None = getattr(self, "sent", None)
        if sent is None:
            # Without a cut, only a disconnect ends an exchange that has no response.
            is_cut = carrier.cut_reason is not None or self.phase is not _SENT
            self.sent = sent = Sent(outcome=Outcome.CUT if is_cut else Outcome.DISCONNECTED)
            sent.duration = service.now() - self.conn.start_time
        elif sent.duration < 0:
            # What has not ended by itself was cancelled.
            self.note_end(Outcome.CUT)
        hook = service.after_send
        assert hook is not None
        try:
            hook(self.conn, sent)
        except BaseException as error:  # the handlers' exceptions are logged already
            service.on_exit(find_exit(error) or error)

    async def _before_send(self) -> None:
        hook = self.carrier.service.before_send
        assert hook is not None
        try:
            await hook(self.conn)
        except BaseException:
            await close_body(self.conn.raw_body)  # it will not be sent
            raise
        finally:
            # Its traceback refers to the conn: only the garbage collector could free the two.
            self.conn.take_state(Failure)

    async def _answer_with(self, error: BaseException) -> bool:
        """Turn an exception into a response; return False if it cannot be answered."""
        self.log(error)
        if self.carrier.cut_reason is not None:
            # An exception that a cut causes says nothing about the request. If the cancelled scope
            # is still active, the checkpoint exits it, and the answer is the 503.
            await trio.lowlevel.checkpoint()
        verdict = judge(error)
        if verdict.status is None:
            return False
        self._reset(verdict.status, verdict.headers, verdict.body)
        if not issubclass(type(error), HttpError) and self.carrier.service.before_send is not None:
            self.conn.insert_state(Failure(error))
        return True

    def _reset(
        self, status: int, fields: Iterable[tuple[str, str]], body: bytes | None = None
    ) -> None:
        self.conn.reset_response(status, _page(status) if body is None else body)
        for name, value in fields:
            self.conn.response_headers.append(name, value)
        if status == Status.CONTENT_TOO_LARGE:
            # Not to be sent again on this connection (RFC 9110, 15.5.14), whole or in part.
            self.conn.response_headers.set("connection", "close")

    async def _send_answer(self) -> bool:
        try:
            keep = await self.send()
        except Exception as error:  # nothing more can be tried
            self.log(error)
            return False
        self.note_end(Outcome.COMPLETE)
        return keep

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label} {self.phase.value}>"


def _page(status: int) -> str:
    """Return the body of an error: only its reason phrase."""
    return f"{reason_phrase(status) or status}\n"


# Bound once: before Python 3.12, looking up a member on its class takes 0.07 us.
_HANDLER, _SENT = Phase.HANDLER, Phase.SENT
