"""Our handlers as an ASGI application, under any server."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

import anyio
import anyio.lowlevel
import trio

from .._log import SafeLogger, callable_name
from ..conn import (
    Conn,
    Info,
    Outcome,
    Sent,
    Sequence,
    as_handler,
    handler_name,
    leaves,
    run_handler,
    walk_handlers,
)
from ..driver import as_piece, open_body
from ..exceptions import ClientDisconnected, ContentTooLarge, HttpError, MisuseError
from ..http import Headers, HttpConfig, Status, TypeMap, reason_phrase
from ..swansong import Swansong
from ._from_scope import ScopeTransport, head_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from anyio.abc import TaskGroup

    from ..conn import Handler, HandlerLike
    from ..transport import Transport
    from ._types import AsgiApp, Message, Receive, Scope, Send

__all__ = ["to_asgi"]

logger = SafeLogger("trillium_trio.asgi")


def to_asgi(handler: HandlerLike, *, http: HttpConfig | None = None) -> AsgiApp:
    """Return an ASGI application that serves a handler, for tests and for moving step by step.

    Its server frames, limits and times the connection; of ``http`` only the limits of bodies count.
    The stop reaches handlers as late as their server tells it: with ``lifespan.shutdown``.
    Upgrades, and with them WebSockets, are refused. A handler that calls trio needs a server on
    trio.

    Args:
      handler: What to serve; see `as_handler`.
      http: Limits of request bodies. Default: those of ``HttpConfig()``.

    Raises:
      TypeError: It is not a handler.
    """
    return _App(as_handler(handler), _Settings(http=http or HttpConfig()))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    http: HttpConfig = field(default_factory=HttpConfig)
    drain_delay: float = 0.0
    drain_timeout: float | None = None
    drain_spread: float = 0.0
    cleanup_timeout: float = 5.0


@final
class _App:
    """The application: one per server."""

    def __init__(self, handler: Handler, settings: _Settings) -> None:
        self._handler = handler
        self._settings = settings
        self._swansong = Swansong(name=handler_name(handler))
        self._hooks = [each for each in reversed(leaves(handler)) if each.overrides("before_send")]
        # Its observers, each of which is contained.
        self.after_send = Sequence(leaves(handler)).after_send
        self._tasks: TaskGroup | None = None
        self.info = Info(
            config=settings,
            swansong=self._swansong,
            listeners=(),
            shared=TypeMap(),
            starter=self,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await _Request(self, scope, receive, send).serve()
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close"})
            case kind:
                raise MisuseError(f"{handler_name(self._handler)} has no scope of type {kind!r}")

    async def respond_to(self, conn: Conn) -> None:
        await run_handler(self._handler, conn)

    async def before_send(self, conn: Conn) -> None:
        for hook in self._hooks:
            await hook.before_send(conn)

    # -- the lifespan --------------------------------------------------------------------------

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        is_started = False
        try:
            async with AsyncExitStack() as stack:
                handlers = list(walk_handlers(self._handler))
                for handler in handlers:
                    await handler.init(self.info)
                for handler in handlers:
                    await stack.enter_async_context(handler.lifespan(self.info))
                async with anyio.create_task_group() as tasks:
                    self._tasks = tasks
                    await send({"type": "lifespan.startup.complete"})
                    is_started = True
                    await receive()
                    self._swansong.shut_down()
                    # Background work is awaited here.
        except BaseException as error:
            kind = "shutdown" if is_started else "startup"
            await send({"type": f"lifespan.{kind}.failed", "message": repr(error)})
            raise
        finally:
            self._tasks = None
        await send({"type": "lifespan.shutdown.complete"})

    def start_background(
        self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        """See `Starter`."""
        if self._tasks is None:
            raise MisuseError(f"{callable_name(fn)} needs a server that has a lifespan")
        self._tasks.start_soon(self._run_background, fn, args)

    def start_service(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        """See `Starter`."""
        raise MisuseError(f"{callable_name(fn)}: services need a server of trillium_trio")

    async def _run_background(
        self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        try:
            await fn(*args)
        except Exception as error:  # as in a server of ours
            logger.error("background work %s failed", callable_name(fn), exc_info=error)


@final
class _Request:
    """One request: the link and the source of its conn."""

    def __init__(self, app: _App, scope: Scope, receive: Receive, send: Send) -> None:
        self.info = app.info
        self.facts: object | None = None
        self.trailers = Headers()
        self.is_complete = False
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._received = 0
        self._is_gone = False
        self._has_answered = False
        self._sent = Sent()
        head = head_of(scope)
        self.length: int | None = head.content_length
        if not head.content_length and not head.is_chunked and scope["http_version"][0] == "1":
            self.is_complete = True
        self.transport: Transport = ScopeTransport(scope)
        self._conn = Conn(self, head, self, anyio.current_time())

    async def serve(self) -> None:
        """Run the handlers, and send the response."""
        with self.info.swansong.guard(self._conn.head):
            try:
                await self._serve()
            finally:
                self._note_end(Outcome.DISCONNECTED if self._is_gone else Outcome.CUT)
                self._app.after_send(self._conn, self._sent)

    def _note_end(self, outcome: Outcome) -> None:
        sent = self._sent
        if sent.duration < 0:
            sent.outcome = outcome
            sent.duration = anyio.current_time() - self._conn.start_time

    async def _serve(self) -> None:
        conn = self._conn
        failure: Exception | None = None
        try:
            await self._app.respond_to(conn)
            if not self._has_answered:
                await self._respond()
        except ClientDisconnected:
            self._note_end(Outcome.DISCONNECTED)  # nobody is there
        except HttpError as error:
            self._reset(error.status, error.headers, error.body)
            failure = None if not self._has_answered else error
        except Exception as error:  # its server logs it
            self._reset(Status.INTERNAL_SERVER_ERROR)
            failure = error
        if self._has_answered:
            self._note_end(Outcome.FAILED)  # unless it has ended before
        elif not self._is_gone:
            await self._respond()
        for fn in conn.take_after_send():
            await fn(conn)
        if failure is not None:
            raise failure

    def _reset(
        self, status: int, fields: tuple[tuple[str, str], ...] = (), body: bytes | None = None
    ) -> None:
        page = f"{reason_phrase(status) or status}\n" if body is None else body
        self._conn.reset_response(status, page)
        for name, value in fields:
            self._conn.response_headers.append(name, value)

    async def _respond(self) -> None:
        conn = self._conn
        await self._app.before_send(conn)
        if conn.is_upgrade:
            raise MisuseError("an upgrade needs a server of trillium_trio")
        if conn.status is None and conn.raw_body is None:
            conn.with_status(Status.NOT_FOUND).with_body("Not Found\n")
        body = conn.response_body
        headers = conn.response_headers
        if body.is_text and "content-type" not in headers:
            headers.set("content-type", "text/plain; charset=utf-8")
        self._sent.status = 200 if conn.status is None else conn.status
        if body.data is not None:
            await self._start(body.length)
            await self._send_piece(body.data, more=False)
        else:
            async with open_body(body) as (length, pieces):
                await self._start(length)
                if conn.method != "HEAD":
                    async for piece in pieces:
                        await self._send_piece(bytes(as_piece(body, piece)), more=True)
            await self._send_piece(b"", more=False)
        self._note_end(Outcome.COMPLETE)

    async def _start(self, length: int | None) -> None:
        headers = self._conn.response_headers
        if length is not None:
            headers.set("content-length", str(length))
        self._has_answered = True
        await self._transmit(
            {
                "type": "http.response.start",
                "status": self._sent.status,
                "headers": [(name.lower(), value) for name, value in headers.raw],
            }
        )

    async def _send_piece(self, piece: bytes, *, more: bool) -> None:
        await self._transmit({"type": "http.response.body", "body": piece, "more_body": more})
        if self._conn.method != "HEAD":
            self._sent.body_bytes += len(piece)

    async def _transmit(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError as error:
            self._is_gone = True
            raise ClientDisconnected("the client has disconnected") from error

    # -- RequestSource -------------------------------------------------------------------------

    async def receive(self, max_bytes: int) -> bytes:
        """See `RequestSource`.

        Cancellation:
          As for the server's ``receive``.
        """
        while not self.is_complete:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected("the client has disconnected")
            self.is_complete = not message.get("more_body", False)
            piece: bytes = message.get("body", b"")
            self._received += len(piece)
            if self._received > max_bytes:
                raise ContentTooLarge(f"the body exceeds the limit of {max_bytes} bytes")
            if piece:
                return piece
        return b""

    async def _next(self) -> Message:
        message = await self._receive()
        self._is_gone = message["type"] == "http.disconnect"
        return message

    # -- Link ----------------------------------------------------------------------------------

    async def is_disconnected(self, *, eof: bool) -> bool:
        """See `Link`: as far as the server has said so.

        Cancellation:
          Changes nothing.
        """
        await anyio.lowlevel.checkpoint()
        return self._is_gone

    async def wait_disconnected(self, *, eof: bool) -> None:
        """See `Link`. The rest of the request's body is lost.

        Cancellation:
          Ends the wait.
        """
        while not self._is_gone:
            await self._next()

    @asynccontextmanager
    async def cancel_on_disconnect(self, *, eof: bool) -> AsyncIterator[trio.CancelScope]:
        """See `Link`. The rest of the request's body is lost."""
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:

                async def watch() -> None:
                    await self.wait_disconnected(eof=eof)
                    scope.cancel()

                nursery.start_soon(watch)
                yield scope
            nursery.cancel_scope.cancel()

    async def send_now(self) -> None:
        """See `Link`.

        Cancellation:
          The response is incomplete.
        """
        if self._has_answered:
            raise MisuseError("the response has been sent")
        await self._respond()

    async def send_interim(self, status: int, fields: Headers) -> None:
        """See `Link`: early hints, if the server has that extension.

        Cancellation:
          As for the server's ``send``.
        """
        if status == Status.EARLY_HINTS and "http.response.early_hint" in self._extensions:
            links = [value.encode("latin-1") for value in fields.get_all("link")]
            await self._send({"type": "http.response.early_hint", "links": links})

    def isolate(self) -> None:
        """See `Link`: the server's business."""

    @property
    def _extensions(self) -> dict[str, object]:
        return self._scope.get("extensions") or {}
