"""All timeouts of all connections, kept by one task."""

from __future__ import annotations

import heapq
from math import inf
from typing import Protocol, final

import trio

__all__ = ["Timed", "Watchdog"]

# Below this many dead entries a rebuild of the heap costs more than it frees.
_COMPACT_FROM = 64


class _Entry:
    """An entry of the heap. Without an owner it is dead, and does not keep a closed one alive."""

    __slots__ = ("owner", "when")

    def __init__(self, when: float, owner: Timed | None) -> None:
        self.when: float = when
        self.owner: Timed | None = owner

    def __lt__(self, other: _Entry) -> bool:
        return self.when < other.when


class Timed(Protocol):
    """An object with a timeout.

    Attributes:
      deadline: When `expire` is due, on trio's clock; ``inf`` when unarmed. Assign it to disarm,
        and call `Watchdog.arm` to arm.
      entry: For the watchdog only.
    """

    deadline: float
    entry: _Entry | None

    def expire(self) -> None:
        """Act on the deadline; must not block or raise."""


@final
class Watchdog:
    """Calls `Timed.expire` at each deadline: exact, and asleep while none is armed.

    Arming is a store and a comparison. Each owner has at most one live entry in a heap, never later
    than its deadline; an entry that is due before its owner's deadline, because that has moved, is
    pushed again. So a keep-alive connection that arms twice per request costs one heap operation
    per timeout that passes, not two per request, and there is no periodic tick.
    """

    __slots__ = ("_dead", "_heap", "_scope")

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._dead = 0
        self._scope = trio.CancelScope()

    def arm(self, timed: Timed, deadline: float) -> None:
        """Call ``timed.expire()`` at ``deadline``, which replaces an earlier one."""
        timed.deadline = deadline
        entry = timed.entry
        if entry is None or deadline < entry.when:
            if entry is not None:
                self._bury(entry)
            timed.entry = entry = _Entry(deadline, timed)
            heapq.heappush(self._heap, entry)
            if self._heap[0] is entry:
                self._scope.deadline = deadline

    def forget(self, timed: Timed) -> None:
        """Disarm it and drop its entry: it has closed."""
        timed.deadline = inf
        entry, timed.entry = timed.entry, None
        if entry is not None:
            self._bury(entry)
            if self._heap[0] is entry:
                self._scope.deadline = self._next()

    async def run(self) -> None:
        """Call `expire` at each deadline, for ever.

        Cancellation:
          Ends it; armed deadlines stay armed, but `expire` is not called.
        """
        while True:
            # `arm` and `forget` move its deadline by assignment; it is never cancelled otherwise.
            with trio.CancelScope(deadline=self._next()) as self._scope:
                await trio.sleep_forever()
            now = trio.current_time()
            while self._next() <= now:
                entry = heapq.heappop(self._heap)
                timed = entry.owner
                assert timed is not None  # _next() has dropped the dead ones
                timed.entry = None
                if timed.deadline <= now:
                    timed.deadline = inf
                    timed.expire()
                elif timed.deadline < inf:
                    self.arm(timed, timed.deadline)

    def _bury(self, entry: _Entry) -> None:
        entry.owner = None
        self._dead += 1
        # Otherwise entries of short-lived connections would pile up until they are due.
        if self._dead > _COMPACT_FROM and self._dead > len(self._heap) // 2:
            top = self._heap[0]
            self._heap = [each for each in self._heap if each.owner is not None or each is top]
            heapq.heapify(self._heap)
            self._dead = int(top.owner is None)

    def _next(self) -> float:
        """Drop dead entries at the top; return the time of the earliest entry, or ``inf``."""
        heap = self._heap
        while heap and heap[0].owner is None:
            heapq.heappop(heap)
            self._dead -= 1
        return heap[0].when if heap else inf

    def __repr__(self) -> str:
        return f"<Watchdog {len(self._heap) - self._dead} entries, next {self._scope.deadline}>"
