"""Files of a folder: opened name by name, so that no symbolic link leads out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from contextlib import contextmanager
from io import FileIO
from threading import Lock
from time import time_ns
from typing import TYPE_CHECKING, final

from anyio.to_thread import run_sync

from ...exceptions import ConfigError, HttpError
from ...http import EntityTag
from ._found import DIRECTORY, SUFFIXES, Found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._found import Describer, Directory

__all__ = ["Folder"]

# Up to this size a file is read where it is opened, and sent with the head of the response.
_SMALL_BYTES = 65_536
# What an entry takes besides the content: objects, fields, and most paths.
_ENTRY_BYTES = 4_096
# A file may change twice within the resolution of its times, which is up to two seconds on file
# systems in use. One that has changed that recently is not kept.
_SETTLED_NS = 2_000_000_000

_NOT_THERE = frozenset(
    # A link where none is followed; a name that no file can have; a socket; a device that is gone.
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.ENAMETOOLONG, errno.EINVAL}
    | {errno.EILSEQ, errno.ENXIO, errno.ENODEV}
)

# O_NONBLOCK, because opening a pipe would wait for its writer.
_FILE_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
# Linux needs no permission to list a folder in order to open what is in it.
_FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

_Identity = tuple[int, ...]
_Check = tuple[str, _Identity]
# Where the time of the last change of any kind is in an identity. It cannot be set.
_CTIME = 4


def _identity(status: os.stat_result) -> _Identity:
    return (
        *(status.st_dev, status.st_ino, status.st_size),
        *(status.st_mtime_ns, status.st_ctime_ns, status.st_mode),
    )


@final
class _Entry:
    """A small file that is kept in memory, and how to see that it is still the same.

    Attributes:
      checks: Paths below the root, and what `os.stat` has said of each. Empty: it is not kept.
    """

    __slots__ = ("checks", "found", "size")

    def __init__(self, found: Found, checks: tuple[_Check, ...]) -> None:
        self.found = found
        self.checks = checks
        self.size = found.length + _ENTRY_BYTES


@final
class Folder:
    """A folder of the file system.

    Args:
      root: The folder. While it is held it stays that one, wherever it is moved.
      describer: Makes the fields.
      index: The name of the file that stands for its folder, or None.
      follow_symlinks: Whether symbolic links are followed, out of the root as well.
      cache_bytes: How much memory small files may take.

    Raises:
      ConfigError: The root is not a folder that can be opened.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        describer: Describer,
        index: str | None,
        follow_symlinks: bool,
        cache_bytes: int,
    ) -> None:
        self.name: str = os.path.abspath(root)
        # What is wrong with it should be said now.
        os.close(self._open_root())
        # Open while it is held, else -1.
        self._root = -1
        self._holders = 0
        self._describer = describer
        self._index = index
        self._follows = follow_symlinks
        self._no_follow = 0 if follow_symlinks else os.O_NOFOLLOW
        self._entries: OrderedDict[tuple[str, tuple[str, ...]], _Entry] = OrderedDict()
        # Servers in several threads may have one handler.
        self._lock = Lock()
        self._cache_bytes = cache_bytes
        self._kept_bytes = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """See `Source`: keep the root open, for as many as hold it."""
        with self._lock:
            if not self._holders:
                self._root = self._open_root()
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    root, self._root = self._root, -1
                    os.close(root)
                    self._entries.clear()
                    self._kept_bytes = 0

    def _open_root(self) -> int:
        try:
            return os.open(self.name, _FOLDER_FLAGS)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise ConfigError(f"Static cannot open the folder {self.name!r}: {reason}") from error

    # -- what is in memory ---------------------------------------------------------------------

    def hot(self, path: str, encodings: tuple[str, ...]) -> Found | None:
        """See `Source`. Looks at the file's status, which takes 2 us on a local file system."""
        key = path, encodings
        entry = self._entries.get(key)
        if entry is None:
            return None
        try:
            for checked, identity in entry.checks:
                # A link in place of a folder would lead to another file: that is seen as well.
                status = os.stat(checked, dir_fd=self._root, follow_symlinks=self._follows)
                if _identity(status) != identity:
                    break
            else:
                with self._lock:
                    if key in self._entries:
                        self._entries.move_to_end(key)
                return entry.found
        except OSError:
            pass  # Gone, or no longer for us: `find` says which.
        with self._lock:
            self._drop(key)
        return None

    def _keep(self, key: tuple[str, tuple[str, ...]], entry: _Entry) -> None:
        size = entry.size
        if size > self._cache_bytes:
            return
        with self._lock:
            self._drop(key)
            while self._kept_bytes + size > self._cache_bytes:
                self._drop(next(iter(self._entries)))
            self._entries[key] = entry
            self._kept_bytes += size

    def _drop(self, key: tuple[str, tuple[str, ...]]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._kept_bytes -= entry.size

    # -- what is opened ------------------------------------------------------------------------

    async def find(
        self, path: str, names: tuple[str, ...], encodings: tuple[str, ...]
    ) -> Found | Directory | None:
        """See `Source`.

        Cancellation:
          A file that is being opened is opened first, and returned.
        """
        found = await run_sync(self._look, names, encodings)
        if isinstance(found, _Entry):
            if found.checks and self._root != -1:
                self._keep((path, encodings), found)
            return found.found
        return found

    def _look(
        self, names: tuple[str, ...], encodings: tuple[str, ...]
    ) -> _Entry | Directory | None:
        """Open what the names lead to. Runs in a worker thread."""
        *folders, last = names
        if not last:
            if self._index is None:
                return None
            last = self._index
        # Whoever calls the handler without its lifespan does not hold the root.
        held = self._root
        at = root = self._open_root() if held == -1 else held
        try:
            for each in folders:
                inner = os.open(each, _FOLDER_FLAGS | self._no_follow, dir_fd=at)
                if at != root:
                    os.close(at)
                at = inner
            return self._look_in(at, folders, last, encodings)
        except PermissionError as error:
            raise HttpError(403) from error
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise
        finally:
            if at != root:
                os.close(at)
            if held == -1:
                os.close(root)

    def _look_in(
        self, folder: int, folders: list[str], name: str, encodings: tuple[str, ...]
    ) -> _Entry | Directory | None:
        path = "/".join([*folders, name])
        file = self._open(folder, name, path)
        if not isinstance(file, FileIO):
            return file
        encoding = None
        try:
            for each in encodings:
                other = self._open_beside(folder, name, path, SUFFIXES[each])
                if other is not None:
                    file.close()
                    file, encoding = other, each
                    break
            return self._describe(
                file, path, encoding, self._folder_check(folder, folders, encodings)
            )
        except BaseException:
            file.close()
            raise

    def _open(self, folder: int, name: str, path: str) -> FileIO | Directory | None:
        """Open a regular file; say if it is a directory with an index."""
        fd = os.open(name, _FILE_FLAGS | self._no_follow, dir_fd=folder)
        try:
            mode = os.fstat(fd).st_mode
            if stat.S_ISREG(mode):
                return FileIO(path, "rb", opener=lambda *_: fd)
            is_directory = stat.S_ISDIR(mode) and self._has_index(fd)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return DIRECTORY if is_directory else None

    def _open_beside(self, folder: int, name: str, path: str, suffix: str) -> FileIO | None:
        try:
            file = self._open(folder, name + suffix, path + suffix)
        except OSError:
            return None  # There is none, or none for us: the file itself is sent.
        return file if isinstance(file, FileIO) else None

    def _has_index(self, folder: int) -> bool:
        if self._index is None:
            return False
        try:
            status = os.stat(self._index, dir_fd=folder, follow_symlinks=self._follows)
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode)

    def _folder_check(
        self, folder: int, folders: list[str], encodings: tuple[str, ...]
    ) -> tuple[_Check, ...]:
        """Return what shows that no precompressed form has come or gone: the folder's own times."""
        if not encodings or not self._cache_bytes:
            return ()
        return (("/".join(folders) or ".", _identity(os.fstat(folder))),)

    def _describe(
        self, file: FileIO, path: str, encoding: str | None, checks: tuple[_Check, ...]
    ) -> _Entry:
        fd = file.fileno()
        status = os.fstat(fd)
        size, identity = status.st_size, _identity(status)
        data = os.pread(fd, _SMALL_BYTES + 1, 0) if size <= _SMALL_BYTES else None
        if data is not None and (len(data) != size or _identity(os.fstat(fd)) != identity):
            data = None  # It is being written. Sent from the file, a wrong length is noticed.
        if data is not None:
            file.close()
        coded = "" if encoding is None else f"-{encoding}"
        now = time_ns()
        found = self._describer.describe(
            path,
            size,
            etag=EntityTag(f"{status.st_mtime_ns:x}-{size:x}{coded}"),
            # RFC 9110, 8.8.2.1: it must not be in the future.
            modified=status.st_mtime if status.st_mtime_ns <= now else None,
            encoding=encoding,
            data=data,
            file=None if data is not None else file,
        )
        sent = path if encoding is None else path + SUFFIXES[encoding]
        checks = ((sent, identity), *checks)
        is_settled = all(now - each[_CTIME] > _SETTLED_NS for _, each in checks)
        return _Entry(found, checks if data is not None and is_settled else ())

    def __repr__(self) -> str:
        return f"<Folder {self.name!r}, {len(self._entries)} files in memory>"
