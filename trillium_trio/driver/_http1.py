"""One HTTP/1 connection: the keep-alive loop, in one task."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, final

import trio

from .._util import printable
from ..codec import is_head_started, read_head, render_error
from ..exceptions import ClientDisconnected, HttpError, RequestTimeout, ServiceUnavailable
from ..swansong import claim
from ..transport import Woken, close_politely
from ._cycle import Cycle, Phase
from ._errors import find_exit, judge, logger, split_cancelled
from ._link import ConnectionLink
from ._wire import Wake, Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..http import RequestHead
    from ..swansong import Claim
    from ..transport import Transport
    from ._service import Service

__all__ = ["Http1Connection"]

# A straggler's 503 is small and fits any send buffer; who does not take it in a second never will.
_LAST_WORDS_SECONDS = 1.0
# Another instance, or this one restarted, is usually there at once.
_RETRY_AFTER_SECONDS = 1
# See `_cycle`.
_IDLE = Phase.IDLE


@final
class Http1Connection:
    """Serves one transport until it ends, one request after another, all in one task.

    .. code-block:: text

                          +------------- keep-alive -------------+
                          v                                      |
        accepted --->  IDLE --> HEAD --> HANDLER --> SENDING --> SENT
                        |        |          |          |          |
              timeout,  |  408,  |          | upgrade  | failure  | close
              end, stop |  4xx   |          v          |          |
                        |        |       UPGRADED      |          |
                        v        v          v          v          v
                      closed  ENDING     ENDING     ENDING     ENDING  (the polite close)

    With TLS, HANDSHAKE comes first. A guard is held from the first byte of a head to the end of
    SENT. The stop never cancels a connection: `notice` wakes one that is IDLE, and every other
    looks at the stop when it gets there. Only `cut`, at the deadline of a drain, cancels, and what
    becomes of the request is then decided outside the cancelled scope, from `cut_reason`.

    Args:
      service: What all connections of the server share.
      transport: Owned from here on: closed by this connection, in the task that runs it.
    """

    __slots__ = (
        "_guard",
        "_scope",
        "_task",
        "cut_reason",
        "cycle",
        "idle_since",
        "link",
        "phase",
        "service",
        "transport",
        "wire",
    )

    def __init__(self, service: Service, transport: Transport) -> None:
        self.service = service
        self.transport = transport
        self.wire = wire = Wire(transport, service.watchdog, service.http)
        self.link = ConnectionLink(service.info, wire)
        self.phase = Phase.IDLE
        self.idle_since = trio.current_time()
        self.cut_reason: str | None = None
        self.cycle: Cycle | None = None
        self._guard: Claim | None = None
        self._scope = trio.CancelScope()
        self._task: weakref.ref[trio.lowlevel.Task] | None = None
        service.connections.add(self)

    async def run(self) -> None:
        """Serve the transport until it ends, and close it.

        Whatever happens on it stays here, but KeyboardInterrupt and SystemExit, which end the
        server.

        Cancellation:
          The handler is cancelled, the transport closed, nothing more is sent.
        """
        self._task = weakref.ref(trio.lowlevel.current_task())
        try:
            failure: BaseException | None = None
            try:
                with self._scope:
                    await self._serve()
            except BaseException as error:  # the boundary around a connection
                failure = self._contain(error)
            if self.cut_reason is not None:
                # A second each: who takes no last words must not keep `after_send` from its turn.
                for step in (self._last_words, self._take_leave):
                    scope = trio.move_on_after(_LAST_WORDS_SECONDS, shield=True)
                    failure = await self._contained(step, scope) or failure
            failure = await self._contained(self._close, trio.CancelScope()) or failure
            if failure is not None:
                raise failure
        finally:
            self.service.watchdog.forget(self.wire)
            self.release()
            self.service.connections.discard(self)
            if not self.service.connections:
                self.service.on_idle()

    def notice(self) -> None:
        """Tell the connection that it should end: effective at once if it is idle."""
        if self.phase is Phase.IDLE:
            self.transport.wake(Wake.NOTICE)

    def cut(self, reason: str, *, linger: float) -> None:
        """End the connection now; a request in progress is answered 503 if that is still possible.

        A connection that is only closing is left to it, for at most ``linger`` more seconds.
        """
        if self.phase is Phase.ENDING:
            latest = trio.current_time() + linger
            self.service.watchdog.arm(self.wire, min(self.wire.deadline, latest))
        elif self.cut_reason is None:
            self.cut_reason = reason
            self._scope.cancel(reason=reason)

    def release(self) -> None:
        """Release the guard of the current request, if there is one."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.release()

    # -- the loop ------------------------------------------------------------------------------

    # In one piece, because a call more would cost every request.
    async def _serve(self) -> None:  # noqa: C901, PLR0912, PLR0915
        wire, service = self.wire, self.service
        idle_timeout = service.http.idle_timeout
        if self.transport.is_secure and not await self._shake_hands():
            return
        while True:
            # Fewer bytes may be an empty line in front of a request, which is none of its own.
            if not wire.buffer or (len(wire.buffer) < 3 and not is_head_started(wire.buffer)):
                self.phase = _IDLE
                deadline = self.idle_since + idle_timeout
                if service.is_draining:
                    if self._finds_more():
                        continue
                    last_deadline = self._last_deadline()
                    if last_deadline is None:
                        break
                    deadline = min(deadline, last_deadline)
                try:
                    data = await wire.receive(deadline)
                except ClientDisconnected:
                    break
                except Woken as woken:
                    # Too late, unless something has come in this very moment.
                    if woken.reason is Wake.TIMEOUT and not self._finds_more():
                        break
                    continue
                if not data:
                    break
                wire.buffer += data
            start = service.now()
            try:
                parsed = read_head(wire.buffer, service.head_limits)
                if parsed is None:
                    if not is_head_started(wire.buffer):
                        continue
                    parsed = await self._rest_of_head(start)
                    if parsed is None:
                        break
            except HttpError as error:
                await self._refuse(error)
                break
            head, used = parsed
            wire.buffer = wire.buffer[used:]
            guard = self._guard
            if guard is None:
                self._guard = claim(service.swansong, head, self._task)
            else:
                guard.label = head
            self.cycle = cycle = Cycle(self, head, start)
            if not await cycle.run():
                break
            self.idle_since = service.now()
            # An idle connection keeps nothing of its last request.
            self.cycle = guard = None
            data = b""
            del cycle, head, parsed
        if self.phase is Phase.IDLE:
            # Nothing was sent that an unread byte could destroy, and nothing is unread.
            await self.transport.aclose()
        else:
            await self._close_politely()

    def _finds_more(self) -> bool:
        """Take what has come without waiting; return whether a request has begun."""
        if self.transport.wake_reason is not None:
            self.transport.clear_wake()
        self.wire.look()
        return is_head_started(self.wire.buffer)

    def _last_deadline(self) -> float | None:
        """Return until when to wait, in a drain, for one more request; None: not at all."""
        wire, service = self.wire, self.service
        told, grace = service.drain_time, service.keepalive_grace
        if wire.is_eof or wire.is_gone or told - self.idle_since >= grace:
            return None
        return max(told, self.idle_since) + grace

    async def _rest_of_head(self, start: float) -> tuple[RequestHead, int] | None:
        """Read on until the head is complete; None if the peer leaves before.

        Raises:
          HttpError: The head is malformed, too large, or late.
        """
        wire, service = self.wire, self.service
        self._guard = claim(service.swansong, "a request head", self._task)
        self.phase = Phase.HEAD
        while True:
            seen = len(wire.buffer)
            try:
                data = await wire.receive(start + service.http.head_timeout)
            except Woken:
                raise RequestTimeout(
                    f"{len(wire.buffer)} bytes of a head in {service.http.head_timeout:g} s"
                ) from None
            except ClientDisconnected:
                return None
            if not data:
                return None
            wire.buffer += data
            parsed = read_head(wire.buffer, service.head_limits, seen=seen)
            if parsed is not None:
                return parsed

    async def _shake_hands(self) -> bool:
        self.phase = Phase.HANDSHAKE
        if self.transport.wake_reason is not None:
            # Told before it began to run; looked at again when IDLE.
            self.transport.clear_wake()
        with trio.move_on_after(self.service.http.handshake_timeout):
            try:
                await self.transport.handshake()
            except ClientDisconnected as error:
                logger.info("%s: no TLS: %s", self.transport.peer, error)
                return False
            self.phase = Phase.IDLE
            self.idle_since = trio.current_time()
            return True
        logger.info("%s: no TLS handshake in time", self.transport.peer)
        return False

    # -- ends ----------------------------------------------------------------------------------

    async def _refuse(self, error: HttpError) -> None:
        """Answer a head that no handler will see."""
        logger.info("%s: %s", self.transport.peer, error)
        self.phase = Phase.SENDING
        try:
            await self.wire.send(self._error_response(error.status))
        except ClientDisconnected:
            pass
        self.phase = Phase.SENT

    def _error_response(self, status: int, *, retry_after: int | None = None) -> bytes:
        service = self.service
        return render_error(
            status,
            date_line=service.date_line(),
            server_line=service.server_line,
            retry_after=retry_after,
        )

    async def _close_politely(self) -> None:
        """Close so that the peer can still read the last response (RFC 9112, 9.6)."""
        self.phase = Phase.ENDING
        self.release()
        service = self.service
        if self.transport.wake_reason is not None:
            self.transport.clear_wake()
        service.watchdog.arm(self.wire, trio.current_time() + service.http.linger_timeout)
        await close_politely(self.transport)

    async def _last_words(self) -> None:
        """Answer a request that was cut, if nothing of an answer is sent yet."""
        if self.transport.wake_reason is not None:
            self.transport.clear_wake()
        if self.cycle is not None and self.cycle.is_answered:
            # It swallowed the cancellation and finished: its answer is as good as any.
            await self.cycle.respond()
        elif self.phase in (Phase.HEAD, Phase.HANDLER):
            error = ServiceUnavailable("shutting down")
            logger.info("%s: %s: %s", self.transport.peer, self.label, error)
            self.phase = Phase.SENDING
            await self.wire.send(
                self._error_response(error.status, retry_after=_RETRY_AFTER_SECONDS)
            )
            self.phase = Phase.SENT

    async def _take_leave(self) -> None:
        """End what was cut: `after_send`, then the close that fits."""
        phase = self.phase
        if self.cycle is not None:
            self.cycle.sever()
            await self.cycle.finish()
        if phase is Phase.SENT:
            await self._close_politely()
        else:
            await self.transport.aclose()

    async def _close(self) -> None:
        # Both do nothing after a proper close.
        self.transport.abort()
        await self.transport.aclose()

    async def _contained(
        self, step: Callable[[], Awaitable[None]], scope: trio.CancelScope
    ) -> BaseException | None:
        """Run a step; nothing but what is returned leaves it. See `_contain`."""
        try:
            with scope:
                await step()
        except BaseException as error:  # the boundary around a connection
            return self._contain(error)
        return None

    def _contain(self, error: BaseException) -> BaseException | None:
        """Log what left the connection's code; return what must leave its task: Cancelled."""
        cancelled, rest = split_cancelled(error)
        if rest is not None:
            final_word = find_exit(rest)
            if final_word is not None:
                self.service.on_exit(final_word)
            else:
                self.log(rest)
        return cancelled

    def log(self, error: BaseException) -> None:
        """Log an exception as the table says, with request and peer."""
        verdict = judge(error)
        if logger.isEnabledFor(verdict.level):
            logger.log(
                verdict.level,
                "%s: %s: %s: %s",
                self.transport.peer,
                self.label,
                type(error).__name__,
                # One line, also where a handler has put into it what its client sent.
                printable(str(error)),
                exc_info=error if verdict.has_traceback else None,
            )

    @property
    def label(self) -> str:
        """What logs call the work in progress."""
        return self.phase.value if self.cycle is None else str(self.cycle.head)

    def __repr__(self) -> str:
        return f"<Http1Connection {self.transport.peer} {self.phase.value}>"
