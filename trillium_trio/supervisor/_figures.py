"""The figures of workers: what each sends once a second, and how they are added up.

.. code-block:: text

    {"version": 1,
     "totals": {"requests": 10, ...}    only ever grow: those of workers that are gone stay counted
     "now": {"connections": 3, ...}     added up over the workers that are alive
     "most": {"lag": 0.001, ...}}       the highest of those that are alive

To have more figures, add them to the groups that `figures_of` returns: a group may hold groups.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, TypeAlias, cast, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..server import Server

__all__ = ["Figures", "Totals", "figures_of"]

Figures: TypeAlias = "Mapping[str, object]"

_VERSION: Final = 1


def figures_of(server: Server, *, lag: float = 0.0) -> dict[str, object]:
    """Return the figures of this process, which JSON can carry.

    Args:
      server: Serves here.
      lag: By how many seconds the event loop was late.
    """
    counts = server.connections
    return {
        "version": _VERSION,
        "totals": {
            "connections": counts.open + counts.ended,
            "requests": counts.requests,
            "refused": counts.refused,
            "evicted": counts.evicted,
        },
        "now": {
            "connections": counts.open,
            "idle": counts.idle,
            "guards": server.swansong.guard_count,
            "rss": _resident_bytes(),
        },
        "most": {"lag": round(lag, 6)},
    }


@final
class Totals:
    """The figures of all workers together. Totals never fall."""

    def __init__(self) -> None:
        self._of_the_dead: dict[str, object] = {}

    def keep(self, figures: Figures) -> None:
        """Keep the totals of a worker that is gone."""
        self._of_the_dead = _added(self._of_the_dead, _group(figures, "totals"), max_=False)

    def take_over(self, totals: Figures) -> None:
        """Count what a previous supervisor has counted."""
        self._of_the_dead = _added(self._of_the_dead, totals, max_=False)

    def of_the_dead(self, name: str) -> int:
        """Return one of the totals that are kept; 0 if there is none."""
        value = self._of_the_dead.get(name)
        return value if isinstance(value, int) else 0

    def merged(self, alive: Iterable[Figures]) -> dict[str, object]:
        """Return the figures of all, with these of workers that are alive."""
        totals, now, most = self._of_the_dead, dict[str, object](), dict[str, object]()
        for each in alive:
            totals = _added(totals, _group(each, "totals"), max_=False)
            now = _added(now, _group(each, "now"), max_=False)
            most = _added(most, _group(each, "most"), max_=True)
        return {"version": _VERSION, "totals": totals, "now": now, "most": most}


def _group(figures: Figures, name: str) -> Figures:
    found = figures.get(name)
    return found if isinstance(found, dict) else {}


def _added(one: Figures, other: Figures, *, max_: bool) -> dict[str, object]:
    """Add two groups up, and the groups in them; what only one has stays."""
    result = dict(one)
    for name, value in other.items():
        before = result.get(name)
        if isinstance(value, dict):
            inner = before if isinstance(before, dict) else {}
            result[name] = _added(inner, value, max_=max_)
        elif isinstance(value, list) and isinstance(before, list) and len(value) == len(before):
            pairs = zip(cast("list[float]", before), cast("list[float]", value), strict=True)
            result[name] = [max(pair) if max_ else sum(pair) for pair in pairs]
        elif isinstance(value, int | float) and isinstance(before, int | float):
            result[name] = max(before, value) if max_ else before + value
        else:
            result[name] = value
    return result


def _resident_bytes() -> int:
    """Return how much of this process is in memory; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
