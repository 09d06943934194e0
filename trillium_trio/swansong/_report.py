"""What is outstanding now (`GuardReport`), and how a drain went (`DrainReport`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["DrainReport", "GuardEntry", "GuardReport"]

# A log line shows this many labels of one site; the entry itself keeps them all.
_LABELS_SHOWN = 10


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GuardEntry:
    """The guards of one creation site.

    Attributes:
      site: Where ``guard()`` was called, ``"file:line"``.
      count: How many guards from there are outstanding.
      oldest_age: Seconds since the oldest of them was taken.
      labels: Their labels, oldest first; guards without one are left out.
      stacks: Where their holders are parked, oldest first, one multi-line string each. Empty
        unless stacks were requested and a holder is known.
      where: The innermost application frame of the oldest guard's holder,
        ``"file:line in function"``; known under the same conditions.
    """

    site: str
    count: int
    oldest_age: float
    labels: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    where: str | None = None

    def __str__(self) -> str:
        line = f"{self.count} x {self.site} (oldest {self.oldest_age:.1f}s)"
        counts = Counter(self.labels)
        shown = [
            label if count == 1 else f"{label} ({count} times)"
            for label, count in list(counts.items())[:_LABELS_SHOWN]
        ]
        if shown:
            line += " " + ", ".join(shown)
        if len(counts) > _LABELS_SHOWN:
            line += f" and {len(counts) - _LABELS_SHOWN} other labels"
        return "\n".join([line, *self._stack_lines()])

    def _stack_lines(self) -> Iterator[str]:
        # Stuck requests are often stuck in the same place: each place is shown once.
        for stack, count in Counter(self.stacks).items():
            first, *rest = stack.splitlines()
            yield f"  {first}" if count == 1 else f"  {first} (and {count - 1} more like it)"
            yield from (f"  {line}" for line in rest)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GuardReport:
    """A snapshot of outstanding guards, grouped by creation site. ``str()`` is ready for a log.

    Attributes:
      entries: One entry per site, the one with the oldest guard first.
    """

    entries: tuple[GuardEntry, ...] = ()

    @property
    def guard_count(self) -> int:
        """The number of guards in all entries."""
        return sum(entry.count for entry in self.entries)

    @property
    def is_empty(self) -> bool:
        """Whether no guard was outstanding."""
        return not self.entries

    def __iter__(self) -> Iterator[GuardEntry]:
        return iter(self.entries)

    def __str__(self) -> str:
        if self.is_empty:
            return "no outstanding guards"
        count = self.guard_count
        head = f"{count} outstanding guard{'' if count == 1 else 's'}:"
        body = (f"  {line}" for entry in self.entries for line in str(entry).splitlines())
        return "\n".join([head, *body])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReport:
    """How a drain went. ``str()`` is one line, ready for a log.

    Attributes:
      is_clean: Whether nothing was cut off: no guard's work, and no attached cancel scope.
      duration: Seconds from the first stop to completion.
      finished: How many guards were released after the stop, without those that were cut off.
      cancelled: What was cut off.
      reason: Why it was cut off, or why ``cancel()`` was called; None if no reason was given.
    """

    is_clean: bool
    duration: float
    finished: int
    cancelled: GuardReport = GuardReport()
    reason: str | None = None

    def __str__(self) -> str:
        line = f"drained in {self.duration:.2f}s: {self.finished} finished"
        if not self.is_clean:
            line += f", {self.cancelled.guard_count} cut off"
        if self.reason is not None:
            line += f" ({self.reason})"
        return line


def merge_entries(entries: Iterable[GuardEntry]) -> GuardReport:
    """Merge entries that were taken at different times into a report with one entry per site."""
    by_site: dict[str, GuardEntry] = {}
    for new in sorted(entries, key=lambda entry: -entry.oldest_age):
        old = by_site.setdefault(new.site, new)
        if old is not new:
            by_site[new.site] = GuardEntry(
                site=new.site,
                count=old.count + new.count,
                oldest_age=old.oldest_age,
                labels=old.labels + new.labels,
                stacks=old.stacks + new.stacks,
                where=old.where or new.where,
            )
    return GuardReport(entries=tuple(by_site.values()))
