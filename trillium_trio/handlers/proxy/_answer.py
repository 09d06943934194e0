"""An upstream's answer, as the response to the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, final

import trio

from ...codec import FORBIDDEN_TRAILERS
from ...exceptions import ClientDisconnected, HttpError, ServiceUnavailable
from ...http import Body
from ._failure import UpstreamFailure
from ._fields import response_fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ...conn import Conn
    from ._lease import Lease
    from ._upstream import Upstream
    from ._wire import Answer

__all__ = ["error_of", "patiently", "respond"]

T = TypeVar("T")

# Up to this size, a body that has come with its head is sent with it.
_WHOLE_BYTES = 65_536
# Most answers come sooner. A task that watches the client would cost more than all else.
_UNWATCHED_SECONDS = 0.05
_RETRY_AFTER_SECONDS = 1.0


async def patiently(
    conn: Conn,
    receive: Callable[[], Awaitable[T]],
    deadline: float,
    reason: str,
    *,
    watches: bool = True,
) -> T:
    """Wait for an upstream, as long as its time is not over and the client stays.

    Args:
      conn: The client.
      receive: What to wait for. It is called again if the first call was cancelled.
      deadline: When the upstream's time is over, on trio's clock.
      reason: What it is that the upstream then has not done.
      watches: Whether to watch the client; not if somebody else reads what it sends.

    Raises:
      UpstreamFailure: The time is over.
      ClientDisconnected: The client has left. Its EOF counts: most that leave send only that.

    Cancellation:
      That of the function.
    """
    first = min(deadline, trio.current_time() + _UNWATCHED_SECONDS) if watches else deadline
    with trio.move_on_at(first):
        return await receive()
    if first < deadline:
        with trio.move_on_at(deadline):
            async with conn.cancel_on_disconnect(eof=True):
                return await receive()
            raise ClientDisconnected("the client has left")
    raise UpstreamFailure(504, reason)


def error_of(upstream: Upstream, failure: UpstreamFailure) -> HttpError:
    """Return what a failure means for the client; the log gets the reason, the client does not."""
    message = f"{upstream.target} {failure.reason}"
    if failure.status == 503:
        return ServiceUnavailable(message, retry_after=_RETRY_AFTER_SECONDS)
    return HttpError(failure.status, message)


async def respond(
    conn: Conn, lease: Lease, answer: Answer, *, via: str, piece_timeout: float, watches: bool
) -> Conn:
    """Make an answer the response. A body that has come whole is taken, else it is streamed.

    Args:
      conn: The request.
      lease: Whence the answer came; closed when its body is over, or the response.
      answer: Its head.
      via: Our name in Via; empty: none.
      piece_timeout: Between two pieces of its body.
      watches: See `patiently`.

    Raises:
      UpstreamFailure: It cannot be passed on.

    Cancellation:
      None: it does not wait.
    """
    status = answer.status_code
    has_no_body = status in {204, 304} or conn.method == "HEAD"
    fields = response_fields(
        answer.headers.raw_items(), via=via and f"1.1 {via}", has_length=has_no_body
    )
    if fields is None:
        raise UpstreamFailure(502, "has sent both Content-Length and Transfer-Encoding")
    try:
        conn.response_headers.extend_raw(fields)
    except ValueError as error:
        raise UpstreamFailure(
            502, f"has sent a field that no response may have: {error}"
        ) from error
    conn.with_status(status).halt()
    declared = next((value for key, value in answer.headers if key == b"content-length"), None)
    wire = lease.wire
    pieces, size = [], 0
    while size <= _WHOLE_BYTES and (piece := wire.receive_nowait()) is not None:
        if piece:
            pieces.append(piece)
            size += len(piece)
            continue
        # A body in memory has a length, and one that is not known must not be told to a HEAD.
        if not wire.trailers and (declared is not None or conn.method != "HEAD"):
            await lease.aclose()
            return conn.with_body(b"".join(pieces))
        pieces.append(piece)
        break
    length = None if declared is None or has_no_body else int(declared)
    body = _AnswerBody(conn, lease, pieces, piece_timeout=piece_timeout, watches=watches)
    # Another handler may put another body in its place.
    conn.after_send(body.close_after)
    return conn.with_body(Body.streaming(body, length))


@final
class _AnswerBody:
    """The body of an answer, read from the upstream when the client takes it.

    Args:
      conn: The client.
      lease: Closed at the end.
      pieces: What has come already; an empty one is the end.
      piece_timeout: How long the upstream may take for the next.
      watches: See `patiently`.
    """

    def __init__(
        self,
        conn: Conn,
        lease: Lease,
        pieces: list[bytes],
        *,
        piece_timeout: float,
        watches: bool,
    ) -> None:
        self._conn = conn
        self._lease = lease
        self._pieces = pieces
        self._piece_timeout = piece_timeout
        self._watches = watches

    def __aiter__(self) -> _AnswerBody:
        return self

    async def __anext__(self) -> bytes:
        if self._pieces:
            piece = self._pieces.pop(0)
        else:
            piece = await self._receive()
        if piece:
            return piece
        if self._lease.wire.trailers:
            self._take_trailers()
        await self.aclose()
        raise StopAsyncIteration

    async def _receive(self) -> bytes:
        wire = self._lease.wire
        try:
            piece = wire.receive_nowait()
            if piece is None:
                piece = await patiently(
                    self._conn,
                    wire.receive_piece,
                    trio.current_time() + self._piece_timeout,
                    f"has sent nothing for {self._piece_timeout:g} s",
                    watches=self._watches,
                )
        except UpstreamFailure as failure:
            raise error_of(self._lease.upstream, failure) from failure
        return piece

    def _take_trailers(self) -> None:
        """Pass the trailers on, but those that none may have (RFC 9110, 6.5.1)."""
        try:
            self._conn.response_trailers.extend_raw(
                self._lease.wire.trailers, without=FORBIDDEN_TRAILERS
            )
        except ValueError as error:
            failure = UpstreamFailure(502, f"has sent a malformed trailer: {error}")
            raise error_of(self._lease.upstream, failure) from error

    async def aclose(self) -> None:
        await self._lease.aclose()

    async def close_after(self, _: Conn) -> None:
        await self._lease.aclose()
