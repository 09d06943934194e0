"""One HTTP/1 connection: the keep-alive loop, in one task."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, final

import trio

from ..codec import is_head_started, read_head, render_error
from ..exceptions import ClientDisconnected, HttpError, RequestTimeout
from ..swansong import claim
from ..transport import Woken
from ._bounds import Bounds
from ._connection import Connection, State
from ._errors import logger
from ._exchange import Phase
from ._http1_exchange import Http1Exchange
from ._http1_inbound import EMPTY, InboundBody
from ._wire import Wake

if TYPE_CHECKING:
    from ..http import RequestHead
    from ..swansong import Claim
    from ._exchange import Exchange

__all__ = ["Http1Connection"]

# Bound once: before Python 3.12, to look a member up on its class takes 0.07 us.
_IDLE, _EXCHANGE, _QUEUED = State.IDLE, State.EXCHANGE, Phase.QUEUED
# Woken for one of these, a connection that owes nothing looks around and waits on.
_KEEPS_WAITING = (Wake.NOTICE, Wake.UNSENT)


@final
class Http1Connection(Connection):
    """Serves HTTP/1, one request after another.

    .. code-block:: text

                     +-------------- keep-alive --------------+
                     v                                        |
        accepted -> IDLE --> HEAD --> EXCHANGE: HANDLER -> SENDING -> SENT
                     |        |          |         |          |         |
           timeout,  |  408,  |          | cut     | upgrade  | failure | close
           end, stop |  4xx   |          v         v          |         |
                     |        |         503     UPGRADED      |         |
                     v        v          v         v          v         v
                   closed   REFUSED ->        ENDING (the polite close)

    With TLS or a proxy's header, HANDSHAKE comes first. A guard is held from the first byte of a
    head to the end of SENT.
    """

    __slots__ = ()

    # As in `Connection`. This class assigns them too, so type checkers need their types here.
    exchange: Exchange | None
    guard: Claim | None
    served: int
    idle_since: float
    state: State

    async def serve(self) -> None:
        """See `Connection`.

        Cancellation:
          A request in progress is left for `Exchange.answer_cut`.
        """
        transport = self.transport
        if (transport.is_secure or transport.expects_proxy) and not await self.shake_hands():
            return
        try:
            await self._serve_requests()
        except HttpError as error:
            await self.refuse(error)
        except ClientDisconnected:
            pass
        if self.state is _IDLE:
            # No response is at risk of a reset, and no byte is unread.
            await self.transport.aclose()
        else:
            await self.close_politely()

    async def _serve_requests(self) -> None:
        """Serve one request after another, until no further one may follow.

        Raises:
          HttpError: A head is malformed, too large, or late.
          ClientDisconnected: The peer has left.

        Cancellation:
          As of `serve`.
        """
        wire, service = self.wire, self.service
        bounds = Bounds.of(service, self.idle_since)
        idle_timeout = service.http.idle_timeout
        # Until the first request is complete, silence and slowness share one timeout.
        patience = service.http.head_timeout
        while True:
            if not (wire.buffer and is_head_started(wire.buffer)):
                self.state = _IDLE
                deadline = self.idle_since + patience
                deadline = self._drain_deadline(deadline) if service.is_draining else deadline
                try:
                    data = await wire.receive(deadline)
                except Woken as woken:
                    if not await self._send_rest() or self._gives_up(woken.reason):
                        return
                    continue
                if (self.exchange is not None and not await self._send_rest()) or not data:
                    return
                wire.buffer += data
                del data
                if len(wire.buffer) < 3:
                    continue  # it may be an empty line before a request, which does not begin one
            start = service.now()
            head, used = read_head(wire.buffer, service.head_limits) or await self._rest_of_head(
                start if self.served else self.idle_since
            )
            wire.buffer = wire.buffer[used:]
            if bounds is not None and bounds.is_last():
                head.keep_alive = False
            self.state = _EXCHANGE
            # RFC 9112, 6.3: without either field a request has no body.
            inbound = (
                InboundBody(wire, head, service.http)
                if head.content_length or head.is_chunked
                else EMPTY
            )
            self.exchange = exchange = Http1Exchange(
                self,
                head,
                inbound,
                start,
                claim(service.swansong, head, self.task, _SERVE_REQUESTS)
                if self.guard is None
                else self.take_guard(head),
            )
            self.served += 1
            if not await exchange.run() or not (inbound.is_complete or await inbound.discard()):
                return
            if self.context is not None and self.renew_context():
                await trio.lowlevel.cancel_shielded_checkpoint()
            self.idle_since = service.now()
            patience = idle_timeout if bounds is None else bounds.patience(self.idle_since)
            # An idle connection keeps nothing of its last request, once it is answered.
            self.exchange = exchange if exchange.phase is _QUEUED else None
            del exchange, inbound, head

    async def refuse(self, error: HttpError) -> None:
        """See `Connection`.

        Cancellation:
          Part of the answer may have been sent.
        """
        logger.info("%s: %s", self.transport.peer, error)
        self.state = State.REFUSING
        service = self.service
        response = render_error(
            error.status,
            date_line=service.date_line(),
            server_line=service.server_line,
            fields=error.headers,
        )
        try:
            await self.wire.send(response)
        except ClientDisconnected:
            pass
        self.state = State.REFUSED

    # -- between two requests ------------------------------------------------------------------

    async def _send_rest(self) -> bool:
        """Send the last response, or what the row left of it; return whether another may follow."""
        if self.exchange is not None and self.exchange.phase is _QUEUED:
            self.service.outbox.send()
        exchange = self.exchange
        if exchange is None:
            return True
        if self.transport.wake_reason is not None:
            self.transport.clear_wake()
        self.state = _EXCHANGE
        keep = await exchange.respond()
        if keep:
            self.exchange = None
            self.state = _IDLE
            self.idle_since = self.service.now()
        return keep

    def _gives_up(self, reason: object) -> bool:
        """Return whether a wake ends the wait; not if a request has come in this very moment."""
        if self._finds_more():
            return False
        if reason in _KEEPS_WAITING:
            # At the stop, without a turn of the loop to find out that there is no time left.
            return self.service.is_draining and self._drain_deadline(inf) == -inf
        if reason is Wake.EVICTION:
            self.service.evicted += 1
            # Set the wake again: the connection is still leaving, and its close must not wait.
            self.evict()
        return True

    def _finds_more(self) -> bool:
        """Receive without waiting; return whether a request has begun."""
        if self.transport.wake_reason is not None:
            self.transport.clear_wake()
        self.wire.look()
        return is_head_started(self.wire.buffer)

    def _drain_deadline(self, deadline: float) -> float:
        """Return the deadline, in a drain, for one more request; in the past: do not wait."""
        notified, grace = self.service.drain_time, self.service.keepalive_grace
        if notified - self.idle_since >= grace:
            return -inf
        return min(deadline, max(notified, self.idle_since) + grace)

    async def _rest_of_head(self, start: float) -> tuple[RequestHead, int]:
        """Read until the head is complete.

        Args:
          start: When its timeout began.

        Raises:
          HttpError: The head is malformed, too large, or late.
          ClientDisconnected: The peer has left.
        """
        wire, service = self.wire, self.service
        self.guard = self.take_guard("a request head")
        self.state = State.HEAD
        while True:
            seen = len(wire.buffer)
            try:
                data = await wire.receive(start + service.http.head_timeout)
            except Woken:
                raise RequestTimeout(
                    f"{len(wire.buffer)} bytes of a head in {service.http.head_timeout:g} s"
                ) from None
            if not data:
                raise ClientDisconnected("the peer has left within a head")
            wire.buffer += data
            parsed = read_head(wire.buffer, service.head_limits, seen=seen)
            if parsed is not None:
                return parsed


# What reports name as the place where a guard was taken.
_SERVE_REQUESTS = Http1Connection._serve_requests.__code__
