"""All workers of a supervisor, from start to end, and the sockets that they accept from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, final

import trio

from .._log import SafeLogger
from ..exceptions import BindError, ConfigError
from ..listeners import LoadPage, SharedSockets
from ..swansong import Swansong, attach_scope, no_guards
from ._figures import Totals
from ._metrics import MetricsOfAll
from ._protocol import LineBuffer, decode
from ._worker import LATE_SECONDS, Bounds, Process, Stage, Worker, due

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._settings import SupervisorConfig

__all__ = ["Crew", "Launch"]

Launch: TypeAlias = Callable[[LoadPage, int, int], Process]
"""Starts a process, given the page that balances connections, its cell, and its slot."""

logger = SafeLogger("trillium_trio.supervisor")

# Enough to log its stacks, where it can, also on a busy machine; and then to write those of its
# threads.
_STACKS_SECONDS: Final = 1.0
_ABORT_SECONDS: Final = 1.0
# The socket files go this long before the last worker closes its sockets.
_FILES_SECONDS: Final = 0.05
# A worker that is busy answers later; Prometheus waits for ten seconds.
_METRICS_SECONDS: Final = 2.0


@final
class Crew:
    """Starts workers, listens to them, watches them, and ends them at the stop.

    Args:
      launch: Starts a process.
      config: The time limits.

    Attributes:
      swansong: Stops all. Each worker is a guard.
      sockets: What the workers accept from.
      workers: Those that are not gone.
      totals, metrics: What they have counted, also those that are gone.
      on_gone: Called with each worker that is gone.
      on_draining: Called with each worker that has begun to drain.
      on_ready: Called with each worker that has become ready.
      has_drain_delay: Whether workers accept for their `drain_delay` at the stop.
      is_sharing: Whether another supervisor has the sockets as well, and goes on with them.
    """

    def __init__(self, launch: Launch, config: SupervisorConfig) -> None:
        self.swansong = Swansong()
        self.sockets = SharedSockets()
        self.workers: set[Worker] = set()
        self.totals = Totals()
        self.metrics = MetricsOfAll()
        self.config = config
        self.generation = 0
        self.is_sharing = False
        self.has_drain_delay = True
        self.on_gone: Callable[[Worker], None] = lambda _: None
        self.on_draining: Callable[[Worker], None] = lambda _: None
        self.on_ready: Callable[[Worker], None] = lambda _: None
        self._launch = launch
        self._loads = LoadPage()
        # The listeners of the worker that was ready last: kept while none serves.
        self.specs: list[list[str | int | None]] = []
        # Held for other ends than workers, up to `close`.
        self.own_specs: list[list[str | int | None]] = []

    # -- start and end -------------------------------------------------------------------------

    def start(self, nursery: trio.Nursery, slot: int) -> Worker:
        """Start a worker; a task of the nursery attends it to its end.

        Raises:
          OSError: The process cannot be started.
        """
        cell = self._loads.take()
        try:
            process = self._launch(self._loads, cell, slot)
        except BaseException:
            self._loads.free(cell)
            raise
        worker = Worker(process, slot=slot, generation=self.generation, cell=cell)
        self.workers.add(worker)
        nursery.start_soon(self._attend, worker)
        return worker

    async def stop(self) -> None:
        """After the stop: drain all workers, and wait for their ends; cut them if told to.

        Cancellation:
          Workers are left as they are: they drain when this process is gone.
        """
        swansong = self.swansong
        delay = max((each.bounds.delay for each in self.workers), default=0.0)
        has_delay = self.has_drain_delay and delay > 0 and not self.is_sharing
        if self.is_sharing:
            self.sockets.forget_files()
        if has_delay:
            # First: the worker that closes a listener empties its queue only if it is the last.
            self.sockets.release(but=self.own_specs)
        else:
            self.sockets.close(but=self.own_specs)
        for worker in list(self.workers):
            worker.end(has_delay=has_delay)
        with attach_scope(swansong, counts=False) as scope:
            if has_delay:
                with trio.move_on_after(max(0.0, delay - _FILES_SECONDS)):
                    await no_guards(swansong)
            self.sockets.close(but=self.own_specs)
            await no_guards(swansong)
        if scope.cancelled_caught:
            self.sockets.close(but=self.own_specs)
            for worker in list(self.workers):
                if worker.stage is Stage.STARTING:
                    worker.end()
                worker.cut()
        await no_guards(swansong)

    def kill_all(self) -> None:
        """End all workers now."""
        for worker in list(self.workers):
            worker.process.kill()

    def keep_sockets(self) -> None:
        """Close the listeners that no worker and nobody else uses any more."""
        in_use = [each.specs for each in self.workers if each.specs is not None]
        self.sockets.keep([self.specs, self.own_specs, *in_use])

    def figures(self) -> dict[str, object]:
        """Return the figures of all workers together, also of those that are gone."""
        return self.totals.merged(each.figures for each in self.workers)

    async def ask(
        self, kind: str, *, seconds: float, **fields: object
    ) -> dict[Worker, Mapping[str, object] | None]:
        """Ask all workers but those that only import.

        Returns:
          The answers by worker, in the order of their slots; None: there was none in time.

        Cancellation:
          Ends the wait.
        """
        asked = [each for each in self.in_order if each.specs is not None]
        answers: dict[Worker, Mapping[str, object] | None] = dict.fromkeys(asked)

        async def ask(worker: Worker) -> None:
            answers[worker] = await worker.ask(kind, **fields)

        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for each in asked:
                    nursery.start_soon(ask, each)
        return answers

    async def ask_for_metrics(self) -> None:
        """Have `metrics` be those of now.

        Cancellation:
          Some are those of the last time.
        """
        for worker, answer in (await self.ask("metrics", seconds=_METRICS_SECONDS)).items():
            # One that has ended meanwhile has said its last ones.
            if answer is not None and worker in self.workers:
                self.metrics.hear(worker, answer.get("metrics"))

    @property
    def in_order(self) -> list[Worker]:
        """The workers that are not gone, by slot."""
        return sorted(self.workers, key=lambda each: (each.slot, each.pid))

    def close(self) -> None:
        """Give back all that is held."""
        if self.is_sharing:
            self.sockets.forget_files()
        self.sockets.close()
        self._loads.close()

    @property
    def loads(self) -> list[int]:
        """The numbers of connections of those workers that accept."""
        return self._loads.loads

    # -- one worker ----------------------------------------------------------------------------

    async def _attend(self, worker: Worker) -> None:
        process = worker.process
        with self.swansong.guard(worker):
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch, worker)
                    nursery.start_soon(self._read, worker)
                    worker.status = await process.wait()
                    # What it has said last may not have been read.
                    with trio.move_on_after(_ABORT_SECONDS):
                        await worker.silent.wait()
                    nursery.cancel_scope.cancel()
            finally:
                process.close()
            self.workers.discard(worker)
            self._loads.free(worker.cell)
            self.totals.keep(worker.figures)
            self.metrics.keep(worker)
            self.on_gone(worker)
            worker.move(Stage.GONE)
            # A predecessor still needs them, and their files.
            if self.swansong.is_running and not self.is_sharing:
                self.keep_sockets()

    async def _read(self, worker: Worker) -> None:
        lines = LineBuffer()
        while data := await worker.process.receive():
            for line in lines.feed(data):
                worker.heard_at = trio.current_time()
                await self._when_told(worker, decode(line))
        worker.hang_up()

    async def _when_told(self, worker: Worker, message: Mapping[str, object]) -> None:
        match message:
            case {"kind": "listen", "specs": list(specs)}:
                worker.specs = specs
                self.sockets.drop_restored(specs)
                try:
                    worker.process.grant(await self.sockets.open(specs))
                except (BindError, ConfigError) as error:
                    worker.process.grant(error)
            case {"kind": "ready"}:
                worker.bounds = _bounds(message)
                if worker.stage is Stage.STARTING:
                    self.specs = worker.specs or []
                    worker.move(Stage.READY)
                    self.on_ready(worker)
            case {"kind": "stats", "figures": dict(figures), **more}:
                worker.figures = figures
                unready = more.get("unready")
                worker.unready = (
                    [str(each) for each in unready] if isinstance(unready, list) else []
                )
            case {"kind": "answer", "id": int(number)}:
                worker.hear_answer(number, message)
            case {"kind": "draining"}:
                self.on_draining(worker)
            case {"kind": "drained", **more}:
                worker.drained = message
                self.metrics.hear(worker, more.get("metrics"))

    async def _watch(self, worker: Worker) -> None:
        """End a worker by force when the patience with it is over."""
        while True:
            now = trio.current_time()
            when, why = due(worker, self.config)
            if worker.stage is Stage.READY and now - worker.heard_at >= LATE_SECONDS:
                self._loads.clear(worker.cell)
            if now < when:
                until = min(when, now + LATE_SECONDS)
                with trio.CancelScope(deadline=until):
                    await worker.changed()
                worker.excuse(max(0.0, trio.current_time() - until))
                continue
            worker.reason = why
            logger.error("%s is ended: %s", worker, why)
            is_silent = worker.stage is not Stage.STARTING and "silent" in why
            if is_silent:
                worker.tell("stacks")
                await trio.sleep(_STACKS_SECONDS)
                worker.process.abort()
                await trio.sleep(_ABORT_SECONDS)
            worker.process.kill()
            return


def _bounds(message: Mapping[str, object]) -> Bounds:
    values = {
        name: float(value)
        for name in ("delay", "drain", "cleanup")
        if isinstance(value := message.get(name), int | float) and value >= 0
    }
    return Bounds(**values)
