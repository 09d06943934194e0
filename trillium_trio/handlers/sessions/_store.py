"""Where sessions are kept on the server's side."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Protocol, final

from ..._util import check_count

__all__ = ["MemoryStore", "SessionStore"]


class SessionStore(Protocol):
    """Keeps the contents of sessions, by id. Write one for your database.

    An id is not what the cookie has, but a digest of it: who reads the store cannot use a session.
    An exception of a method is a 500, as one of a handler is.
    """

    async def load(self, ident: str) -> str | None:
        """Return what was saved, or None if there is nothing or its time is over.

        Cancellation:
          Changes nothing.
        """

    async def save(self, ident: str, record: str, max_age: int, *, is_new: bool) -> bool:
        """Save a record for so many seconds; return whether it is saved.

        One that is not new replaces what `load` would return now, in one step. If that is nothing,
        the session was ended meanwhile: do not save it, and return False.

        Cancellation:
          It may be saved or not.
        """

    async def delete(self, ident: str) -> None:
        """Delete what was saved, if there is anything.

        Cancellation:
          It may be deleted or not.
        """


@final
class MemoryStore(SessionStore):
    """Keeps sessions in this process: they end with it. For tests, and for one process.

    Args:
      max_sessions: The number that is kept. One more displaces the one that was used least
        recently. Default: 10,000. Prevents: memory filled by clients that drop their cookies.
    """

    def __init__(self, *, max_sessions: int = 10_000) -> None:
        check_count("max_sessions", max_sessions, least=1)
        self._max = max_sessions
        self._records: OrderedDict[str, tuple[float, str]] = OrderedDict()

    async def load(self, ident: str) -> str | None:
        """See `SessionStore`.

        Cancellation:
          None: it does not wait.
        """
        ends, record = self._records.get(ident, (0.0, ""))
        if time.time() >= ends:
            self._records.pop(ident, None)
            return None
        self._records.move_to_end(ident)
        return record

    async def save(self, ident: str, record: str, max_age: int, *, is_new: bool) -> bool:
        """See `SessionStore`.

        Cancellation:
          None: it does not wait.
        """
        if not is_new and await self.load(ident) is None:
            return False
        self._records[ident] = time.time() + max_age, record
        self._records.move_to_end(ident)
        while len(self._records) > self._max:
            self._records.popitem(last=False)
        return True

    async def delete(self, ident: str) -> None:
        """See `SessionStore`.

        Cancellation:
          None: it does not wait.
        """
        self._records.pop(ident, None)

    def __len__(self) -> int:
        """Return the number of sessions, including those whose time is over."""
        return len(self._records)

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._records)} of {self._max}>"
