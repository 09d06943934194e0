"""A form that has been read: its fields, and its files."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO, cast, final

from anyio.to_thread import run_sync

from ...conn import OnConn
from ...exceptions import BadRequest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Form", "Upload"]

_PIECE_BYTES = 65_536


@final
class Upload:
    """A file that was sent with a form. It is gone when its request is over: `save` keeps it.

    Attributes:
      name: The name of the field.
      filename: What the client calls the file, without folders and control characters. It says
        nothing that can be trusted: do not use it as a path.
      content_type: What the client says it is, or None.
      size: Its length in bytes.
      file: The open file, at its beginning; in memory, or on disk if it is large. Reading it
        blocks.
    """

    __slots__ = ("_spool_bytes", "content_type", "file", "filename", "name", "size")

    def __init__(
        self, name: str, filename: str, content_type: str | None, *, spool_bytes: int
    ) -> None:
        self.name: str = name
        self.filename: str = filename
        self.content_type: str | None = content_type
        self.size: int = 0
        self.file: BinaryIO = io.BytesIO()
        self._spool_bytes = spool_bytes

    async def read(self) -> bytes:
        """Return all of it.

        Cancellation:
          The thread that reads is awaited.
        """
        if isinstance(self.file, io.BytesIO):
            return self.file.getvalue()
        return await run_sync(self._read_all)

    async def save(self, path: str | Path) -> None:
        """Write it to a file, which is replaced if it exists.

        Raises:
          OSError: It cannot be written.

        Cancellation:
          The thread that writes is awaited: the file is whole.
        """
        await run_sync(self._copy_to, path)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over its pieces, of up to 64 KiB."""
        position = 0
        while piece := await run_sync(self._read_at, position):
            position += len(piece)
            yield piece

    # -- for the reader ------------------------------------------------------------------------

    async def write(self, piece: bytes) -> None:
        """Append a piece; once it is large it goes to disk, in a worker thread.

        Cancellation:
          The thread that writes is awaited.
        """
        self.size += len(piece)
        if self.size <= self._spool_bytes:
            self.file.write(piece)
        else:
            await run_sync(self._write_to_disk, piece)

    def _write_to_disk(self, piece: bytes) -> None:
        pieces: list[bytes | memoryview] = [piece]
        if isinstance(self.file, io.BytesIO):
            pieces.insert(0, self.file.getbuffer())
            # Without a name: the system frees it when it is closed, whatever happens to us.
            self.file = cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 (closed with the form)
        for each in pieces:
            view = memoryview(each)
            # A file without a buffer may take less than it is given.
            while view:
                view = view[self.file.write(view) :]

    def _read_all(self) -> bytes:
        self.file.seek(0)
        return self.file.read()

    def _read_at(self, position: int) -> bytes:
        self.file.seek(position)
        return self.file.read(_PIECE_BYTES)

    def _copy_to(self, path: str | Path) -> None:
        self.file.seek(0)
        with open(path, "wb") as target:
            shutil.copyfileobj(self.file, target, 1 << 20)

    def __repr__(self) -> str:
        return f"<Upload {self.name!r}: {self.filename!r}, {self.size} bytes>"


class _Missing(BadRequest, KeyError):
    """What was asked for is not in the form."""


class _Files(dict[str, Upload]):
    def __missing__(self, name: str) -> Upload:
        raise _Missing(f"the form has no file {name!r}")


@final
class Form(OnConn, Mapping[str, str], left_by="Forms"):
    """The fields of a form, by name; of several of one name, the first: ``form["title"]``.

    Who asks for one that is not there gets a `KeyError` that is answered with 400.

    Attributes:
      files: The first file of each name; likewise.
    """

    __slots__ = ("_fields", "_uploads", "files")

    def __init__(self) -> None:
        self._fields: dict[str, list[str]] = {}
        self._uploads: dict[str, list[Upload]] = {}
        self.files: dict[str, Upload] = _Files()

    def get_all(self, name: str) -> list[str]:
        """Return every value of a name, in the order in which they were sent."""
        return list(self._fields.get(name, ()))

    def get_files(self, name: str) -> list[Upload]:
        """Return every file of a name, in the order in which they were sent."""
        return list(self._uploads.get(name, ()))

    def __getitem__(self, name: str) -> str:
        try:
            return self._fields[name][0]
        except KeyError:
            raise _Missing(f"the form has no field {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    # -- for the reader ------------------------------------------------------------------------

    def add(self, name: str, value: str) -> None:
        """Add a field."""
        self._fields.setdefault(name, []).append(value)

    def add_file(self, upload: Upload) -> None:
        """Add a file."""
        self._uploads.setdefault(upload.name, []).append(upload)
        self.files.setdefault(upload.name, upload)

    async def aclose(self, _: object = None) -> None:
        """Close the files, and so remove what is on disk.

        Cancellation:
          None: it does not wait.
        """
        for uploads in self._uploads.values():
            for upload in uploads:
                upload.file.close()

    def __repr__(self) -> str:
        # Values are often private.
        return f"<Form {', '.join([*self._fields, *self.files]) or 'empty'}>"
