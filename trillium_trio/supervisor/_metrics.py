"""The metrics of all workers together: what each has measured, and those that are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from .._log import SafeLogger
from ..handlers import Family, Figures
from ._worker import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._worker import Worker

__all__ = ["MetricsOfAll", "families_of"]

logger = SafeLogger("trillium_trio.supervisor")


@final
class MetricsOfAll:
    """Adds up the `Figures` of workers. No total ever falls."""

    def __init__(self) -> None:
        self._ended = Figures()
        self._last: dict[Worker, Figures] = {}

    def hear(self, worker: Worker, value: object) -> None:
        """Take what a worker has measured since its start; None: it has no `Metrics`."""
        if (figures := _figures_in(value)) is not None:
            self._last[worker] = figures

    def keep(self, worker: Worker) -> None:
        """Keep the totals of a worker that is gone."""
        if (last := self._last.pop(worker, None)) is not None:
            self._ended = self._ended.plus(last.totals())

    def take_over(self, value: object) -> None:
        """Count what a previous supervisor has counted."""
        if (figures := _figures_in(value)) is not None:
            self._ended = self._ended.plus(figures.totals())

    def now(self) -> Figures:
        """Return the sums, of what is known."""
        return sum(self._last.values(), start=self._ended)


def _figures_in(value: object) -> Figures | None:
    if not isinstance(value, dict):
        return None
    try:
        return Figures.from_json(value)
    except ValueError as error:
        logger.warning("figures of another process: %s", error)
        return None


def families_of(workers: Iterable[Worker], restarts: float) -> Figures:
    """Return what is known of the workers themselves, whatever the application measures.

    Args:
      workers: Those that are not gone.
      restarts: How many were started in place of one that had ended by itself.
    """
    serving = [each for each in workers if each.ready.is_set()]

    def by_worker(help_: str, value: Callable[[Worker], float]) -> Family:
        series: dict[tuple[tuple[str, str], ...], tuple[float, ...]] = {
            (("worker", str(each.slot)), ("pid", str(each.pid))): (value(each),) for each in serving
        }
        return Family(kind="gauge", help=help_, series=series)

    return Figures(
        {
            "trillium_worker_up": by_worker(
                "1: the worker accepts, 0: it drains.", lambda each: int(each.stage is Stage.READY)
            ),
            "trillium_worker_connections": by_worker(
                "Open connections.", lambda each: each.figure("now", "connections")
            ),
            "trillium_worker_resident_memory_bytes": by_worker(
                "Memory that the process occupies.",
                lambda each: each.figure("now", "rss"),
            ),
            "trillium_worker_silent_seconds": by_worker(
                "Since it has last said something; it does so once a second.",
                lambda each: each.silent_for,
            ),
            "trillium_worker_restarts": Family(
                kind="counter",
                help="Workers started in place of one that had ended by itself.",
                series={(): (restarts,)},
            ),
        }
    )
