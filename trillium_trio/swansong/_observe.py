"""From live claims to a `GuardReport`."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from trillium_trio._log import text_of

from ._report import GuardEntry, GuardReport
from ._stacks import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._node import Outstanding

__all__ = ["observe"]

# How many stacks a report takes per site, oldest guards first. Thousands of requests may be
# outstanding when time is short, and most of them are stuck in the same place as the first.
_STACKS_PER_SITE = 10


def observe(claims: Iterable[Outstanding], *, stacks: bool) -> GuardReport:
    """Return a report of these claims."""
    by_site: dict[str, list[Outstanding]] = {}
    for claim in sorted(claims, key=lambda claim: claim.taken_at):
        by_site.setdefault(claim.site, []).append(claim)
    snapshot = Snapshot() if stacks and by_site else None
    # One time for all entries, or the order by age could contradict the ages.
    now = monotonic()
    return GuardReport(entries=tuple(_entry(*group, now, snapshot) for group in by_site.items()))


def _entry(
    site: str, claims: list[Outstanding], now: float, snapshot: Snapshot | None
) -> GuardEntry:
    shown: list[str] = []
    where = None
    if snapshot is not None:
        for claim in claims[:_STACKS_PER_SITE]:
            holder = None if claim.holder is None else claim.holder()
            if holder is None:
                continue
            try:
                stack, innermost = snapshot.stack(holder)
            except Exception:  # noqa: S112 - other threads keep running: the frames may be gone
                continue
            shown.append(stack)
            if claim is claims[0]:
                where = innermost
    return GuardEntry(
        site=site,
        count=len(claims),
        oldest_age=now - claims[0].taken_at,
        labels=tuple(text_of(str, claim.label) for claim in claims if claim.label is not None),
        stacks=tuple(shown),
        where=where,
    )
