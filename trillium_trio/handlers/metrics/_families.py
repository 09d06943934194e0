"""What is counted: counters, gauges and histograms, each by the values of its labels."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_left
from math import nan
from threading import RLock
from typing import TYPE_CHECKING, final

from ..._log import SafeLogger
from ...exceptions import ConfigError
from ._figures import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._figures import Labels, Values

__all__ = ["OVERFLOW", "Counter", "Gauge", "Histogram", "Instrument"]

logger = SafeLogger("trillium_trio.handlers")

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# A suffix of these would be taken for a part of another metric.
_TAKEN = ("_total", "_bucket", "_count", "_sum", "_created", "_info")
# The labels of what came after the limit of series was reached, as in OpenTelemetry.
OVERFLOW: Labels = (("otel_metric_overflow", "true"),)
# The key of that series: no values of labels.
_OVERFLOW = ("", *OVERFLOW)


class Instrument(ABC):
    """The base of all three: a name, labels, and a bounded number of series.

    Args:
      name: Of the metric.
      help: One line for people.
      labels: The names of its labels.
      max_series: How many combinations of their values are told apart; the others share one.

    Raises:
      ConfigError: A name is none that Prometheus knows.
    """

    __slots__ = ("_lock", "_max_series", "_series", "help", "labels", "name")

    def __init__(self, name: str, help: str, labels: Iterable[str], max_series: int) -> None:  # noqa: A002 (as in Prometheus)
        self.name: str = name
        self.help: str = help
        self.labels: tuple[str, ...] = tuple(labels)
        for each in (name, *self.labels):
            if not _NAME.fullmatch(each) or each.startswith("__") or each == "le":
                raise ConfigError(f"{each!r} is no name of a metric or label: letters, digits, _")
        if name.endswith(_TAKEN):
            raise ConfigError(f"the metric {name!r}: leave out the end; _total is added")
        self._max_series = max_series
        # Figures are asked for, and servers run, in several threads. Re-entrant, because a
        # finalizer may count.
        self._lock = RLock()
        # By the values of the labels.
        self._series: dict[tuple[object, ...], list[float]] = {}

    @abstractmethod
    def collect(self) -> Family:
        """Return the values of now."""

    def _row(self, values: dict[str, object], size: int) -> list[float]:
        """Return the numbers of these labels. Call it with the lock held.

        Raises:
          TypeError: These are not the metric's labels.
        """
        try:
            key: tuple[object, ...] = tuple([str(values[name]) for name in self.labels])
        except KeyError:
            key = ()
        if len(key) != len(values) or len(key) != len(self.labels):
            raise TypeError(f"{self.name} has the labels {self.labels}, not {tuple(values)}")
        row = self._series.get(key)
        if row is None:
            # Without labels there is one series.
            if len(self._series) >= self._max_series and key:
                key = _OVERFLOW
            row = self._series.setdefault(key, [0] * size)
        return row

    def _copy(self) -> dict[Labels, Values]:
        with self._lock:
            rows = [(key, tuple(row)) for key, row in self._series.items()]
        return {
            OVERFLOW
            if key is _OVERFLOW
            else tuple(zip(self.labels, map(str, key), strict=True)): row
            for key, row in rows
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}, {len(self._series)} series>"


@final
class Counter(Instrument):
    """A number that only grows: ``orders.add(1, kind="book")``. From `Metrics.counter`."""

    __slots__ = ()

    def add(self, amount: float = 1, **labels: object) -> None:
        """Add to it.

        Raises:
          ValueError: The amount is negative.
          TypeError: These are not its labels.
        """
        if not amount >= 0:
            raise ValueError(f"{self.name} only grows: {amount!r}")
        with self._lock:
            self._row(labels, 1)[0] += amount

    def collect(self) -> Family:
        """Return the values of now."""
        return Family(kind="counter", help=self.help, series=self._copy())


@final
class Gauge(Instrument):
    """A number that rises and falls: ``waiting.set(3)``. From `Metrics.gauge`."""

    __slots__ = ("_ask",)

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002 (as in Prometheus)
        labels: Iterable[str],
        max_series: int,
        ask: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(name, help, labels, max_series)
        self._ask = ask

    def set(self, value: float, **labels: object) -> None:
        """Set it.

        Raises:
          TypeError: These are not its labels.
        """
        with self._lock:
            self._row(labels, 1)[0] = value

    def collect(self) -> Family:
        """Return the values of now, of its function if it has one; not a number if that raises."""
        if self._ask is not None:
            try:
                value = self._ask()
            except Exception as error:  # one metric must not take all others with it
                logger.error("the gauge %s cannot be read", self.name, exc_info=error)
                value = nan
            self.set(value)
        return Family(kind="gauge", help=self.help, series=self._copy())


@final
class Histogram(Instrument):
    """How values are distributed: ``sizes.observe(12)``. From `Metrics.histogram`.

    Raises:
      ConfigError: The bounds do not rise.
    """

    __slots__ = ("bounds",)

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002 (as in Prometheus)
        labels: Iterable[str],
        max_series: int,
        bounds: Iterable[float],
    ) -> None:
        super().__init__(name, help, labels, max_series)
        self.bounds: tuple[float, ...] = tuple(float(each) for each in bounds)
        if not self.bounds or list(self.bounds) != sorted(set(self.bounds)):
            raise ConfigError(f"{name}: the bounds of its buckets must rise: {self.bounds}")

    def observe(self, value: float, **labels: object) -> None:
        """Count a value.

        Raises:
          TypeError: These are not its labels.
        """
        with self._lock:
            row = self._row(labels, len(self.bounds) + 2)
            row[bisect_left(self.bounds, value)] += 1
            row[-1] += value

    def collect(self) -> Family:
        """Return the values of now."""
        return Family(kind="histogram", help=self.help, bounds=self.bounds, series=self._copy())
