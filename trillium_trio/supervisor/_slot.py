"""A place for one worker, which is filled again when the worker ends by itself."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol, final

import trio

from .._log import SafeLogger
from ._backoff import Backoff
from ._signals import describe_status
from ._worker import Stage

if TYPE_CHECKING:
    from ._crew import Crew
    from ._worker import Worker

__all__ = ["Slot", "Watcher", "describe_failure"]

logger = SafeLogger("trillium_trio.supervisor")


class Watcher(Protocol):
    """Who decides what the crashes of a slot mean."""

    def when_crashed(self, slot: Slot, worker: Worker | None) -> None:
        """Called after each crash or failed start; None: there was no process."""


@final
class Slot:
    """Keeps one worker running.

    Args:
      number: Its number.
      crew: Starts workers.
      attending: Where they are attended.
      watcher: Told about crashes.

    Attributes:
      worker: The one that serves, or did last.
      backoff: The crashes in a row.
      spread: From 1.0 to 1.1; see `wears_out`.
      scope: Cancelled to give the slot up.
    """

    def __init__(self, number: int, crew: Crew, attending: trio.Nursery, watcher: Watcher) -> None:
        self.number = number
        self.worker: Worker | None = None
        self.backoff = Backoff()
        self.spread = 1.0
        self.scope = trio.CancelScope()
        self._crew = crew
        self._attending = attending
        self._watcher = watcher
        self._starting = trio.Lock()

    async def keep(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep a worker running, until the scope is cancelled.

        Args:
          task_status: Started when the first worker is ready.

        Cancellation:
          A worker that is starting is ended; one that serves is left.
        """
        with self.scope:
            while True:
                served: float | None = None
                async with self._starting:
                    if self.worker is None or self.worker.gone.is_set():
                        self.worker = await self._start()
                if (worker := self.worker) is not None and worker.ready_at is not None:
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
                    worker = await self._until_none()
                    served = (worker.ended_at or 0.0) - (worker.ready_at or 0.0)
                    logger.error("%s", describe_end(worker))
                pause = self.backoff.after(served)
                self._watcher.when_crashed(self, worker)
                if pause:
                    logger.info("slot %d: the next start is in %.1f s", self.number, pause)
                await trio.sleep(pause)

    async def replace(self) -> str:
        """Start a worker beside the one that serves, which drains once the new one is ready.

        Returns:
          Why there is no new one; empty if there is. Then the old one goes on.

        Cancellation:
          The new worker is ended if it is not ready; the old one is left.
        """
        async with self._starting:
            new = await self._start()
            if new is None or new.stage is not Stage.READY:
                return describe_failure(new)
            old, self.worker = self.worker, new
            if old is not None and not old.gone.is_set():
                old.end()
        return ""

    async def _start(self) -> Worker | None:
        """Start a worker and wait until it is ready or gone; None: there is no process."""
        self.spread = 1.0 + random.random() / 10  # noqa: S311 (not for secrets)
        try:
            worker = self._crew.start(self._attending, self.number)
        except OSError as error:
            logger.error("slot %d: cannot start a process: %s", self.number, error)
            return None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_after, worker.ready, nursery.cancel_scope)
                nursery.start_soon(_cancel_after, worker.gone, nursery.cancel_scope)
        except BaseException:
            worker.end()
            raise
        if worker.stage is not Stage.READY and worker.ready_at is None:
            logger.error("worker %d cannot start: %s", worker.pid, describe_failure(worker))
        return worker

    async def _until_none(self) -> Worker:
        """Wait until the current worker is gone, and no other has taken its place."""
        while True:
            worker = self.worker
            assert worker is not None, "there is one"
            await worker.gone.wait()
            async with self._starting:  # a replacement may be on its way
                if self.worker is worker:
                    return worker

    def __str__(self) -> str:
        return f"slot {self.number}"


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def describe_failure(worker: Worker | None) -> str:
    """Return why a worker has not become ready."""
    if worker is None:
        return "no process"
    return worker.reason or describe_status(worker.status or 0)


def describe_end(worker: Worker) -> str:
    """Return how a worker that served has ended."""
    how = describe_status(worker.status or 0)
    if worker.reason:
        return f"worker {worker.pid} of slot {worker.slot} was ended ({how}): {worker.reason}"
    hint = "; out of memory?" if how == "killed by SIGKILL" else ""
    return f"worker {worker.pid} of slot {worker.slot} has ended by itself ({how}{hint})"
