"""Reading the body of a response where it comes from."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from anyio.to_thread import run_sync

from ..http import ReceivesSome

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from ..http import Body

__all__ = ["open_body"]

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
            yield length, _read_file(file)
        finally:
            # Nothing was written: closing cannot wait for a disk.
            file.close()
    else:
        try:
            yield body.length, _read_stream(source) if isinstance(source, ReceivesSome) else source
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()


def _length_of(file: BinaryIO) -> int | None:
    # A pipe or a device has no length that means anything.
    return os.fstat(file.fileno()).st_size if file.seekable() else None


async def _read_file(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await run_sync(file.read, _FILE_PIECE_BYTES):
        yield piece


async def _read_stream(stream: ReceivesSome) -> AsyncIterator[bytes]:
    while piece := await stream.receive_some():
        yield bytes(piece)
