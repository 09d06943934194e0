"""Server-sent events (WHATWG HTML, 9.2); clients can be notified of the stop before the end."""

from __future__ import annotations

import random
import re
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Self, final

import trio

from .._log import callable_name, kind_of
from .._util import check_number
from ..conn import Handler
from ..exceptions import ConfigError
from ..http import Body, media_weight

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from types import TracebackType

    from ..conn import Conn

__all__ = ["Event", "EventStream"]

_HEARTBEAT = b":\n\n"
_MEDIA_TYPE = "text/event-stream"
# Clients control this field of the request; the ids of events are short.
_MAX_ID_CHARACTERS = 1024
# The line ends of the format. Any of them in a value would begin another field.
_LINE_END = re.compile(r"\r\n|\r|\n")
# What a media range in Accept may cover (RFC 9110, 12.5.1).


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a stream.

    Attributes:
      data: The data for the client's listener; may have several lines. Without it no event is
        dispatched, but the other fields count.
      id: The client sends it as ``Last-Event-ID`` when it reconnects.
      event: The type, which selects the listener. Default: ``message``.
      retry: How long the client is to wait before it connects again. Unit: seconds.
      comment: Ignored by clients.

    Raises:
      ValueError: ``id`` or ``event`` has a line break, or ``id`` a NUL; or ``retry`` is negative.
    """

    data: str | None = None
    id: str | None = None
    event: str | None = None
    retry: float | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        for name in ("id", "event"):
            value = getattr(self, name)
            if value is not None and (_LINE_END.search(value) or "\0" in value):
                raise ValueError(f"the {name} of an event holds a line break or NUL: {value!r}")
        if self.retry is not None and not 0 <= self.retry < inf:
            raise ValueError(f"retry is a number of seconds, not {self.retry!r}")

    def encode(self) -> bytes:
        """Return the event as it is sent, with the empty line that ends it."""
        lines = [f": {line}" for line in _lines(self.comment)]
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {round(self.retry * 1000)}")
        lines += [f"data: {line}" for line in _lines(self.data)]
        return "".join(f"{line}\n" for line in [*lines, ""]).encode()


def _lines(text: str | None) -> list[str]:
    return [] if text is None else _LINE_END.split(text)


@final
class EventStream(Handler):
    """Answers GET with a stream of server-sent events.

    .. code-block:: python

        async def ticks(conn):
            async for n in conn.swansong.interrupt(ticker()):
                yield Event(data=str(n), id=str(n))
            yield Event(event="goodbye", data="restart")

    The generator runs in its own task beside the connection's, and each event is sent at once. At
    the stop it continues: it can check ``conn.swansong`` and send a last event. After ``grace``
    seconds it is cancelled at its current await. Then the stream ends properly, with a ``retry``
    that spreads the reconnections of all clients.

    A request that does not accept ``text/event-stream``, or has another method, passes through.

    Args:
      events: Called with each conn; an async generator of `Event`, or of `str` for its data.
      heartbeat: How long the stream may be silent before a comment is sent, which keeps proxies
        from closing it and detects a disconnected client. Default: 15. Unit: seconds.
      grace: How long the generator may continue after the stop. 0: it is ended at once; ``inf``: it
        is awaited as long as the drain lasts. Default: 5. Unit: seconds.
      retry: The minimum and maximum that a client should wait before it reconnects after the stop;
        each gets a random time in between. None: not sent. Default: 1 to 10. Unit: seconds.

    Raises:
      ConfigError: A setting is out of range.
    """

    def __init__(
        self,
        events: Callable[[Conn], AsyncGenerator[Event | str, None]],
        *,
        heartbeat: float = 15.0,
        grace: float = 5.0,
        retry: tuple[float, float] | None = (1.0, 10.0),
    ) -> None:
        check_number("EventStream.heartbeat", heartbeat, least=0.001)
        check_number("EventStream.grace", grace, least=0.0)
        if retry is not None and not 0 <= retry[0] <= retry[1] < inf:
            raise ConfigError(f"EventStream.retry must be two numbers of seconds, not {retry!r}")
        self._events = events
        self._heartbeat = heartbeat
        self._grace = grace
        self._retry = retry

    @staticmethod
    def last_id(conn: Conn) -> str | None:
        """Return the ``Last-Event-ID`` of a client that reconnects, or None.

        It is untrusted: only its length, up to 1024 characters, and UTF-8 are checked.
        """
        value = conn.request_headers.get("last-event-id")
        if value is None or len(value) > _MAX_ID_CHARACTERS:
            return None
        try:
            # A field is read as latin-1, and browsers write UTF-8.
            return value.encode("latin-1").decode()
        except UnicodeDecodeError:
            return None

    async def run(self, conn: Conn) -> Conn:
        """Start a stream.

        Cancellation:
          None: it does not wait.
        """
        accept = conn.request_headers.get_all("accept")
        if conn.method not in {"GET", "HEAD"} or not media_weight(accept, _MEDIA_TYPE):
            return conn
        conn.with_response_header("content-type", _MEDIA_TYPE)
        # A cache would store the stream; a proxy that compresses or buffers it would delay events.
        conn.with_response_header("cache-control", "no-store, no-transform")
        conn.with_response_header("x-accel-buffering", "no")
        # HEAD has no stream to wait for.
        source = _nothing() if conn.method == "HEAD" else _Stream(conn, self)
        return conn.ok(Body.streaming(source))

    @property
    def name(self) -> str:
        """EventStream and the generator's name."""
        return f"EventStream({callable_name(self._events)})"


