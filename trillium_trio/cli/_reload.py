"""``--reload``: new code starts beside the old, which drains when the new code is ready.

.. code-block:: text

    supervisor: no code of the application, never accepts
     |- signals       the ladder: drain the workers, cut them, end
     |- watch         files that changed
     |- steps         one worker starts at a time
     |- SharedSockets the listening sockets, bound once and kept open
     `- per worker    a process with the same command line, and the reader of its control socket

    starting --ready--> current --next one is ready--> draining --> gone
        |                  `--- ends by itself ------------------>  gone: wait for a change
        |- cannot start ---------------------------------------->  gone: the current one goes on
        `- a change comes: killed, or drained if its `init` may have begun

Two workers accept from one socket between "ready" and the drain of the old one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import socket
import subprocess
import sys
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, final

import trio

from .._log import SafeLogger
from ..exceptions import BindError, ConfigError
from ..listeners import SharedSockets, send_grant, send_refusal
from ..server import SignalLadder, terminal_signals_blocked
from ..swansong import Swansong, attach_scope, no_guards
from ._environment import worker_environment
from ._load import CannotStart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._watch import Watch

__all__ = ["supervise"]

logger = SafeLogger("trillium_trio.cli")

_CHUNK = 65_536
_USAGE = 2


def supervise(watch: Watch, on_ready: Callable[[], object]) -> int:
    """Run the command line of this process in workers, until a signal; return the exit status.

    Args:
      watch: What is watched.
      on_ready: Called when the first worker is ready; it may raise `CannotStart`.

    Raises:
      CannotStart: The folders cannot be watched.
    """
    supervisor = Supervisor(watch, on_ready)
    is_over = False
    ladder = SignalLadder(supervisor.swansong, lambda: is_over, supervisor.describe)

    async def run() -> None:
        ladder.attach()
        await supervisor.run()

    with ladder:
        try:
            trio.run(run)
        finally:
            is_over = True
    if supervisor.failure is not None:
        raise supervisor.failure
    return supervisor.status


class Stage(Enum):
    """Where a worker is in its life."""

    STARTING = auto()
    CURRENT = auto()
    DRAINING = auto()


@final
class Worker:
    """A process that serves the application.

    Attributes:
      stage: Where it is in its life.
      specs: Its listeners. None: it has not asked for them, so that no `init` has begun.
    """

    def __init__(self) -> None:
        self.stage = Stage.STARTING
        self.specs: list[list[str | int | None]] | None = None
        self.sock, theirs = socket.socketpair()
        self.sock.setblocking(False)
        with theirs, terminal_signals_blocked():
            self._process = subprocess.Popen(  # noqa: S603 (the command line of this process)
                [sys.executable, *sys.orig_argv[1:]],
                env=worker_environment(theirs.fileno()),
                pass_fds=[theirs.fileno()],
            )

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def tell(self, kind: str) -> None:
        """Send a message. A worker that is gone is not an error."""
        with contextlib.suppress(OSError):
            self.sock.send(json.dumps({"kind": kind}).encode() + b"\n")

    def end(self) -> None:
        """Drain it; or kill it while it only imports: there is nothing to drain or clean up."""
        if self.stage is Stage.STARTING and self.specs is None:
            self._process.kill()
        else:
            self.stage = Stage.DRAINING
            self.tell("drain")

    async def wait(self) -> int:
        """Wait for its end, and return the exit status; negative: the number of a signal.

        Cancellation:
          Ends the wait.
        """
        # A thread for each: there may be more than trio would run at once.
        return await trio.to_thread.run_sync(
            self._process.wait, abandon_on_cancel=True, limiter=trio.CapacityLimiter(math.inf)
        )

    def __str__(self) -> str:
        return f"the {self.stage.name.lower()} worker {self.pid}"


@final
class Supervisor:
    """Starts a worker for each change, and drains its predecessor.

    Attributes:
      swansong: Stops it. Each worker is a guard.
      status: The exit status: that of the worker which served last.
      failure: Why it ended, or None.
    """

    def __init__(self, watch: Watch, on_ready: Callable[[], object]) -> None:
        self.swansong = Swansong()
        self.status = 0
        self.failure: CannotStart | None = None
        self._watch = watch
        self._on_ready = on_ready
        self._sockets = SharedSockets()
        self._workers: set[Worker] = set()
        self._current: Worker | None = None
        # The listeners of the worker that was ready last: kept while none serves.
        self._specs: list[list[str | int | None]] = []
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
                await self.swansong.shutting_down()
                self._watch.stop()
                stepping.cancel_scope.cancel()
            # First: the worker that closes a listener empties its queue only if it is the last.
            self._sockets.close()
            for worker in self._workers:
                worker.end()
            with attach_scope(self.swansong, counts=False) as scope:
                await no_guards(self.swansong)
            if scope.cancelled_caught:
                for worker in self._workers:
                    worker.tell("cut")

    def describe(self) -> str:
        """Say where to ask for what is in progress."""
        pids = ", ".join(str(worker.pid) for worker in self._workers)
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
        return next((each for each in self._workers if each.stage is Stage.STARTING), None)

    def _start(self, attending: trio.Nursery) -> None:
        try:
            worker = Worker()
        except OSError as error:
            logger.error("reload: cannot start a process: %s", error)
            return
        self._workers.add(worker)
        attending.start_soon(self._attend, worker)

    # -- one worker ----------------------------------------------------------------------------

    async def _attend(self, worker: Worker) -> None:
        """Run a worker from its start to its end."""
        with self.swansong.guard(worker), worker.sock:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, worker)
                status = await worker.wait()
                nursery.cancel_scope.cancel()
            self._workers.discard(worker)
            self._when_gone(worker, status)
            self._news.set()

    async def _read(self, worker: Worker) -> None:
        buffer = b""
        while True:
            await trio.lowlevel.wait_readable(worker.sock)
            try:
                data = worker.sock.recv(_CHUNK)
            except ConnectionError:
                data = b""
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                await self._when_told(worker, json.loads(line))

    async def _when_told(self, worker: Worker, message: Mapping[str, object]) -> None:
        match message:
            case {"kind": "listen", "specs": list(specs)}:
                worker.specs = specs
                with contextlib.suppress(ConnectionError):
                    try:
                        send_grant(worker.sock, await self._sockets.open(specs))
                    except (BindError, ConfigError) as error:
                        send_refusal(worker.sock, error)
            case {"kind": "ready"} if worker.stage is Stage.STARTING:
                self._when_ready(worker)

    def _when_ready(self, worker: Worker) -> None:
        # Before the line, which scripts wait for.
        if not self._has_been_ready:
            self._has_been_ready = True
            try:
                self._on_ready()
            except CannotStart as error:
                self._fail(error)
        logger.info("reload: the code is ready (worker %d)", worker.pid)
        worker.stage = Stage.CURRENT
        self._specs = worker.specs or []
        old, self._current = self._current, worker
        if old is not None:
            logger.info("reload: the old code is draining (worker %d)", old.pid)
            old.end()

    def _when_gone(self, worker: Worker, status: int) -> None:
        """Log the end of a worker, and close the sockets that it alone has used."""
        how = f"exit status {status}" if status >= 0 else f"killed by signal {-status}"
        is_stopping = not self.swansong.is_running
        if worker is self._current or worker.stage is Stage.STARTING:
            self.status = status if status >= 0 else 1
        if worker.stage is Stage.DRAINING:
            logger.info("reload: drained (worker %d, %s)", worker.pid, how)
        elif worker is self._current:
            logger.error(
                "reload: worker %d has ended by itself (%s): waiting for a change", worker.pid, how
            )
        elif self._changed or is_stopping:
            logger.info("reload: gave up a start (worker %d)", worker.pid)
        elif status == _USAGE and not self._has_been_ready:
            self.swansong.shut_down()
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
        if not is_stopping:
            in_use = [each.specs for each in self._workers if each.specs is not None]
            self._sockets.keep([self._specs, *in_use])

    def _fail(self, error: CannotStart) -> None:
        self.failure = error
        self.swansong.shut_down()


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
