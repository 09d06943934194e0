"""One transport from its accept to its close: no failure on it passes this boundary."""

from __future__ import annotations

import enum
import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import trio

from ..exceptions import ClientDisconnected, HttpError
from ..swansong import claim
from ..transport import HandshakeError, close_politely
from ._errors import find_exit, log_failure, shutting_down, split_cancelled
from ._exchange import Phase
from ._handshake import handshake_deadline, refuse_handshake, shake_hands
from ._link import ConnectionLink
from ._wire import Wake, Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextvars import Context

    from ..swansong import Claim
    from ..transport import Transport
    from ._exchange import Exchange
    from ._service import Service

__all__ = ["Connection", "State"]

# A 503 fits in any send buffer. A peer that has not read it after this long is treated as gone, so
# that it does not delay `after_send`, which gets the same time.
_AFTER_CUT_SECONDS = 1.0


class State(enum.Enum):
    """The state of a connection."""

    HANDSHAKE = "in the handshake"
    IDLE = "idle"
    HEAD = "reading a head"
    EXCHANGE = "in an exchange"
    REFUSING = "refusing a request"
    REFUSED = "after a refusal"
    ENDING = "closing"


class Connection(ConnectionLink, ABC):
    """Serves one transport until it ends, in one task.

    A protocol implements `serve`, its loop, and `refuse`, its answer to an invalid request. The
    rest is the same for all: no exception of the transport leaves this object, the stop reaches it
    as a notice, the deadline of a drain as a cut, and at the end all resources are released.

    The stop never cancels a connection: `notice` wakes one that waits for a request, and any other
    checks the stop before it waits for the next. Only `cut` cancels; the request is then answered
    outside the cancelled scope, according to `cut_reason`.

    Args:
      service: What all connections of the server share.
      transport: Owned from here on: closed by this connection, in the task that runs it.

    Attributes:
      state: The state; kept up to date by `serve`.
      exchange: The exchange in progress, if there is one.
      guard: Of a request whose head is not complete; an exchange has its own.
      idle_since: When it was accepted, or its last exchange was over, on trio's clock.
      served: How many requests have begun on it.
      cut_reason: Why it was cut; None if it was not.
      context: The context variables that each request begins with; None: those of the last one.
      facts: See `Link`.
    """

    __slots__ = (
        "_scope",
        "cut_reason",
        "exchange",
        "guard",
        "idle_since",
        "served",
        "service",
        "state",
        "task",
        "transport",
        "wire",
    )

    def __init__(self, service: Service, transport: Transport) -> None:
        self.service: Service = service
        self.transport: Transport = transport
        transport.join(service.poller)
        wire = Wire(transport, service.watchdog, service.http)
        self.wire: Wire = wire
        self.state: State = State.IDLE
        self.idle_since: float = trio.current_time()
        self.served: int = 0
        self.cut_reason: str | None = None
        self.context: Context | None = None
        self.facts: object | None = None
        self.exchange: Exchange | None = None
        self.guard: Claim | None = None
        self.task: weakref.ref[trio.lowlevel.Task] | None = None
        self._scope = trio.CancelScope()
        service.connections.add(self)

    # -- what a protocol implements ------------------------------------------------------------

    @abstractmethod
    async def serve(self) -> None:
        """Serve requests until the connection is to end.

        Cancellation:
          A request in progress is left for `Exchange.answer_cut`.
        """

    @abstractmethod
    async def refuse(self, error: HttpError) -> None:
        """Answer an invalid request, for which there is no exchange.

        Raises:
          ClientDisconnected: The peer has disconnected.

        Cancellation:
          Part of the answer may have been sent.
        """

    # -- from outside --------------------------------------------------------------------------

    def notice(self) -> None:
        """Ask the connection to end. An idle one checks the stop immediately."""
        if self.state is State.IDLE:
            self.transport.wake(Wake.NOTICE)
        elif self.state is State.HANDSHAKE:
            # Not woken: a wrapped stream would not survive it.
            deadline = handshake_deadline(self.service, self.wire, self.idle_since)
            self.service.watchdog.arm(self.wire, deadline)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request, with no byte of it received."""
        return self.state is State.IDLE and not self.wire.buffer

    @property
    def is_closing(self) -> bool:
        """Whether nothing is left to send: it waits for the peer to close."""
        return self.state is State.ENDING

    @property
    def is_leaving(self) -> bool:
        """Whether `evict` was called and no request has come: it closes when it next runs."""
        return self.transport.wake_reason is Wake.EVICTION

    def evict(self) -> None:
        """Close an idle or closing connection to make room; a received request is served."""
        self.transport.wake(Wake.EVICTION)

    def cut(self, reason: str, *, linger: float) -> None:
        """End the connection now; a request in progress is answered 503 if that is still possible.

        A connection that is already closing continues for at most ``linger`` more seconds.
        """
        if self.state is State.ENDING:
            latest = trio.current_time() + linger
            self.service.watchdog.arm(self.wire, min(self.wire.deadline, latest))
        elif self.cut_reason is None:
            self.cut_reason = reason
            self._scope.cancel(reason=reason)

    # -- from accept to close ------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the transport until it ends, and close it.

        No exception leaves this, except KeyboardInterrupt and SystemExit, which end the server.

        Cancellation:
          The handler is cancelled, the transport closed, nothing more is sent.
        """
        self.task = weakref.ref(trio.lowlevel.current_task())
        try:
            failure = await self._contained(self.serve, self._scope)
            if self.exchange is not None and self.exchange.phase is Phase.QUEUED:
                self.service.outbox.send()  # whatever came in between: it was answered before
            if self.cut_reason is not None:
                for step in (self._answer_cut, self._finish_cut):
                    scope = trio.move_on_after(_AFTER_CUT_SECONDS, shield=True)
                    failure = await self._contained(step, scope) or failure
            failure = await self._contained(self._close, trio.CancelScope()) or failure
            if failure is not None:
                raise failure
        finally:
            self.service.watchdog.forget(self.wire)
            self.release()
            # It refers to this connection, which only the garbage collector could free.
            self.exchange = None
            self.service.connections.discard(self)
            self.service.ended += 1
            self.service.served += self.served
            if not self.service.connections:
                self.service.on_idle()

    async def shake_hands(self) -> bool:
        """Do what precedes the requests; return whether they may follow. If not, it has closed.

        Cancellation:
          The transport can only be closed.
        """
        self.state = State.HANDSHAKE
        try:
            await shake_hands(self.service, self.wire, self.idle_since)
        except HandshakeError as error:
            self.state = State.ENDING
            await refuse_handshake(self.service, self.wire, error)
            return False
        except ClientDisconnected:
            await self.transport.aclose()
            return False
        self.state = State.IDLE
        self.idle_since = self.service.now()
        return True

    def take_guard(self, label: object) -> Claim:
        """Return a guard for a request: that of its head, or a new one."""
        guard, self.guard = self.guard, None
        if guard is None:
            return claim(self.service.swansong, label, self.task, _TAKE_GUARD)
        guard.label = label
        return guard

    def renew_context(self) -> bool:
        """Have what follows run with the variables of `context`; return whether it has to wait.

        They count from the task's next turn on, and a request that is already there would not take
        one: then a checkpoint is needed.
        """
        assert self.context is not None
        assert self.task is not None
        task = self.task()
        assert task is not None, "it runs this"
        task.context = self.context.copy()
        return bool(self.wire.buffer)

    def release(self) -> None:
        """Release the guard of the request in progress, if there is one."""
        guard, self.guard = self.guard, None
        if guard is not None:
            guard.release()
        if self.exchange is not None:
            self.exchange.release()

    async def close_politely(self) -> None:
        """Close so that the peer can still read the last response (RFC 9112, 9.6).

        Cancellation:
          Closes at once.
        """
        self.state = State.ENDING
        self.release()
        service = self.service
        if self.transport.wake_reason is not None:
            self.transport.clear_wake()
        service.watchdog.arm(self.wire, trio.current_time() + service.http.linger_timeout)
        await close_politely(self.transport)

    async def _answer_cut(self) -> None:
        """Answer a request that was cut, if no byte of its response is sent yet."""
        if self.transport.wake_reason is not None:
            self.transport.clear_wake()
        if self.exchange is not None:
            await self.exchange.answer_cut()
        elif self.state is State.HEAD:
            await self.refuse(shutting_down())

    async def _finish_cut(self) -> None:
        """Run what follows a response, then close: politely only if the response is complete."""
        is_whole = self.state is State.REFUSED
        if self.exchange is not None:
            is_whole = self.exchange.phase is Phase.SENT
            self.exchange.sever()
            await self.exchange.finish()
        if is_whole:
            await self.close_politely()
        else:
            await self.transport.aclose()

    async def _close(self) -> None:
        # Neither has an effect after a proper close.
        self.transport.abort()
        await self.transport.aclose()

    async def _contained(
        self, step: Callable[[], Awaitable[None]], scope: trio.CancelScope
    ) -> BaseException | None:
        """Run a step and contain its exceptions; return a Cancelled, which the task must raise."""
        try:
            with scope:
                # Inside the scope, which calls methods of an exception group that passes it.
                try:
                    await step()
                except BaseException as error:  # the boundary around a connection
                    self._contain(error)
        except trio.Cancelled as cancelled:
            return cancelled
        return None

    def _contain(self, error: BaseException) -> None:
        """Log an exception of the connection's code; re-raise Cancelled."""
        cancelled, rest = split_cancelled(error)
        if rest is not None:
            exit_error = find_exit(rest)
            if exit_error is not None:
                self.service.on_exit(exit_error)
            else:
                self.log(rest)
        if cancelled is not None:
            raise cancelled from None

    def log(self, error: BaseException) -> None:
        """Log an exception as the error table says, with peer and request."""
        log_failure(error, self.transport.peer, self.label)

    @property
    def label(self) -> str:
        """The name of the work in progress, for logs."""
        return self.state.value if self.exchange is None else self.exchange.label

    def __repr__(self) -> str:
        exchange = self.exchange
        doing = self.state.value if exchange is None else exchange.phase.value
        return f"<{type(self).__name__} {self.transport.peer} {doing}>"


# What reports name as the place where a guard was taken.
_TAKE_GUARD = Connection.take_guard.__code__
