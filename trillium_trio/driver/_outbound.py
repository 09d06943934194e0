"""Reading the body of a response where it comes from."""

from __future__ import annotations

import os
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from anyio.to_thread import run_sync

from ..http import Body, ReceivesSome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

    from ..http import BodyLike

__all__ = ["close_body", "open_body"]

# A hop to a worker thread costs about 100 us: a piece must be worth it.
_FILE_PIECE_BYTES = 256 * 1024


@asynccontextmanager
async def open_body(body: Body) -> AsyncIterator[tuple[int | None, AsyncIterable[bytes]]]:
    """Open a body that is not in memory; close its source on leaving, read or not.

    Returns:
      Its length in bytes, if known, and its pieces.

    Raises:
      OSError: The file cannot be opened.

    Cancellation:
      The source is closed under the cancellation. A read of a file that has begun is awaited.
    """
    source = body.source
    assert source is not None, "a body in memory is sent as it is"
    if isinstance(source, Path):
        file = await run_sync(source.open, "rb")
        try:
            length = await run_sync(_length_of, file)
            async with aclosing(_read_file(file)) as pieces:
                yield length, pieces
        finally:
            # Nothing was written: closing cannot wait for a disk.
            file.close()
    else:
        try:
            if isinstance(source, ReceivesSome):
                async with aclosing(_read_stream(source)) as pieces:
                    yield body.length, pieces
            else:
                # An iterable may make a generator, which then is nobody else's to close.
                iterator = aiter(source)
                try:
                    yield body.length, iterator
                finally:
                    await _close(iterator)
        finally:
            await _close(source)


async def close_body(body: BodyLike) -> None:
    """Close the source of a body that will not be sent.

    Cancellation:
      The source is closed under the cancellation.
    """
    if isinstance(body, Body) and body.source is not None:
        await _close(body.source)


async def _close(source: object) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()


def _length_of(file: BinaryIO) -> int | None:
    # A pipe or a device has no length that means anything.
    return os.fstat(file.fileno()).st_size if file.seekable() else None


async def _read_file(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    while piece := await run_sync(file.read, _FILE_PIECE_BYTES):
        yield piece


async def _read_stream(stream: ReceivesSome) -> AsyncGenerator[bytes, None]:
    while piece := await stream.receive_some():
        yield bytes(piece)
