"""The request body of one exchange, pulled from the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, final

import trio

from ..codec import ChunkedReader, LengthReader, render_continue
from ..exceptions import ClientDisconnected, ContentTooLarge, HttpError, RequestTimeout
from ..http import Headers
from ..transport import Woken
from ._wire import allowance

if TYPE_CHECKING:
    from ..http import HttpConfig, RequestHead
    from ._wire import Wire

__all__ = ["EMPTY", "Inbound", "InboundBody"]

# An unread rest up to this size is read and dropped to keep the connection; for more, a new
# connection is cheaper.
_DISCARD_BYTES = 65_536


@final
class _Empty:
    """The body of a request that has none."""

    # Of the instance: an attribute of the class takes longer, and each request asks twice.
    __slots__ = ("invites", "is_complete", "length")

    def __init__(self) -> None:
        self.invites: bool = False
        self.is_complete: bool = True
        self.length: int = 0

    @property
    def trailers(self) -> Headers:
        return Headers()

    async def receive(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return b""

    def is_discardable(self) -> bool:
        return True

    async def skip(self) -> None:
        pass

    async def discard(self) -> bool:
        return True


EMPTY = _Empty()


@final
class InboundBody:
    """Reads one body from the wire, through the codec's reader, when the handler asks for it.

    Attributes:
      length: The declared length, or None when chunked.
      invites: The client waits for ``100 Continue``, which the first read sends.
      is_broken: The framing is bad or the peer is late or gone: nothing after it can be read.
    """

    __slots__ = (
        "_config",
        "_fault",
        "_reader",
        "_received",
        "_waited",
        "_wire",
        "invites",
        "is_broken",
        "length",
    )

    def __init__(self, wire: Wire, head: RequestHead, config: HttpConfig) -> None:
        self.length = head.content_length
        self.invites = head.expects_continue
        self.is_broken = False
        self._wire = wire
        self._config = config
        self._received = 0
        self._waited = 0.0
        self._fault: HttpError | None = None
        self._reader: LengthReader | ChunkedReader = (
            ChunkedReader(max_trailer_bytes=config.max_trailer_bytes)
            if head.is_chunked
            else LengthReader(head.content_length or 0)
        )

    @property
    def is_complete(self) -> bool:
        """Whether the whole body has been read."""
        return self._reader.is_complete

    @property
    def trailers(self) -> Headers:
        """The trailer fields, once complete."""
        return self._reader.trailers

    async def receive(self, max_bytes: int | None = None) -> bytes:
        """Return the next piece of the decoded body, or ``b""`` at its end.

        Args:
          max_bytes: Refuse a body of more bytes, as soon as a chunk size declares them. Default:
            no limit.

        Raises:
          ContentTooLarge: The limit was exceeded. Answerable.
          RequestTimeout: No progress in time. Answerable.
          BadRequest: The framing is malformed. Answerable.
          ClientDisconnected: The peer ended or reset the connection first.

        Cancellation:
          No byte is lost.
        """
        reader = self._reader
        # The chunk that is being read may exceed this limit, but not the last call's.
        self._check(max_bytes)
        while not reader.is_complete:
            piece = await self._step()
            self._check(max_bytes)
            if piece:
                return piece
        return b""

    def _check(self, max_bytes: int | None) -> None:
        if max_bytes is not None and self._received + self._reader.remaining > max_bytes:
            raise ContentTooLarge(f"the body exceeds the limit of {max_bytes} bytes")

    def is_discardable(self) -> bool:
        """Whether reading the rest is worth keeping the connection."""
        if self.is_complete:
            return True
        if self.is_broken or self.invites or self.length is None:
            return False
        return self.length - self._received <= _DISCARD_BYTES

    async def skip(self) -> None:
        """Read and discard the rest, if it is small.

        Raises:
          ContentTooLarge: It is too large. Answerable.
          Exception: Whatever `receive` raises.

        Cancellation:
          The rest stays unread.
        """
        limit = self._received + _DISCARD_BYTES
        while await self.receive():
            if self._received > limit:
                raise ContentTooLarge(f"more than {_DISCARD_BYTES} unread bytes of the body")

    async def discard(self) -> bool:
        """Read and discard the rest; return whether the connection can be used again.

        Cancellation:
          The rest stays unread.
        """
        if not self.is_discardable():
            return False
        try:
            await self.skip()
        except (HttpError, ClientDisconnected):
            return False
        return True

    async def _step(self) -> bytes:
        wire, reader = self._wire, self._reader
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        if self.is_broken:
            raise ClientDisconnected("the request body was already broken")
        if self.invites:
            self.invites = False
            # A client that already sends its body does not wait (RFC 9110, 10.1.1).
            if not wire.buffer:
                await wire.send(render_continue())
        data = b""
        if reader.is_paused:
            await wire.give_way(0)
        else:
            # Bytes that came with the head need no wait, and no reading of the clock.
            data = await (wire.take() if wire.buffer else self._wait())
        try:
            piece, wire_rest = reader.feed(data)
        except HttpError as fault:
            self.is_broken = True
            piece, wire_rest = reader.before_fault, b""
            if not piece:
                raise
            # The bytes before it may have exceeded a limit, which is then the error, as it would
            # be if the fault came in a later piece.
            self._fault = fault
        self._received += len(piece)
        if reader.step_chunks:
            wire.count_chunks(reader.step_chunks)
        if wire_rest:
            wire.buffer = wire_rest + wire.buffer
        return piece

    async def _wait(self) -> bytes:
        wire, config = self._wire, self._config
        start = trio.current_time()
        wait = allowance(config.body_timeout, config.min_rate, self._received, self._waited)
        try:
            data = await wire.receive_more(start + wait)
        except Woken:
            self.is_broken = True
            raise RequestTimeout(
                f"{self._received} bytes of a body, then none for {wait:.1f} s"
            ) from None
        except ClientDisconnected:
            self.is_broken = True
            raise
        self._waited += trio.current_time() - start
        if not data:
            self.is_broken = True
            raise ClientDisconnected(
                f"the peer ended its request after {self._received} bytes of body"
            )
        return data


Inbound: TypeAlias = InboundBody | _Empty
