"""A fair share of the connections, for several processes that accept from one socket.

Whichever process is awake takes the next connection, so one of them would take most. They share a
page of memory with a cell each, which has the number of its connections. Who is clearly ahead of
the least loaded waits before it accepts, so that another one takes the connection. The wait is
short where the others have not taken any during the last one: they may be busy, or hang.

.. code-block:: text

    [cells in use] [worker 1] [worker 2] [worker 3] ...      64 bits each
                    0: does not accept, else connections + 1

Each cell is written by its worker alone, and cleared by the holder of the page once the worker is
gone. So there are no locks, and nobody waits for a process that has died.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["BALANCE_SECONDS", "Counted", "LoadPage", "Share"]

_BYTES: Final = 4096
_CELLS: Final = _BYTES // 8
# A few connections more or less are no imbalance.
_MARGIN: Final = 4
# For another process to get its turn on a busy machine; the first is enough on an idle one.
_PATIENT_WAITS: Final = 20
BALANCE_SECONDS: Final = 0.001
"""How long each wait is: several times what another process needs to wake up and accept."""


@final
class LoadPage:
    """The page, in the process that holds the sockets.

    Attributes:
      fd: The descriptor, for the processes that accept.

    Raises:
      OSError: There is no memory or no descriptor.
    """

    def __init__(self) -> None:
        self.fd: int = _anonymous_file()
        os.truncate(self.fd, _BYTES)
        self._map = mmap.mmap(self.fd, _BYTES)
        self._cells = memoryview(self._map).cast("q")
        self._taken: set[int] = set()

    def take(self) -> int:
        """Return the number of a free cell.

        Raises:
          OSError: There is none: there are more than 500 workers.
        """
        for number in range(1, _CELLS):
            if number not in self._taken:
                self._taken.add(number)
                self._cells[number] = 0
                self._cells[0] = max(self._taken) + 1
                return number
        raise OSError(errno.ENOSPC, "there are too many workers")

    def clear(self, number: int) -> None:
        """Have the others no longer wait for a worker: it is silent, or drains."""
        self._cells[number] = 0

    def free(self, number: int) -> None:
        """Take back the cell of a worker that is gone."""
        self.clear(number)
        self._taken.discard(number)
        self._cells[0] = max(self._taken, default=0) + 1

    @property
    def loads(self) -> list[int]:
        """The numbers of connections of those who accept."""
        return [each - 1 for each in self._cells[1 : self._cells[0]] if each]

    def close(self) -> None:
        """Give the memory back; those who have it mapped keep it."""
        self._cells.release()
        self._map.close()
        os.close(self.fd)


@final
class Share:
    """The cell of this process.

    Args:
      fd: Of the page; may be closed afterwards.
      cell: The number.

    Attributes:
      connections: The set to keep connections in: its size is what the others see.
    """

    __slots__ = ("_cell", "_cells", "_is_open", "_patience", "_seen", "_waits", "connections")

    def __init__(self, fd: int, cell: int) -> None:
        self._cells = memoryview(mmap.mmap(fd, _BYTES)).cast("q")
        self._cell = cell
        self._is_open = False
        # The others, as they were at the last wait; how often it has waited, and may.
        self._seen: list[int] = []
        self._waits = 0
        self._patience = _PATIENT_WAITS
        self.connections: Counted = Counted(self)

    def open(self) -> None:
        """Accept from now on."""
        self._is_open = True
        self.update()

    def close(self) -> None:
        """Accept no longer: the others wait for this process no more."""
        self._is_open = False
        self._cells[self._cell] = 0

    def update(self) -> None:
        """Show the size of the set."""
        if self._is_open:
            self._cells[self._cell] = len(self.connections) + 1

    def is_ahead(self, accepted: int = 0) -> bool:
        """Whether this process has clearly more connections than the least loaded.

        Args:
          accepted: Those that it has accepted but that are not in the set.
        """
        return self._is_ahead_of(self._others(), accepted)

    def has_to_wait(self) -> bool:
        """Whether this process should let the others accept, for `BALANCE_SECONDS`; then ask again.

        Not more often than they may need; and only once if they have not moved since the last time.
        """
        others = self._others()
        if not self._is_ahead_of(others):
            self._waits = 0
            return False
        if others != self._seen:
            self._seen = others
            self._patience = _PATIENT_WAITS
        if self._waits >= self._patience:
            self._waits = 0
            self._patience = 1
            return False
        self._waits += 1
        return True

    def _others(self) -> list[int]:
        """Return the cells of the others that accept."""
        cells = self._cells
        return [
            each
            for number, each in enumerate(cells[1 : cells[0]], start=1)
            if each and number != self._cell
        ]

    def _is_ahead_of(self, others: list[int], accepted: int = 0) -> bool:
        return bool(others) and len(self.connections) + 1 + accepted > min(others) + _MARGIN

    def __repr__(self) -> str:
        return f"<Share {self._cell}: {len(self.connections)} connections>"


@final
class Counted(set[object]):
    """A set that shows its size to other processes, if it changes by `add` and `discard`."""

    def __init__(self, share: Share, content: AbstractSet[object] = frozenset()) -> None:
        super().__init__(content)
        self._share = share

    def add(self, element: object, /) -> None:
        """Add an element."""
        super().add(element)
        self._share.update()

    def discard(self, element: object, /) -> None:
        """Remove an element."""
        super().discard(element)
        self._share.update()

    def copy(self) -> set[object]:
        """Return a plain set."""
        return set(self)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("trillium-trio-loads")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
