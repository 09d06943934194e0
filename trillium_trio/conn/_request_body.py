"""The request body, as a handler reads it."""

from __future__ import annotations

import re
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import TYPE_CHECKING, Any, Protocol, Self, final

from ..exceptions import BadRequest, ContentTooLarge
from ._json import parse_json

if TYPE_CHECKING:
    from ..http import Headers, RequestHead

__all__ = ["RequestBody", "RequestSource"]

# RFC 9110, 8.3.2: a parameter of the media type; its value is a token, quoted or not.
_CHARSET = re.compile(r";[ \t]*charset=\"?([!#$%&'*+.^_`|~0-9a-z-]+)", re.IGNORECASE)
# The charsets that a peer may name. Python would import a module for any other name and cache every
# miss for ever: memory that peers could fill. And some codecs, such as "undefined" and "idna", are
# not charsets.
_CHARSETS = frozenset((*aliases.keys(), *aliases.values(), "koi8_u"))


class RequestSource(Protocol):
    """The source of one request body's bytes; the connection provides it."""

    @property
    def length(self) -> int | None:
        """The declared length in bytes, or None for a chunked body."""

    @property
    def is_complete(self) -> bool:
        """Whether every byte has been received from it."""

    @property
    def trailers(self) -> Headers:
        """The trailer fields, once complete."""

    async def receive(self, max_bytes: int) -> bytes:
        """Return the next piece of the decoded body, or ``b""`` at its end.

        Raises:
          ContentTooLarge: The whole body has, or is announced to have, more than ``max_bytes``.

        Cancellation:
          No byte is lost.
        """


@final
class RequestBody:
    """The body of one request: read it whole, as text or JSON, or iterate over its pieces.

    The first read sends ``100 Continue`` if the client waits for it (RFC 9110, 10.1.1). A body can
    be read once; it is not cached. It need not be read: a small rest is discarded after the
    response, a large one closes the connection.

    Args:
      source: The source of the bytes.
      max_bytes: The default limit, from `HttpConfig.max_body_bytes`.
      max_json_bytes: The default limit of `json`, from `HttpConfig.max_json_bytes`.
      head: The request's head; its Content-Type names the charset for `text`.
    """

    __slots__ = ("_head", "_kept", "_max_bytes", "_max_json_bytes", "_received", "_source")

    def __init__(
        self, source: RequestSource, *, max_bytes: int, max_json_bytes: int, head: RequestHead
    ) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._max_json_bytes = min(max_json_bytes, max_bytes)
        self._head = head
        self._received = 0
        # One buffer: pieces may have two bytes each, and as objects would take thirty times that.
        self._kept = bytearray()

    @property
    def length(self) -> int | None:
        """The declared length in bytes, or None for a chunked body."""
        return self._source.length

    @property
    def max_json_bytes(self) -> int:
        """The limit of `json`, for a parser of your own: see `HttpConfig.max_json_bytes`."""
        return self._max_json_bytes

    @property
    def is_complete(self) -> bool:
        """Whether every byte has been read."""
        return self._source.is_complete

    def with_max_bytes(self, max_bytes: int) -> Self:
        """Have this body another limit than `HttpConfig.max_body_bytes`."""
        self._max_bytes = max_bytes
        return self

    async def read(self, max_bytes: int | None = None) -> bytes:
        """Read the rest of the body into memory.

        Args:
          max_bytes: Refuse bodies longer than this. Default: `HttpConfig.max_body_bytes`.

        Raises:
          ContentTooLarge: The limit was exceeded. Answerable (413); the connection closes after the
            response.
          BadRequest: The body's framing is malformed. Answerable (400); then closes.
          RequestTimeout: The client stalled. Answerable (408); then closes.
          ClientDisconnected: The peer closed first. Not answerable.

        Cancellation:
          Bytes already read are kept; a later call continues.
        """
        limit = self._max_bytes if max_bytes is None else max_bytes
        self._refuse_declared(limit)
        piece = await self._receive(limit)
        if not self._kept and self._source.is_complete:
            return piece
        while piece:
            self._kept += piece
            piece = await self._receive(limit)
        return self._take_kept()

    async def text(self, max_bytes: int | None = None) -> str:
        """Read the rest of the body as text, in the request's charset or else UTF-8.

        Raises:
          BadRequest: The charset is unknown, or the bytes are invalid in it. Answerable (400).
          Exception: Whatever `read` raises.

        Cancellation:
          As `read`.
        """
        named = _CHARSET.search(self._head.headers.get("content-type") or "")
        charset = normalize_encoding(named[1]).lower() if named else "utf_8"
        data = await self.read(max_bytes)
        if charset not in _CHARSETS:
            raise BadRequest(f"the body's charset is unknown: {charset[:64]!r}")
        try:
            return data.decode(charset)
        except (UnicodeError, LookupError) as error:
            raise BadRequest(f"the body is not {charset} text") from error

    async def json(self, max_bytes: int | None = None) -> Any:  # Any: what JSON holds is open
        """Read the rest of the body as JSON (RFC 8259).

        Nothing else runs while it is parsed: 1 MiB takes up to a quarter of a second, and up to
        thirty times as much memory.

        Args:
          max_bytes: Refuse documents longer than this. Default: `HttpConfig.max_json_bytes`, or
            `HttpConfig.max_body_bytes` if that is less.

        Raises:
          BadRequest: It is not JSON, or nested more than 100 levels deep. Answerable (400).
          Exception: Whatever `read` raises.

        Cancellation:
          As `read`.
        """
        return parse_json(await self.read(self._max_json_bytes if max_bytes is None else max_bytes))

    def __aiter__(self) -> Self:
        """Iterate over the pieces as they arrive, up to `HttpConfig.max_body_bytes` in all.

        The loop can be left early; another one continues there.

        Raises:
          ContentTooLarge: The declared length exceeds the limit.
        """
        self._refuse_declared(self._max_bytes)
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece.

        Raises:
          Exception: Whatever `read` raises.

        Cancellation:
          No byte is lost.
        """
        if self._kept:
            return self._take_kept()
        piece = await self._receive(self._max_bytes)
        if not piece:
            raise StopAsyncIteration
        return piece

    def _take_kept(self) -> bytes:
        kept = bytes(self._kept)
        self._kept.clear()
        return kept

    def _refuse_declared(self, limit: int) -> None:
        length = self._source.length
        # Before the first read, so that no 100 Continue invites a body that will be refused.
        if length is not None and length > limit:
            raise ContentTooLarge(f"the body declares {length} bytes; the limit is {limit}")

    async def _receive(self, limit: int) -> bytes:
        piece = await self._source.receive(limit)
        self._received += len(piece)
        return piece

    def __repr__(self) -> str:
        length = "chunked" if self.length is None else f"{self.length} bytes"
        return f"<RequestBody {length}, {self._received} received>"
