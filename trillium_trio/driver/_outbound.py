"""Reading the body of a response from its source."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager as _Entered
from contextlib import aclosing, asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, final

from anyio.lowlevel import checkpoint_if_cancelled
from anyio.to_thread import run_sync

from .._util import as_bytes
from ..http import Body, FileParts, ReceivesSome, Transformed
from ._errors import BodyLengthError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

    from ..http import BodyLike

__all__ = ["OpenFile", "as_piece", "close_body", "open_body"]

# A hop to a worker thread costs about 100 us: a piece must be worth it.
_FILE_PIECE_BYTES = 256 * 1024


@final
class OpenFile:
    """A file that is read in pieces, or sent without reading.

    Attributes:
      file: The file.
      length: Of what is to be sent, in bytes: for a whole file what it had when it was opened; None
        for a pipe or a device, which has none.
      parts: What is still to be sent, in order: bytes, and positions in the file. None: what can be
        read. A part, or the rest of one, is taken off when it has been read; who sends one without
        reading takes it off.
    """

    __slots__ = ("file", "length", "parts")

    def __init__(self, file: BinaryIO, parts: list[bytes | range] | None) -> None:
        self.file: BinaryIO = file
        self.parts = parts
        self.length: int | None = None if parts is None else sum(map(len, parts))

    @classmethod
    def of_path(cls, path: Path) -> Self:
        """Open a file, all of which is to be sent."""
        file = path.open("rb")
        try:
            size = os.fstat(file.fileno()).st_size if file.seekable() else None
        except BaseException:
            file.close()
            raise
        # Files in /proc have length 0 but content, so they are read until EOF.
        self = cls(file, [range(size)] if size else None)
        self.length = size
        return self

    def __aiter__(self) -> OpenFile:
        return self

    async def __anext__(self) -> bytes:
        parts = self.parts
        if parts is None:
            piece = await run_sync(self.file.read, _FILE_PIECE_BYTES)
        elif not parts:
            raise StopAsyncIteration
        elif isinstance(parts[0], bytes):
            return parts.pop(0)  # type: ignore[return-value]  # it has just been checked
        else:
            part = parts[0]
            size = min(_FILE_PIECE_BYTES, len(part))
            piece = await run_sync(os.pread, self.file.fileno(), size, part.start)
            self.advance(len(piece))
        if not piece:
            raise StopAsyncIteration
        return piece

    def advance(self, count: int) -> None:
        """Take ``count`` bytes off the first part, and the part itself if that is all of it."""
        parts = self.parts
        assert parts
        rest = parts[0][count:]
        if rest:
            parts[0] = rest
        else:
            del parts[0]

    def __repr__(self) -> str:
        return f"<OpenFile {self.file.name!r}, {self.length} bytes>"


@asynccontextmanager
async def open_body(
    body: Body,
) -> AsyncIterator[tuple[int | None, AsyncIterable[bytes | bytearray | memoryview]]]:
    """Open a body that is not in memory; close its source on exit, even if it was not read.

    A source that is an async context manager is entered first, and exited before it is closed.

    Returns:
      Its length in bytes, if known, and its pieces as the source yields them: see `as_piece`.

    Raises:
      OSError: The file cannot be opened.

    Cancellation:
      The source is exited and closed under the cancellation. A read of a file in progress is
      awaited.
    """
    source = body.source
    assert source is not None, "a body in memory is sent as it is"
    if isinstance(source, Path):
        opened = await run_sync(OpenFile.of_path, source)
        try:
            # A thread cannot be cancelled. Check now, when a cut can still be answered 503.
            await checkpoint_if_cancelled()
            yield opened.length, opened
        finally:
            # Nothing was written, so closing does not wait for the disk.
            opened.file.close()
    elif isinstance(source, FileParts):
        try:
            yield body.length, OpenFile(source.file, list(source.parts))
        finally:
            source.file.close()
    elif isinstance(source, Transformed):
        async with (
            open_body(source.body) as (length, given),
            aclosing(_whole(source.body, given, length)) as whole,
            aclosing(source.transform(whole)) as pieces,
        ):
            yield None, pieces
    else:
        try:
            if isinstance(source, ReceivesSome):
                async with aclosing(_read_stream(body, source)) as pieces:
                    yield body.length, pieces
            else:
                # A source may hold tasks or resources while it is read.
                async with source if isinstance(source, _Entered) else nullcontext():
                    # An iterable may create a generator, which nobody else closes.
                    iterator = aiter(source)
                    try:
                        yield body.length, iterator
                    finally:
                        await _close(iterator)
        finally:
            await _close(source)


def as_piece(body: Body, given: bytes | bytearray | memoryview) -> bytes | memoryview:
    """Return a piece that the source of a body yielded, as bytes that do not change.

    Raises:
      TypeError: It is not a buffer; the message names its type and the body.
    """
    try:
        return as_bytes(given)
    except TypeError:
        raise TypeError(
            f"{body!r} gave a piece of type {type(given).__name__}, not bytes"
        ) from None


async def close_body(body: BodyLike) -> None:
    """Close the source of a body that will not be sent.

    Cancellation:
      The source is closed under the cancellation.
    """
    if isinstance(body, Body):
        await body.aclose()


async def _close(source: object) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()


async def _read_stream(
    body: Body, stream: ReceivesSome
) -> AsyncGenerator[bytes | memoryview, None]:
    while piece := as_piece(body, await stream.receive_some()):
        yield piece


async def _whole(
    body: Body, given: AsyncIterable[bytes | bytearray | memoryview], length: int | None
) -> AsyncGenerator[bytes | memoryview, None]:
    """Yield the pieces of a body but empty ones, and check that it has the length it declares.

    Raises:
      BodyLengthError: It has not.
    """
    total = 0
    async for each in given:
        piece = as_piece(body, each)
        total += len(piece)
        if length is not None and total > length:
            break
        if piece:
            yield piece
    if length is not None and total != length:
        raise BodyLengthError(total, length)
