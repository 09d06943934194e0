"""All figures at one moment, as a value: it goes to another process, and is added up there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Family", "Figures", "Labels", "Values"]

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, in the order of the family."""

Values: TypeAlias = tuple[float, ...]
"""One number; of a histogram the number of values in each bucket, not cumulated, and their sum."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric.

    Attributes:
      kind: What it is. Only gauges may fall.
      help: One line for people.
      bounds: The upper bounds of a histogram's buckets; the last, infinity, is left out.
      is_peak: Whether the gauge of several processes is the largest of theirs, and not the sum.
      series: The values by labels.
    """

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    bounds: tuple[float, ...] = ()
    is_peak: bool = False
    series: Mapping[Labels, Values] = field(default_factory=dict)

    def combined(self, other: Family, combine: Callable[[float, float], float]) -> Family:
        """Return a family with the series of both; a value that one lacks counts as zero."""
        none = (0,) * (len(self.bounds) + 2)
        series = {
            labels: tuple(
                combine(mine, its)
                for mine, its in zip(
                    self.series.get(labels, none), other.series.get(labels, none), strict=False
                )
            )
            for labels in {**self.series, **other.series}
        }
        return replace(self, series=series)


@final
@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a `Metrics` at one moment.

    A parent adds up those of its workers: each sends its `Figures`, or to save space what has come
    since the last ones (`minus`). Of a worker that has ended the parent keeps `totals`, so that
    no total ever falls::

        ended = ended.plus(last[worker].totals())
        everything = sum(last.values(), start=ended)

    Attributes:
      families: The metrics by name.
    """

    families: Mapping[str, Family] = field(default_factory=dict)

    def plus(self, other: Figures) -> Figures:
        """Return the sums. A gauge is added as well, or is the larger one, as it says."""
        return Figures(
            {name: self._plus(name, other) for name in {**self.families, **other.families}}
        )

    def minus(self, earlier: Figures) -> Figures:
        """Return what has come since the earlier figures; gauges as they are now.

        Added to the earlier `totals`, that gives these figures.
        """
        families = dict(self.families)
        for name, family in self.families.items():
            before = earlier.families.get(name)
            if family.kind != "gauge" and before is not None:
                grown = family.combined(before, lambda now, then: now - then).series
                series = {key: new for key, new in grown.items() if any(new)}
                families[name] = replace(family, series=series)
        return Figures(families)

    def totals(self) -> Figures:
        """Return what never falls: all but the gauges."""
        return Figures({n: each for n, each in self.families.items() if each.kind != "gauge"})

    def as_json(self) -> dict[str, Any]:
        """Return a value of which JSON can be made; see `from_json`."""
        return {
            name: {
                "kind": family.kind,
                "help": family.help,
                "bounds": list(family.bounds),
                "is_peak": family.is_peak,
                "series": [[dict(key), list(values)] for key, values in family.series.items()],
            }
            for name, family in self.families.items()
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the figures of which `as_json` has made this value.

        Raises:
          ValueError: It is no such value.
        """
        try:
            return cls(
                {
                    name: Family(
                        kind=each["kind"],
                        help=each["help"],
                        bounds=tuple(each["bounds"]),
                        is_peak=each["is_peak"],
                        series={
                            tuple(key.items()): tuple(values) for key, values in each["series"]
                        },
                    )
                    for name, each in value.items()
                }
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"these are no figures: {error!r}") from error

    def _plus(self, name: str, other: Figures) -> Family:
        mine, its = self.families.get(name), other.families.get(name)
        if mine is None or its is None:
            family = mine or its
            assert family is not None, "one of them has it"
            return family
        return mine.combined(its, max if mine.is_peak else lambda one, two: one + two)

    def __add__(self, other: Figures) -> Figures:
        return self.plus(other)
