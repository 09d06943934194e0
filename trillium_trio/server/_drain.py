"""The drain: wait until all work has finished; at the deadline, cut what has not.

.. code-block:: text

    (0) stop            response heads now carry `Connection: close`; interrupts fire
    (1) drain_delay     listeners still accept
    (2) close           each listener's queue is emptied and the listener closed, in one step
    (3) notice          every connection is notified once: idle ones close, or get the grace
    (4) wait            until connections, background work and guards are gone
        or deadline     report, then cut, connection by connection
    (5) clean-up        services are cancelled, lifespans exit, within a time limit
    (6) end             the hold is released, completion resolves
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from .._log import SafeLogger
from ..swansong import attach_scope, drain_report, no_guards, record_cut, was_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..driver import Service
    from ..swansong import GuardReport, Swansong
    from ._notify import Notifier
    from ._tasks import Tasks

__all__ = ["Drain"]

logger = SafeLogger("trillium_trio.server")


@final
class Drain:
    """Waits for all work of one server, phases (1) and (4).

    Args:
      swansong: The server's own node.
      name: The server's name in logs.
      delay: Returns the `drain_delay`, asked at the stop.
      timeout, report_interval: See `Config`.
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
        report_interval: float,
        describe: Callable[[], str | None],
        notifier: Notifier,
        linger: float,
    ) -> None:
        self._swansong = swansong
        self._name = name
        self._delay = delay
        self._timeout = timeout
        self._report_interval = report_interval
        self._describe = describe
        self._notifier = notifier
        self._linger = linger
        self._idle = trio.Event()
        self._service: Service | None = None

    def on_idle(self) -> None:
        """Called when the last connection has ended."""
        self._idle.set()

    async def delay(self) -> None:
        """Wait for the stop, and then for the drain delay: the listeners stay open until this ends.

        Cancellation:
          Ends the wait; the drain has not begun.
        """
        await self._swansong.shutting_down()
        with attach_scope(self._swansong, counts=False):
            await trio.sleep(self._delay())

    async def wait(self, service: Service, tasks: Tasks) -> None:
        """Wait until all work has finished; at the deadline, report and cut what has not.

        Work that was cut may still be unwinding when this returns.

        Cancellation:
          Ends the wait; nothing was cut.
        """
        self._service = service
        # Cancelled by cancel(), by the deadline of shut_down(timeout), and by our own.
        with attach_scope(self._swansong, counts=False) as limit:
            if self._timeout is not None:
                limit.deadline = min(limit.deadline, trio.current_time() + self._timeout)
            await self._until_gone(service)
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
