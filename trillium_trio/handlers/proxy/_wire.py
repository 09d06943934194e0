"""HTTP/1.1 from the client's side: h11 over one stream.

The request and its answer are independent of each other, so that an upstream may answer while it is
still being sent the request, and interim responses and trailers are seen.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, cast, final

import h11
import trio

from ._failure import UpstreamFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from ...http import Headers

__all__ = ["Answer", "Wire"]

Answer = h11.Response | h11.InformationalResponse
"""The head of an answer, interim or final."""

_MAX_HEAD_BYTES = 65_536
_READ_BYTES = 65_536
_VERSIONS = (b"1.1", b"1.0")


@final
class Wire:
    """One connection to an upstream, over all its requests.

    Failures of the upstream are `UpstreamFailure`. One that does not take the request any more may
    have answered: then sending does nothing, and receiving shows what it is.

    Args:
      stream: Owned from here on.
      piece_timeout: How long the upstream may take to accept a piece of a request.

    Attributes:
      stream: The byte stream.
      requests: How many have been sent.
      is_ready: Whether another may follow; see `renew`.
      trailers: Of the last answer, once `receive_piece` has returned nothing.
    """

    __slots__ = (
        "_http",
        "_is_deaf",
        "_is_silent",
        "_piece_timeout",
        "is_ready",
        "requests",
        "stream",
        "trailers",
    )

    def __init__(self, stream: trio.abc.Stream, *, piece_timeout: float) -> None:
        self.stream: trio.abc.Stream = stream
        self.requests: int = 0
        self.is_ready: bool = False
        self.trailers: list[tuple[bytes, bytes]] = []
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._piece_timeout = piece_timeout
        self._is_silent = True
        self._is_deaf = False

    @property
    def is_stale(self) -> bool:
        """Whether an idle connection is known to be of no use: the upstream has closed it, say."""
        stream = self.stream
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        # What comes now is no answer. Other streams cannot tell without reading.
        return isinstance(stream, trio.SocketStream) and stream.socket.is_readable()

    # -- the request ---------------------------------------------------------------------------

    async def send_head(
        self, method: str, target: str, fields: list[tuple[bytes, bytes]], body: bytes | None
    ) -> None:
        """Send the head of a request, and its body if that is in memory: None if it follows.

        Cancellation:
          The connection can only be closed.
        """
        self.requests += 1
        self.is_ready = False
        self._is_silent = True
        self.trailers = []
        send = self._http.send
        head = send(h11.Request(method=method, target=target, headers=fields))
        if body is None:
            await self._send(head)
        else:
            content = send(h11.Data(data=body)) if body else b""
            await self._send(_joined(head, content, send(h11.EndOfMessage())))

    async def send_pieces(self, pieces: AsyncIterable[bytes]) -> None:
        """Send the request's body, each piece when the upstream has taken the one before it.

        Cancellation:
          The connection can only be closed.
        """
        send = self._http.send
        # One scope for all, which only has a deadline while the upstream is waited for: one for
        # each piece would cost as much as sending it.
        with trio.CancelScope() as waiting:
            async for piece in pieces:
                data = send(h11.Data(data=piece))
                if data and not self._is_deaf:
                    waiting.deadline = trio.current_time() + self._piece_timeout
                    await self._push(data)
                    waiting.deadline = inf
        if waiting.cancelled_caught:
            raise self._late()

    async def send_end(self, trailers: Headers) -> None:
        """End the request's body.

        Cancellation:
          The connection can only be closed.
        """
        # h11 refuses trailers of a body that is not chunked, which has none.
        await self._send(self._http.send(h11.EndOfMessage(headers=trailers.raw)))

    async def _send(self, data: bytes | None) -> None:
        if data and not self._is_deaf:
            with trio.move_on_after(self._piece_timeout) as waiting:
                await self._push(data)
            if waiting.cancelled_caught:
                raise self._late()

    async def _push(self, data: bytes) -> None:
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._is_deaf = True

    def _late(self) -> UpstreamFailure:
        return UpstreamFailure(504, f"has not taken the request for {self._piece_timeout:g} s")

    # -- the answer ----------------------------------------------------------------------------

    async def receive_head(self) -> Answer:
        """Wait for the next head of an answer, interim or final.

        Cancellation:
          Nothing is lost.
        """
        event = await self._receive()
        if not isinstance(event, Answer) or event.http_version not in _VERSIONS:
            raise UpstreamFailure(502, "broke the protocol: it has answered with something else")
        return event

    async def receive_piece(self) -> bytes:
        """Wait for the next piece of the body; nothing at its end.

        Cancellation:
          Nothing is lost.
        """
        return self._piece_of(await self._receive())

    def receive_nowait(self) -> bytes | None:
        """Return the next piece of the body if it has come; nothing at its end, else None."""
        event = self._next()
        return None if event is h11.NEED_DATA else self._piece_of(event)

    def _piece_of(self, event: object) -> bytes:
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            self.trailers = event.headers.raw_items()
        return b""

    def _next(self) -> Any:  # Any: h11's events are no hierarchy
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise UpstreamFailure(502, f"broke the protocol: {error}") from error

    async def _receive(self) -> Any:  # Any: as above
        while (event := self._next()) is h11.NEED_DATA:
            try:
                data = await self.stream.receive_some(_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise UpstreamFailure(
                    502, "has reset the connection", is_silent=self._is_silent
                ) from error
            if not data and self._http.their_state is h11.SEND_RESPONSE:
                raise UpstreamFailure(
                    502,
                    "has closed the connection without an answer",
                    is_silent=self._is_silent,
                )
            self._is_silent = False
            self._http.receive_data(cast("bytes", data))
        return event

    # -- afterwards ----------------------------------------------------------------------------

    def renew(self) -> bool:
        """Prepare for another request; return whether one may follow."""
        http = self._http
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            return False
        if self._is_deaf or http.trailing_data[0]:
            return False
        http.start_next_cycle()
        self.is_ready = True
        return True

    def take_leftover(self) -> bytes:
        """Return what has come behind a 101: the first bytes of the other protocol."""
        return self._http.trailing_data[0]

    def __repr__(self) -> str:
        return f"<Wire to an upstream, {self.requests} requests>"


def _joined(*pieces: bytes | None) -> bytes:
    return b"".join(filter(None, pieces))
