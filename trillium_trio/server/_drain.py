"""The drain: wait until all work has finished; at the deadline, cut what has not.

.. code-block:: text

    (0) stop            response heads now carry `Connection: close`; interrupts fire
    (1) drain_delay     listeners still accept
    (2) close           each listener's queue is emptied and the listener closed, in one step
    (3) notice          every connection is notified once, within drain_spread: idle ones close, or
                        get the grace
    (4) wait            until connections, background work and guards are gone
        or deadline     report, then cut, connection by connection
    (5) clean-up        services are cancelled, lifespans exit, within a time limit
    (6) end             the hold is released, completion resolves
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import inf, isinf
from typing import TYPE_CHECKING, Literal, final

import trio

from .._log import SafeLogger
from ..swansong import attach_scope, drain_report, no_guards, record_cut, was_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..driver import Service
    from ..swansong import DrainReport, GuardReport, Swansong
    from ._notify import Notifier
    from ._tasks import Tasks

__all__ = ["Drain", "DrainProgress"]

logger = SafeLogger("trillium_trio.server")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DrainProgress:
    """How far the drain of a server is.

    Attributes:
      phase: What the server does.
      remaining: Seconds until what is left is cut; None: it is waited for as long as it takes, or
        that is over.
      waits_for: What it waits for that is neither a request nor another guard, such as a lifespan.
      report: What has finished and what was cut so far.
    """

    phase: Literal["still accepting", "waiting", "cleaning up", "over"]
    remaining: float | None
    waits_for: str | None
    report: DrainReport


@final
class Drain:
    """Waits for all work of one server, phases (1) and (4).

    Args:
      swansong: The server's own node.
      name: The server's name in logs.
      delay: Returns the `drain_delay`, asked at the stop.
      timeout, spread, report_interval: See `Config`.
      describe: Names what the drain waits for when no connection and no guard is left.
      notifier: Notified of the stop and of the drain's progress.
      linger: Seconds beyond the deadline for a connection that only has to close.
    """

    def __init__(
        self,
        swansong: Swansong,
        *,
        name: str,
        delay: Callable[[], float],
        timeout: float | None,
        spread: float,
        report_interval: float,
        describe: Callable[[], str | None],
        notifier: Notifier,
        linger: float,
    ) -> None:
        self._swansong = swansong
        self._name = name
        self._delay = delay
        self._timeout = timeout
        self._spread = spread
        self._report_interval = report_interval
        self._describe = describe
        self._notifier = notifier
        self._linger = linger
        self._idle = trio.Event()
        self._service: Service | None = None
        self._phase: Literal["still accepting", "waiting", "cleaning up"] = "still accepting"
        # The cancel scope of the phase, and our own deadline, by the clock.
        self._limit: trio.CancelScope | None = None
        self._deadline = inf
        self._now = trio.lowlevel.current_clock().current_time

    @property
    def progress(self) -> DrainProgress:
        """How far it is. Callable from any thread."""
        deadline = self._deadline if self._limit is None else self._limit.deadline
        deadline = min(deadline, self._deadline)
        remaining = None if isinf(deadline) else max(0.0, deadline - self._now())
        return DrainProgress(
            phase=self._phase,
            remaining=None if self._phase == "cleaning up" else remaining,
            waits_for=self._describe(),
            report=drain_report(self._swansong),
        )

    def on_idle(self) -> None:
        """Called when the last connection has ended."""
        self._idle.set()

    async def delay(self) -> None:
        """Wait for the stop, and then for the drain delay: the listeners stay open until this ends.

        Cancellation:
          Ends the wait; the drain has not begun.
        """
        await self._swansong.shutting_down()
        delay = self._delay()
        if self._timeout is not None:
            self._deadline = trio.current_time() + delay + self._timeout
        with attach_scope(self._swansong, counts=False) as self._limit:
            await trio.sleep(delay)

    async def wait(self, service: Service, tasks: Tasks) -> None:
        """Wait until all work has finished; at the deadline, report and cut what has not.

        Work that was cut may still be unwinding when this returns.

        Cancellation:
          Ends the wait; nothing was cut.
        """
        self._service = service
        self._phase = "waiting"
        # Cancelled by cancel(), by the deadline of shut_down(timeout), and by our own.
        with attach_scope(self._swansong, counts=False) as limit:
            self._limit = limit
            if self._timeout is not None:
                self._deadline = trio.current_time() + self._timeout
                limit.deadline = min(limit.deadline, self._deadline)
            if self._spread > 0:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._notify, service)
                    await self._until_gone(service)
                    nursery.cancel_scope.cancel()
            else:
                service.notify()
                await self._until_gone(service)
        self._phase = "cleaning up"
        if limit.cancelled_caught:
            self._cut(service, tasks)

    async def report_progress(self) -> None:
        """After the stop, log every `report_interval` what the drain waits for.

        Ask the service manager for more time as long as requests keep finishing.

        Cancellation:
          Ends the reports.
        """
        await self._swansong.shutting_down()
        self._notifier.stopping()
        finished = 0
        while True:
            await trio.sleep(self._report_interval)
            report = self._swansong.guard_report(stacks=True)
            if not report.is_empty:
                status = _summary(report)
                logger.warning("%s is draining: %s", self._name, status)
            elif self._service is not None and self._service.connections:
                status = f"{len(self._service.connections)} connections are closing"
                logger.info("%s is draining: %s", self._name, status)
            elif (what := self._describe()) is not None:
                status = f"waiting for {what}"
                logger.warning("%s is draining: %s", self._name, status)
            else:
                continue
            before, finished = finished, drain_report(self._swansong).finished
            # Twice the interval, so that the next report comes in time.
            extend_by = 2 * self._report_interval if finished > before else None
            self._notifier.draining(f"draining: {status}", extend_by=extend_by)

    async def _notify(self, service: Service) -> None:
        """Notify the connections one after the other, in random order."""
        connections = list(service.connections)
        random.shuffle(connections)
        for connection in connections:
            await trio.sleep(self._spread / len(connections))
            # It may have ended meanwhile.
            if connection in service.connections:
                connection.notice()

    async def _until_gone(self, service: Service) -> None:
        while True:
            while service.connections:
                self._idle = trio.Event()
                await self._idle.wait()
            # Background work and the application's guards may outlast the connections.
            await no_guards(self._swansong)
            if not service.connections:
                break

    def _cut(self, service: Service, tasks: Tasks) -> None:
        reason = "cancelled" if was_cancelled(self._swansong) else "the drain's deadline has passed"
        report = self._swansong.guard_report(stacks=True)
        if not report.is_empty:
            logger.warning("%s: %s: cutting %s", self._name, reason, report)
            if not was_cancelled(self._swansong):  # cancel() has recorded what it found
                record_cut(self._swansong, report, reason=reason)
        for connection in list(service.connections):
            connection.cut(reason, linger=self._linger)
        tasks.cut(reason)

    def __repr__(self) -> str:
        return f"<Drain of {self._name}>"


def _summary(report: GuardReport) -> str:
    """Return one line: the number of guards, and the oldest with its label, age and await point."""
    oldest = report.entries[0]
    label = oldest.labels[0] if oldest.labels else oldest.site
    where = f" at {oldest.where}" if oldest.where else ""
    count = report.guard_count
    return f"{count} left, the oldest is {label}, {oldest.oldest_age:.1f} s old{where}"
