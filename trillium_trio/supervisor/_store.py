"""Listening sockets in the service manager's store: there when no supervisor is (SU-23)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from .._log import SafeLogger

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from ..server import Notifier
    from ._crew import Crew

__all__ = ["Store"]

logger = SafeLogger("trillium_trio.supervisor")

# The service manager ignores longer ones.
_MAX_NAME: Final = 255


@final
class Store:
    """Has the service manager hold what the workers accept from.

    Args:
      crew: Whose sockets they are.
      notifier: Sends them.
      room: How many the service manager takes.
    """

    def __init__(self, crew: Crew, notifier: Notifier, room: int) -> None:
        self._crew = crew
        self._notifier = notifier
        self._room = room
        # How many are stored by a name; 0: too many.
        self._counts: dict[str, int] = {}

    def restore(self, stored: Mapping[str, Sequence[socket.socket]]) -> None:
        """Use what an earlier supervisor has stored."""
        self._counts = {name: len(socks) for name, socks in stored.items()}
        self._crew.sockets.restore(stored)

    def take_over(self) -> None:
        """Take what the predecessor has handed over to be stored: it was, by the predecessor."""
        if self._room:
            self._counts = {name: len(socks) for name, socks in self._storable().items()}
            self._note()

    def update(self) -> None:
        """Store what is new, and have the service manager close what is closed."""
        storable = self._storable() if self._room else {}
        for name in self._counts.keys() - storable.keys():
            self._notifier.forget(name)
            del self._counts[name]
        for name, socks in storable.items():
            if name in self._counts:
                continue
            has_room = sum(self._counts.values()) + len(socks) <= self._room
            is_stored = has_room and len(name) <= _MAX_NAME
            self._counts[name] = len(socks) if is_stored else 0
            if is_stored:
                self._notifier.store(name, socks)
            else:
                logger.warning("cannot store %s: FDSTORE is %d", name, self._room)
        self._note()

    def _storable(self) -> dict[str, list[socket.socket]]:
        return self._crew.sockets.storable(self._crew.own_specs)

    def _note(self) -> None:
        self._crew.sockets.stored = frozenset(name for name, count in self._counts.items() if count)
