"""Binding unix sockets; replacing and removing their files."""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import final

from .._log import SafeLogger
from ..exceptions import BindError

logger = SafeLogger("trillium_trio.listeners")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFile:
    """A socket file that we created. It is ours while device and inode are the same.

    The listening socket holds the inode, so its number cannot be reused before the socket is
    closed: check first, then close.

    Attributes:
      path: Absolute, because the working directory may change.
      device: ``st_dev``.
      inode: ``st_ino``.
    """

    path: str
    device: int
    inode: int

    def is_ours(self) -> bool:
        """Whether it is there, and is the one that we created.

        Raises:
          OSError: Nobody can tell.
        """
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == (self.device, self.inode)

    def remove(self) -> None:
        """Remove the file if it is still ours. A failure is logged; it must not end a drain."""
        try:
            if self.is_ours():
                os.unlink(self.path)
        except FileNotFoundError:
            pass  # Already removed.
        except OSError as exc:
            logger.warning("cannot remove unix:%s: %s", self.path, exc.strerror)


def bind_unix(path: str, mode: int | None, *, backlog: int) -> tuple[socket.socket, SocketFile]:
    """Listen on a socket file.

    A stale file, on which no server listens any more, is replaced. Two servers that start at the
    same time may both find the same stale file, or the other's file that is bound but does not
    listen yet; the last one then has the path. Let one supervisor start them.

    Args:
      path: Of the file; at most about 100 bytes, the maximum of an address.
      mode: Permission bits, set before the first client can connect. None: as the umask says.
      backlog: How many connections the kernel may queue.

    Raises:
      BindError: ``EADDRINUSE`` if a server listens there or the file is not a socket. No socket or
        file of ours remains.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    file = None
    try:
        try:
            sock.bind(path)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
            _remove_stale(path)
            sock.bind(path)
        made = os.lstat(path)
        file = SocketFile(path=str(Path(path).absolute()), device=made.st_dev, inode=made.st_ino)
        if mode is not None:
            # Before listen(2): until then every connect is refused.
            os.chmod(path, mode)
        sock.listen(backlog)
    except ValueError as exc:  # A NUL in the path, or characters that cannot be encoded.
        sock.close()
        raise BindError(errno.EINVAL, str(exc), f"unix:{path!r}") from exc
    except OSError as exc:
        if file is not None:
            file.remove()
        sock.close()
        # The error for a path that is too long has no errno.
        raise BindError(
            exc.errno or errno.ENAMETOOLONG, exc.strerror or str(exc), f"unix:{path}"
        ) from exc
    return sock, file


def _remove_stale(path: str) -> None:
    """Unlink a socket file that refuses connections; raise EADDRINUSE for any other file."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EADDRINUSE, "the file exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A live server with a full queue would make a blocking connect wait.
        probe.setblocking(False)
        result = probe.connect_ex(path)
    if result == errno.ECONNREFUSED:
        os.unlink(path)
    elif result != errno.ENOENT:
        raise OSError(errno.EADDRINUSE, "another server listens there")