@final
class _Stream:
    """The body of one response: an async context manager, and an iterator of encoded events.

    .. code-block:: text

        the connection's task   __anext__: waits for a piece, at most one heartbeat; at the stop it
                                sets the end of the grace
        a task beside it        _produce: runs the generator, one event at a time
    """

    def __init__(self, conn: Conn, handler: EventStream) -> None:
        self._conn = conn
        self._handler = handler
        # Around the generator; its deadline is the end of the grace.
        self._scope = trio.CancelScope()
        self._failure: Exception | None = None
        self._is_over = False

    async def __aenter__(self) -> Self:
        self._context = self._producing()
        self._pieces = await self._context.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._context.__aexit__(exc_type, exc, traceback)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        swansong = self._conn.swansong
        with trio.move_on_after(self._handler._heartbeat):
            if swansong.is_running:
                with swansong.interrupt():
                    return await self._receive()
            # Counted from the first call after the stop: the earliest deadline counts.
            grace_end = trio.current_time() + self._handler._grace
            self._scope.deadline = min(self._scope.deadline, grace_end)
            return await self._receive()
        return _HEARTBEAT

    async def _receive(self) -> bytes:
        try:
            return await self._pieces.receive()
        except trio.EndOfChannel:
            self._is_over = True
        if self._failure is not None:
            raise self._failure
        retry = self._handler._retry
        if retry is None or self._conn.swansong.is_running:
            raise StopAsyncIteration
        return Event(retry=random.uniform(*retry)).encode()  # noqa: S311 (no secret)

    @asynccontextmanager
    async def _producing(self) -> AsyncIterator[trio.MemoryReceiveChannel[bytes]]:
        send, receive = trio.open_memory_channel[bytes](0)
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._produce, send)
            try:
                yield receive
            except Exception as error:  # raised below: the nursery would wrap it in a group
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _produce(self, pieces: trio.MemorySendChannel[bytes]) -> None:
        async with pieces:
            try:
                with self._scope:
                    async with aclosing(self._handler._events(self._conn)) as events:
                        async for event in events:
                            await pieces.send(_encoded(event))
            except Exception as error:  # raised in the connection's task, which handles it
                self._failure = error

    def __repr__(self) -> str:
        return f"<EventStream for {self._conn!r}>"


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield  # makes it a generator


def _encoded(event: object) -> bytes:
    if isinstance(event, str):
        event = Event(data=event)
    if not isinstance(event, Event):
        raise TypeError(f"an event stream yields Event or str, not {kind_of(event)}")
    return event.encode()
