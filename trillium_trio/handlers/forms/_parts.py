"""A multipart body, part by part, as it arrives (RFC 7578)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, final

from ...exceptions import BadRequest, ContentTooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    import multipart

__all__ = ["Limits", "Part", "PartReader", "load_parser", "shown"]

# What a name of a file must not have, on any system: the client chooses it.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# How many characters of a name there are in a message.
_MAX_SHOWN = 64


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a form may have; see `Forms`."""

    max_bytes: int | None
    max_fields: int
    max_text_bytes: int
    max_files: int
    max_file_bytes: int | None
    spool_bytes: int


def load_parser() -> Any:  # Any: the module is an optional dependency
    """Import the parser.

    Raises:
      ImportError: With the command that installs it.
    """
    try:
        import multipart  # noqa: PLC0415 (an optional dependency)

        multipart.PushMultipartParser  # noqa: B018 (another package has the same name)
    except (ImportError, AttributeError) as error:
        raise ImportError(
            "multipart forms need the extra 'multipart': pip install 'trillium-trio[multipart]'"
        ) from error
    return multipart


@final
class Part:
    """One part of a multipart body; iterate over it, or `read` it. Its rest is skipped.

    Attributes:
      name: The name of the field.
      filename: What the client calls the file, without folders and control characters; None for a
        field of text. It says nothing that can be trusted.
      content_type: What the client says it is, in lower case and without parameters, or None.
    """

    __slots__ = ("_reader", "content_type", "filename", "name")

    def __init__(self, reader: PartReader, segment: multipart.MultipartSegment) -> None:
        self._reader = reader
        self.name: str = segment.name or ""
        filename = segment.filename
        self.filename: str | None = None if filename is None else _base_name(filename)
        self.content_type: str | None = segment.content_type

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece.

        Raises:
          ContentTooLarge, BadRequest: See `PartReader`.

        Cancellation:
          No byte is lost.
        """
        piece = await self._reader.next_piece(self)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def read(self, max_bytes: int) -> bytes:
        """Return the rest of the part.

        Raises:
          ContentTooLarge: It is longer than this.

        Cancellation:
          What has been read of it is lost.
        """
        data = bytearray()
        async for piece in self:
            data += piece
            if len(data) > max_bytes:
                raise ContentTooLarge(
                    f"the field {shown(self.name)} has more than {max_bytes} bytes"
                )
        return bytes(data)

    def __repr__(self) -> str:
        kind = "field" if self.filename is None else f"file {self.filename!r}"
        return f"<Part {self.name!r}, {kind}>"


@final
class PartReader:
    """The parts of a multipart body, in order, each as it arrives: an async iterator.

    Args:
      body: The body's pieces.
      boundary: What is between the parts.
      limits: How many parts, and how large a file, there may be.

    Raises:
      ContentTooLarge: There are too many parts, or one is too large. Answerable (413).
      BadRequest: The body is malformed, or ends early. Answerable (400).
    """

    def __init__(self, body: AsyncIterator[bytes], boundary: str, limits: Limits) -> None:
        self._multipart = load_parser()
        self._limits = limits
        self._body = body
        self._fields = self._files = self._file_bytes = 0
        self._current: Part | None = None
        self._events: Generator[Any, None, None] | None = None  # Any: the parser's events
        try:
            self._parser = self._multipart.PushMultipartParser(
                boundary,
                max_segment_count=limits.max_fields + limits.max_files,
                # Strict, it refuses the last line break if that comes in a piece of its own.
                strict=False,
            )
        except self._multipart.MultipartError as error:
            raise _malformed(error) from None
        self._dashes = b"--" + self._parser.boundary
        # What may still begin the first boundary, and the line break in front of that.
        self._preamble: bytes | None = b"\r\n"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Part:
        """Return the next part, and skip what is left of the one before.

        Raises:
          ContentTooLarge, BadRequest: See the class.

        Cancellation:
          No byte is lost.
        """
        while self._current is not None:
            await self.next_piece(self._current)
        segment = await self._next_event()
        if segment is None:
            raise StopAsyncIteration
        self._current = part = Part(self, segment)
        self._file_bytes = 0
        self._count(part)
        return part

    async def next_piece(self, part: Part) -> bytes | None:
        """Return the next piece of a part, or None at its end and behind it.

        Cancellation:
          No byte is lost.
        """
        if part is not self._current:
            return None
        piece = await self._next_event()
        if piece is None:
            self._current = None
            return None
        if part.filename is not None:
            self._file_bytes += len(piece)
            most = self._limits.max_file_bytes
            if most is not None and self._file_bytes > most:
                raise ContentTooLarge(f"the file {shown(part.name)} has more than {most} bytes")
        return bytes(piece)

    async def _next_event(self) -> Any:  # Any: a segment, a piece of it, or None at its end
        """Return the parser's next event; None also at the end of the body."""
        try:
            while True:
                if self._events is not None:
                    for event in self._events:
                        return event
                    self._events = None
                if self._parser.closed:
                    return None
                chunk = await anext(self._body, b"")
                if not chunk:
                    self._parser.close()
                    return None
                chunk = self._from_first_boundary(chunk)
                if chunk:
                    self._events = self._parser.parse(chunk)
        except self._multipart.ParserLimitReached as error:
            raise ContentTooLarge(f"the multipart body: {error}") from None
        except self._multipart.MultipartError as error:
            raise _malformed(error) from None

    def _from_first_boundary(self, chunk: bytes) -> bytes:
        """Return a piece without what is before the first boundary (RFC 2046, 5.1.1).

        The parser would judge that by the pieces in which it arrives.
        """
        if self._preamble is None:
            return chunk
        held = self._preamble + chunk
        at = held.find(self._dashes)
        if at < 0:
            self._preamble = held[-len(self._dashes) - 1 :]
            return b""
        if held[at - 2 : at] != b"\r\n":
            raise BadRequest("the multipart body is malformed: the first boundary begins no line")
        self._preamble = None
        return held[at:]

    def _count(self, part: Part) -> None:
        if part.filename is None:
            self._fields += 1
            if self._fields > self._limits.max_fields:
                raise ContentTooLarge(f"the form has more than {self._limits.max_fields} fields")
        else:
            self._files += 1
            if self._files > self._limits.max_files:
                raise ContentTooLarge(f"the form has more than {self._limits.max_files} files")


def shown(name: str) -> str:
    """Return a name for a message, which goes to the log."""
    return repr(name[:_MAX_SHOWN])


def _malformed(error: multipart.MultipartError) -> BadRequest:
    # Its other arguments may have what was sent.
    return BadRequest(f"the multipart body is malformed: {error.args[0]}")


def _base_name(filename: str) -> str:
    """Return a name without folders, of any system."""
    return _UNSAFE.sub("", filename.replace("\\", "/").rpartition("/")[2])
