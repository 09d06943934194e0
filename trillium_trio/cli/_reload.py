"""``--reload``: new code starts beside the old, which drains when the new code is ready.

.. code-block:: text

    reload: no code of the application, never accepts
     |- signals       the ladder: drain the workers, cut them, end
     |- watch         files that changed
     |- steps         one worker starts at a time
     `- Crew          the workers, and the sockets that they accept from

    starting --ready--> current --next one is ready--> draining --> gone
        |                  `--- ends by itself ------------------>  gone: wait for a change
        |- cannot start ---------------------------------------->  gone: the current one goes on
        `- a change comes: killed, or drained if its `init` may have begun

Two workers accept from one socket between "ready" and the drain of the old one. `Supervisor` is for
production, and starts a worker again that has ended; here that waits for a change.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, final

import trio

from .._log import SafeLogger
from ..server import SignalLadder
from ..supervisor import Crew, Stage, SupervisorConfig, describe_status
from ._load import CannotStart

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..supervisor import Launch, Worker
    from ._watch import Watch

__all__ = ["reload"]

logger = SafeLogger("trillium_trio.cli")

_USAGE = 2


def reload(watch: Watch, launch: Launch, on_ready: Callable[[], object]) -> int:
    """Run the command line of this process in workers, until a signal; return the exit status.

    Args:
      watch: What is watched.
      launch: Starts a worker.
      on_ready: Called when the first worker is ready; it may raise `CannotStart`.

    Raises:
      CannotStart: The folders cannot be watched.
    """
    reloader = Reloader(watch, launch, on_ready)
    crew = reloader.crew
    is_over = False
    ladder = SignalLadder(crew.swansong, lambda: is_over, reloader.describe, crew.kill_all)

    async def run() -> None:
        ladder.attach()
        await reloader.run()

    with ladder:
        try:
            trio.run(run)
        finally:
            is_over = True
    if reloader.failure is not None:
        raise reloader.failure
    return reloader.status


@final
class Reloader:
    """Starts a worker for each change, and drains its predecessor.

    Attributes:
      crew: The workers.
      status: The exit status: that of the worker which served last.
      failure: Why it ended, or None.
    """

    def __init__(self, watch: Watch, launch: Launch, on_ready: Callable[[], object]) -> None:
        # Code that is written may wait in a debugger.
        self.crew = Crew(launch, SupervisorConfig(start_timeout=inf, worker_timeout=0))
        self.crew.has_drain_delay = False
        self.crew.on_ready = self._when_ready
        self.crew.on_gone = self._when_gone
        self.status = 0
        self.failure: CannotStart | None = None
        self._watch = watch
        self._on_ready = on_ready
        self._current: Worker | None = None
        self._changed: set[Path] = set()
        self._is_first_start = True
        self._has_been_ready = False
        self._news = trio.Event()

    async def run(self) -> None:
        """Run until the stop, and until each worker is gone."""
        async with trio.open_nursery() as attending:
            async with trio.open_nursery() as stepping:
                stepping.start_soon(self._watch_files)
                # The task above runs up to its first wait, in which it watches, before the first
                # worker reads a file.
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
                stepping.start_soon(self._step, attending)
                await self.crew.swansong.shutting_down()
                self._watch.stop()
                stepping.cancel_scope.cancel()
            await self.crew.stop()

    def describe(self) -> str:
        """Say where to ask for what is in progress."""
        pids = ", ".join(str(worker.pid) for worker in self.crew.workers)
        return f"SIGUSR1 to a worker logs what is in progress there: {pids or 'there is none'}"

    # -- from a change to the next worker ------------------------------------------------------

    async def _watch_files(self) -> None:
        try:
            async for paths in self._watch.changes():
                self._changed |= paths
                self._news.set()
        except (OSError, RuntimeError) as error:
            self._fail(CannotStart(f"--reload: cannot watch {self._watch}: {error}"))

    async def _step(self, attending: trio.Nursery) -> None:
        while True:
            starting = self._starting
            if self._is_first_start:
                self._is_first_start = False
                logger.info("reload: watching %s", self._watch)
                self._start(attending)
            elif self._changed and starting is not None:
                # Its code is old, and its start may take for ever.
                starting.end()
            elif self._changed:
                logger.info("reload: %s changed: starting the new code", _names(self._changed))
                _remove_bytecode(self._changed)
                self._changed.clear()
                self._start(attending)
            # A start that was killed is awaited: there is one at a time.
            if not (self._changed and self._starting is None):
                await self._news.wait()
                self._news = trio.Event()

    @property
    def _starting(self) -> Worker | None:
        return next((each for each in self.crew.workers if each.stage is Stage.STARTING), None)

    def _start(self, attending: trio.Nursery) -> None:
        try:
            self.crew.start(attending, 0)
        except OSError as error:
            logger.error("reload: cannot start a process: %s", error)

    def _when_ready(self, worker: Worker) -> None:
        # Before the line, which scripts wait for.
        if not self._has_been_ready:
            self._has_been_ready = True
            try:
                self._on_ready()
            except CannotStart as error:
                self._fail(error)
        logger.info("reload: the code is ready (worker %d)", worker.pid)
        old, self._current = self._current, worker
        if old is not None:
            logger.info("reload: the old code is draining (worker %d)", old.pid)
            old.end()

    def _when_gone(self, worker: Worker) -> None:
        """Log the end of a worker."""
        status = worker.status or 0
        how = describe_status(status)
        self._news.set()
        if worker is self._current or worker.stage is Stage.STARTING:
            self.status = status if status >= 0 else 1
        if worker.stage is Stage.DRAINING:
            logger.info("reload: drained (worker %d, %s)", worker.pid, how)
        elif worker is self._current:
            logger.error(
                "reload: worker %d has ended by itself (%s): waiting for a change", worker.pid, how
            )
        elif self._changed or not self.crew.swansong.is_running:
            logger.info("reload: gave up a start (worker %d)", worker.pid)
        elif status == _USAGE and not self._has_been_ready:
            self.crew.swansong.shut_down()
        else:
            current = self._current
            rest = "" if current is None else f"worker {current.pid} goes on; "
            logger.error(
                "reload: the code cannot start (worker %d, %s): %swaiting for a change",
                worker.pid,
                how,
                rest,
            )
        if worker is self._current:
            self._current = None

    def _fail(self, error: CannotStart) -> None:
        self.failure = error
        self.crew.swansong.shut_down()


def _names(paths: set[Path]) -> str:
    """Name the first file, as seen from here, and count the others."""
    first = min(paths)
    with contextlib.suppress(ValueError):
        first = first.relative_to(Path.cwd())
    rest = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{first}{rest}"


def _remove_bytecode(paths: set[Path]) -> None:
    """Remove what Python has compiled of changed files.

    It is taken for current if size and second of the change are the same: two saves in one second
    can be.
    """
    for path in paths:
        with contextlib.suppress(OSError, NotImplementedError):
            os.unlink(importlib.util.cache_from_source(path))
