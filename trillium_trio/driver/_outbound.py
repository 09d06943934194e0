"""Reading the body of a response from its source."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager as _Entered
from contextlib import aclosing, asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, final

import trio
from anyio.to_thread import run_sync

from .._util import as_bytes
from ..http import Body, ReceivesSome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

    from ..http import BodyLike

__all__ = ["OpenFile", "as_piece", "close_body", "open_body"]

# A hop to a worker thread costs about 100 us: a piece must be worth it.
_FILE_PIECE_BYTES = 256 * 1024


@final
class OpenFile:
    """A file with the length that it had when opened; read in pieces, or sent without reading.

    Attributes:
      file: The file; its position is where reading continues.
      length: In bytes; None for a pipe or a device, which has none.
    """

    __slots__ = ("file", "length")

    def __init__(self, path: Path) -> None:
        self.file: BinaryIO = path.open("rb")
        try:
            self.length = os.fstat(self.file.fileno()).st_size if self.file.seekable() else None
        except BaseException:
            self.file.close()
            raise

    def __aiter__(self) -> OpenFile:
        return self

    async def __anext__(self) -> bytes:
        size = _FILE_PIECE_BYTES
        # Files in /proc have length 0 but content, so they are read until EOF.
        if self.length:
            size = min(size, self.length - self.file.tell())
        piece = await run_sync(self.file.read, size) if size else b""
        if not piece:
            raise StopAsyncIteration
        return piece

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
        opened = await run_sync(OpenFile, source)
        try:
            # A thread cannot be cancelled. Check now, when a cut can still be answered 503.
            await trio.lowlevel.checkpoint_if_cancelled()
            yield opened.length, opened
        finally:
            # Nothing was written, so closing does not wait for the disk.
            opened.file.close()
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
