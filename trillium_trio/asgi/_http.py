"""One request: what its application receives, and what becomes of the messages that it sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from .._log import app_name, is_caused_by, kind_of
from .._util import as_bytes
from ..exceptions import ClientDisconnected, HttpError, MisuseError
from ..http import Body, Headers
from ._errors import SendError, translated
from ._sending import Sending

if TYPE_CHECKING:
    from ..conn import Conn
    from ._types import AsgiApp, Message

__all__ = ["HttpCycle"]

_STATUS_WITHOUT_BODY = frozenset({204, 304})
# Ours to say; but where there is no body, the length only says what a response with one would have.
_FRAMING = frozenset({"content-length", "transfer-encoding"})
_TRANSFER_ENCODING = frozenset({"transfer-encoding"})


@final
class HttpCycle:
    """The two callables of one request, and the little that they have in common.

    .. code-block:: text

        start -> body, the last          the usual case: sent as a plain response
              -> body, body, ... body    each is sent as it comes
              -> pathsend                a file, sent without reading it where that is possible
              -> ... -> trailers

    Nothing is sent before the first body: until then the response can still be replaced by that to
    an exception, and an early hint can precede it.

    Args:
      conn: The request.
      app: The application, for messages.
    """

    __slots__ = (
        "_app",
        "_conn",
        "_expects_trailers",
        "_has_failed",
        "_is_body_over",
        "_is_cut_short",
        "_is_started",
        "_length",
        "_refused",
        "_sending",
        "_waits",
        "is_complete",
    )

    def __init__(self, conn: Conn, app: AsgiApp) -> None:
        self.is_complete = False
        self._conn = conn
        self._app = app
        self._is_started = False
        self._has_failed = False
        self._length: int | None = None
        self._expects_trailers = False
        self._sending: Sending | None = None
        # Of the request's body.
        self._is_body_over = False
        self._is_cut_short = False
        # What the client gets if its body could not be read.
        self._refused: HttpError | None = None
        # Those who wait for the end of the exchange.
        self._waits: set[trio.CancelScope] | None = None

    # -- receive -------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next piece of the request's body, and ``http.disconnect`` after the response.

        Between the two it waits. The client's EOF counts as its disconnect here, although a
        response may still reach it.

        Cancellation:
          Nothing is lost.
        """
        if not (self._is_body_over or self.is_complete):
            message = await self._receive_body()
            if message is not None:
                return message
        if self.is_complete or self._is_cut_short:
            # A loop that receives for ever has to let others run.
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            await self._wait_for_end()
        return {"type": "http.disconnect"}

    async def _receive_body(self) -> Message | None:
        body = self._conn.request_body
        piece = b""
        try:
            if not body.is_complete:
                piece = await anext(aiter(body), b"")
        except HttpError as error:
            # The application is told no more than that nothing comes; we answer.
            self._refused = error
        except ClientDisconnected:
            self._is_cut_short = True
        else:
            self._is_body_over = body.is_complete
            return {"type": "http.request", "body": piece, "more_body": not self._is_body_over}
        self._is_body_over = self._is_cut_short = True
        return None

    async def _wait_for_end(self) -> None:
        with trio.CancelScope() as scope:
            if self._waits is None:
                self._waits = set()
            self._waits.add(scope)
            try:
                await self._conn.wait_disconnected(eof=True)
            finally:
                self._waits.discard(scope)

    # -- send ----------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Take a message of the application; return when its bytes have been taken from us.

        What follows a complete response is ignored.

        Raises:
          SendError: The client has disconnected, or the response has failed.
          MisuseError: The message is out of order, or its body is not as long as declared.
          TypeError, ValueError: It has a value that cannot be sent; see `Headers`.

        Cancellation:
          The response is incomplete, and nothing more can be sent.
        """
        kind = message["type"]
        if kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.body":
            body = message.get("body", b"")
            if type(body) is not bytes:
                body = bytes(as_bytes(body))
            more = message.get("more_body", False)
            if self.is_complete:
                self._check()
            elif self._sending is None and not more and not self._expects_trailers:
                if not self._is_started or self._has_failed or self._is_cut_short:
                    self._check()
                if self._length is not None and self._length != len(body):
                    raise MisuseError(
                        f"the body has {len(body)} bytes where Content-Length declares "
                        f"{self._length}"
                    )
                # As `_send_whole` does; three calls less for what nearly every response is.
                conn = self._conn.with_body(body)
                try:
                    await conn.link.send_now()
                except ClientDisconnected as error:
                    self._has_failed = True
                    raise SendError("the response could not be sent") from error
                finally:
                    self.is_complete = True
                    if self._waits is not None:
                        self._end_waits()
            else:
                await self._push(body, more=more or self._expects_trailers)
        else:
            await self._send_rare(kind, message)

    async def _send_rare(self, kind: object, message: Message) -> None:
        if kind == "http.response.pathsend":
            await self._send_file(message["path"])
        elif kind == "http.response.trailers":
            await self._send_trailers(message)
        elif kind == "http.response.early_hint":
            await self._send_hint(message)
        else:
            raise MisuseError(f"{kind!r} is not a message that can be sent in answer to a request")

    def _start(self, message: Message) -> None:
        if self._is_started:
            raise MisuseError("http.response.start was sent before")
        conn = self._conn
        status = message["status"]
        has_no_body = status in _STATUS_WITHOUT_BODY or conn.head.method == "HEAD"
        headers, framing = Headers.from_raw(
            message.get("headers", ()), without=_TRANSFER_ENCODING if has_no_body else _FRAMING
        )
        self._length = _length_in(framing) if framing else None
        conn.with_head(status, headers)
        self._expects_trailers = bool(message.get("trailers", False))
        self._is_started = True

    async def _send_hint(self, message: Message) -> None:
        # Before the start a hint is in order.
        if self.is_complete or self._has_failed or self._is_cut_short:
            self._check()
            return
        hints, _ = Headers.from_raw([(b"link", link) for link in message["links"]])
        try:
            await self._conn.send_interim(103, hints)
        except ClientDisconnected as error:
            self._has_failed = True
            raise SendError("the hint could not be sent") from error

    async def _send_file(self, path: str) -> None:
        if self.is_complete:
            self._check()
            return
        if self._sending is not None:
            raise MisuseError("http.response.pathsend was sent after a part of the body")
        self._check()
        await self._send_whole(Body.from_path(path))

    async def _send_whole(self, body: Body) -> None:
        self._conn.with_body(body)
        try:
            await self._conn.send_now()
        except ClientDisconnected as error:
            self._has_failed = True
            raise SendError("the response could not be sent") from error
        finally:
            self._end()

    async def _push(self, piece: bytes, *, more: bool) -> None:
        if self._sending is None:
            self._check()
            self._sending = Sending(self._conn, self._length)
        try:
            await self._sending.push(piece, more=more)
        except SendError:
            self._has_failed = True
            self._end()
            raise
        if not more:
            self._end()

    async def _send_trailers(self, message: Message) -> None:
        if self.is_complete:
            self._check()
            return
        if not self._expects_trailers or self._sending is None:
            raise MisuseError("http.response.trailers has to follow the body, and be announced")
        trailers = self._conn.response_trailers
        trailers.extend_raw(message.get("headers", ()), without=_TRANSFER_ENCODING)
        if not message.get("more_trailers", False):
            await self._push(b"", more=False)

    def _check(self) -> None:
        """Refuse to send where that has no sense any more, or not yet."""
        if self._has_failed or self._is_cut_short:
            raise SendError("the client has disconnected")
        if not self._is_started:
            raise MisuseError("http.response.start has to be sent first")

    def _end(self) -> None:
        self.is_complete = True
        if self._waits is not None:
            self._end_waits()

    def _end_waits(self) -> None:
        for scope in self._waits or ():
            scope.cancel(reason="the response is over")

    # -- the end of the application ------------------------------------------------------------

    async def finish(self) -> None:
        """Decide what the client gets of an application that has returned.

        Raises:
          HttpError: What to answer; nothing was sent.
          ClientDisconnected: Nobody is there to answer.
          MisuseError: There is no response.

        Cancellation:
          As for `fail`.
        """
        if self.is_complete:
            return
        self._end()
        name = app_name(self._app)
        if self._sending is None and self._refused is not None:
            raise self._refused
        has_left = self._is_cut_short or await self._is_disconnected()
        if self._sending is not None:
            # An event stream, say, ends like this whenever its client leaves.
            kind = ClientDisconnected if has_left else MisuseError
            await self._sending.fail(kind(f"{name} has returned before the end of its response"))
        elif has_left:
            raise ClientDisconnected(f"{name} has returned without a response")
        else:
            raise MisuseError(f"{name} has returned without a response")

    async def _is_disconnected(self) -> bool:
        try:
            return await self._conn.is_disconnected(eof=True)
        except BaseException as error:  # cancelled: what is being sent must not be left alone
            if self._sending is not None:
                await self._sending.fail(error)
            raise

    async def fail(self, error: BaseException) -> None:
        """Decide what the client gets of an application that has raised.

        Raises:
          BaseException: The exception to report, unless it has been reported.

        Cancellation:
          The connection can only be aborted.
        """
        error = translated(self._app, error)
        sending = self._sending
        if sending is not None and not sending.is_over:
            await sending.fail(error)
            return
        is_complete = self.is_complete and not self._has_failed
        self._end()
        if not isinstance(error, Exception) or is_complete:
            raise error
        if self._refused is not None:
            raise self._refused from error
        if self._is_cut_short or is_caused_by(error, SendError):
            raise ClientDisconnected(
                f"{app_name(self._app)} has raised {kind_of(error)}"
            ) from error
        raise error


def _length_in(framing: list[tuple[str, str]]) -> int | None:
    """Return the declared length of a body.

    Args:
      framing: The Content-Length and Transfer-Encoding fields. The latter is ours to say.

    Raises:
      ValueError: There are several lengths, or the one is no number.
    """
    length: int | None = None
    for name, value in framing:
        if name == "content-length":
            number = int(value) if value.isdecimal() else None  # of latin-1 only 0 to 9 are
            if number is None or (length is not None and length != number):
                raise ValueError(f"Content-Length is not one number: {value!r}")
            length = number
    return length
