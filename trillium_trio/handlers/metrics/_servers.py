"""What is measured of the servers: connections, guards, the drain, the event loop."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING, final

import trio

from ...swansong import drain_report
from ._families import Histogram
from ._figures import Family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...conn import ConnectionCounts, Info
    from ._figures import Labels, Values

__all__ = ["Servers"]

_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# A guard's label is the place in the code; a program has few, unless it makes its code at run time.
_MAX_SITES = 50


@final
class Servers:
    """The servers that a `Metrics` is in, and the totals of those that are over."""

    def __init__(self) -> None:
        self._running: list[Info] = []
        self._has_served = False
        self._ended: Counter[str] = Counter()
        self.lag = Histogram(
            "trillium_loop_lag_seconds",
            "How late the event loop runs a task that is due, measured once a second.",
            (),
            1,
            _LAG_SECONDS,
        )

    def add(self, info: Info) -> None:
        """Measure a server from now on."""
        self._has_served = True
        self._running.append(info)

    def remove(self, info: Info) -> None:
        """Keep the totals of a server that is over."""
        self._running.remove(info)
        self._ended.update(_totals(info.connections))

    async def measure_lag(self) -> None:
        """Measure the event loop.

        Cancellation:
          Ends it.
        """
        while True:
            due = trio.current_time() + 1
            await trio.sleep_until(due)
            self.lag.observe(trio.current_time() - due)

    def collect(self) -> Iterator[tuple[str, Family]]:
        """Yield the metrics of now by name."""
        running = list(self._running)
        counts = [info.connections for info in running]
        states = Counter[str]()
        events = Counter(self._ended)
        queued = [each.queued for each in counts if each.queued is not None]
        for each in counts:
            states.update(idle=each.idle, busy=each.busy, closing=each.closing)
            events.update(_totals(each))
        yield "trillium_connections", _by("state", states, "gauge", "Open connections.")
        yield (
            "trillium_connection_events",
            _by("event", events, "counter", "Connections accepted, refused 503, and evicted idle."),
        )
        if queued:
            help_ = "Connections that wait to be accepted, in the queues of TCP listeners."
            yield "trillium_accept_queue", _one(sum(queued), help_)
        sites = Counter[str]()
        for info in running:
            for entry in info.swansong.guard_report():
                path, _, line = entry.site.rpartition(":")
                place = "/".join(PurePath(path).parts[-2:])
                sites[f"{place}:{line}"] += entry.count
        yield (
            "trillium_guards",
            _by("site", dict(sites.most_common(_MAX_SITES)), "gauge", "Outstanding guards."),
        )
        stopped = [info.swansong for info in running if not info.swansong.is_running]
        state = 1 if stopped else 2 if self._has_served and not running else 0
        help_ = "0: running, 1: a server is draining, 2: all are over."
        yield "trillium_drain_state", _one(state, help_, is_peak=True)
        seconds = max((drain_report(each).duration for each in stopped), default=0.0)
        help_ = "How long the drain in progress has lasted."
        yield "trillium_drain_seconds", _one(seconds, help_, is_peak=True)
        yield self.lag.name, self.lag.collect()


def _totals(counts: ConnectionCounts) -> dict[str, int]:
    return {"accepted": counts.accepted, "refused": counts.refused, "evicted": counts.evicted}


def _one(value: float, help_: str, *, is_peak: bool = False) -> Family:
    return Family(kind="gauge", help=help_, is_peak=is_peak, series={(): (value,)})


def _by(label: str, values: dict[str, int], kind: str, help_: str) -> Family:
    series: dict[Labels, Values] = {((label, name),): (number,) for name, number in values.items()}
    return Family(kind="counter" if kind == "counter" else "gauge", help=help_, series=series)
