"""``wsgi.file_wrapper``: a file as a response."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FileWrapper", "path_of"]

# Where a process finds its own open files, also those that have no name any more. Linux has it.
_OPEN_FILES = Path("/proc/self/fd")


class Readable(Protocol):
    """What a `FileWrapper` reads."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes; nothing at the end."""
        ...


@final
class FileWrapper:
    """What ``wsgi.file_wrapper`` makes of a file: returned by the application, it is its response.

    Args:
      filelike: An object with ``read``. Its ``close`` is called at the end, if it has one.
      block_size: Bytes of each block, where it has to be read.
    """

    close: Callable[[], object]

    def __init__(self, filelike: Readable, block_size: int = 65_536) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        block = self.filelike.read(self.block_size)
        if not block:
            raise StopIteration
        return block


def path_of(wrapper: FileWrapper, length: int | None) -> Path | None:
    """Return where the driver can open the file, or None if it has to be read.

    Args:
      wrapper: As the application has returned it. It must stay open until the file is sent.
      length: The declared Content-Length.
    """
    # Any: whatever it is, only files of the io module pass.
    filelike: Any = wrapper.filelike
    raw = getattr(filelike, "raw", filelike)
    # Others may have a descriptor too, but not of what ``read`` returns: that of a GzipFile is of
    # the compressed file.
    is_buffered = isinstance(filelike, io.BufferedReader | io.BufferedRandom)
    if not isinstance(raw, io.FileIO) or not (is_buffered or raw is filelike):
        return None
    try:
        facts = os.fstat(raw.fileno())
        if not stat.S_ISREG(facts.st_mode) or not facts.st_size or filelike.tell():
            return None
    except (OSError, ValueError):
        return None
    path = _OPEN_FILES / str(raw.fileno())
    if length in {None, facts.st_size} and os.access(path, os.R_OK):
        return path
    return None
