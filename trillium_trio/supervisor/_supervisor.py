"""The supervisor: slots, commands, limits, the stop."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Final, final

import trio

from .._log import SafeLogger
from ._agenda import Agenda, Renew, Roll, Scale, Upgrade
from ._crew import Crew
from ._settings import parse_roll
from ._signals import describe_status
from ._slot import Slot
from ._worker import Stage, wears_out

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._agenda import Command, Ticket
    from ._crew import Launch
    from ._settings import SupervisorConfig
    from ._worker import Worker

__all__ = ["Supervisor"]

logger = SafeLogger("trillium_trio.supervisor")

_TICK_SECONDS: Final = 1.0
_REPORT_SECONDS: Final = 2.0
_CANNOT_START: Final = 3
_MAX_ENDED: Final = 10


@final
class Supervisor:
    """Keeps workers running, and replaces them without a gap.

    .. code-block:: text

        run
        |- slots        start, wait until ready, wait for the end, back off
        |- commands     one at a time: roll, renew, scale, upgrade
        |- limits       workers that are worn out
        `- attending    per worker: its end, its messages, its time limits

    Args:
      launch: Starts the process of a worker.
      config: The settings.
      is_final: Whether any failure before all workers are ready ends it: a predecessor waits.
      upgrade: Hands over to a new supervisor; returns why it could not. None: it cannot.

    Attributes:
      crew: The workers.
      swansong: Stops all.
      agenda: What it has been told to do.
      ended: The workers that have gone last, and when; seconds of `time.time`.
      drained: Those that have gone since the stop.
      status: The exit status.
      ready: When the first worker is ready; if `is_final`, when all are.
      on_ready: Called then.
      on_roll: Called when a roll begins (True) and when it is over (False).
    """

    def __init__(
        self,
        launch: Launch,
        config: SupervisorConfig,
        *,
        is_final: bool = False,
        upgrade: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self.crew = Crew(launch, config)
        self.swansong = self.crew.swansong
        self.config = config
        self.agenda = Agenda(config.workers)
        self.slots: list[Slot] = []
        self.ended: deque[tuple[float, Worker]] = deque(maxlen=_MAX_ENDED)
        self.drained: list[Worker] = []
        self.status = 0
        self.ready = trio.Event()
        self.on_ready: Callable[[], None] = lambda: None
        self.on_roll: Callable[[bool], None] = lambda _: None
        self._is_final = is_final
        self._upgrade = upgrade
        self._slots_nursery: trio.Nursery | None = None
        self._attending: trio.Nursery | None = None
        self.crew.on_ready = self._when_ready
        self.crew.on_gone = self._when_gone
        self.crew.on_draining = self._when_draining

    async def run(self) -> None:
        """Run until the stop, and until each worker is gone.

        Cancellation:
          Workers drain by themselves once this process is gone.
        """
        async with trio.open_nursery() as self._attending:
            async with trio.open_nursery() as self._slots_nursery:
                for _ in range(self.agenda.workers):
                    self._slots_nursery.start_soon(self._add_slot().keep)
                self._slots_nursery.start_soon(self._obey)
                if self.config.has_limits:
                    self._slots_nursery.start_soon(self._limit)
                await self.swansong.shutting_down()
                self._slots_nursery.cancel_scope.cancel()
            self.agenda.give_up("the supervisor stops")
            await self.crew.stop()

    def begin_with(self, workers: int | None) -> None:
        """Start with this many workers, as a predecessor has; None: as the settings say."""
        if workers is not None:
            self.agenda.workers = workers

    @property
    def serving(self) -> list[Worker]:
        """The workers that are ready."""
        return [each for each in self.crew.workers if each.stage is Stage.READY]

    @property
    def restarts(self) -> int:
        """How often a worker was started in place of one that had ended by itself."""
        return self.crew.totals.of_the_dead("restarts")

    def state(self) -> dict[str, object]:
        """Return what there is to know, as JSON can carry it."""
        now = trio.current_time()
        return {
            "version": 1,
            "pid": os.getpid(),
            "state": "running" if self.swansong.is_running else "draining",
            "doing": None if self.agenda.current is None else str(self.agenda.current.command),
            "wanted": self.agenda.workers,
            "generation": self.crew.generation,
            "figures": self.crew.figures(),
            "restarts": self.restarts,
            "workers": [
                {
                    "slot": each.slot,
                    "pid": each.pid,
                    "stage": each.stage.value,
                    "generation": each.generation,
                    "age": round(now - each.started_at, 1),
                    "silent": round(now - each.heard_at, 1),
                    "figures": each.figures,
                }
                for each in self.crew.in_order
            ],
        }

    async def report(self) -> str:
        """Ask all workers what they have in progress, and return their answers.

        Cancellation:
          Ends the wait.
        """
        answers = await self.crew.ask("report", seconds=_REPORT_SECONDS)
        lines = [f"{len(answers)} workers"]
        for worker, answer in answers.items():
            lines.append(f"{worker}: {'does not answer' if answer is None else answer.get('text')}")
        return "\n".join(lines)

    # -- slots ---------------------------------------------------------------------------------

    def _add_slot(self) -> Slot:
        assert self._attending is not None, "it runs"
        self.slots.append(Slot(len(self.slots), self.crew, self._attending, self))
        return self.slots[-1]

    def when_crashed(self, slot: Slot, worker: Worker | None) -> None:
        """See `Watcher`."""
        self.crew.totals.keep({"totals": {"restarts": 1}})
        most = self.config.max_crashes
        if not self.ready.is_set():
            status = None if worker is None else worker.status
            self._fail(status if status is not None and status > 0 else _CANNOT_START)
        elif most and slot.backoff.crashes >= most:
            logger.critical("%s has crashed %d times in a row: draining", slot, most)
            self._fail(1)

    def _fail(self, status: int) -> None:
        if self.swansong.is_running:
            self.status = status
            self.swansong.shut_down()

    def _when_ready(self, worker: Worker) -> None:
        if not self.ready.is_set() and (
            not self._is_final or len(self.serving) >= self.agenda.workers
        ):
            self.ready.set()
            # Before the line, which scripts wait for.
            self.on_ready()
        logger.info("worker %d of slot %d is ready", worker.pid, worker.slot)

    def _when_draining(self, worker: Worker) -> None:
        # Told by somebody else: replaced at once, so that the others have less to do meanwhile.
        if worker.stage is Stage.READY:
            logger.warning("worker %d of slot %d drains by itself", worker.pid, worker.slot)
            self.agenda.add(Renew(worker.pid, worker.slot))

    def _when_gone(self, worker: Worker) -> None:
        self.ended.append((time.time(), worker))
        if not self.swansong.is_running:
            self.drained.append(worker)
        how = describe_status(worker.status or 0)
        if worker.stage is Stage.DRAINING:
            level = logging.WARNING if worker.status else logging.INFO
            logger.log(level, "worker %d of slot %d has drained (%s)", worker.pid, worker.slot, how)
        elif not self.swansong.is_running:
            logger.info("worker %d of slot %d is gone (%s)", worker.pid, worker.slot, how)
        # One that only imports is killed, because there is nothing to drain.
        has_begun = worker.stage is not Stage.STARTING or worker.specs is not None
        if worker.status and has_begun and not self.swansong.is_running:
            self.status = self.status or 1

    # -- commands ------------------------------------------------------------------------------

    async def _obey(self) -> None:
        await self.ready.wait()
        while True:
            ticket = await self.agenda.next()
            failure = await self._carry_out(ticket.command)
            self.agenda.current = None
            if failure:
                logger.error("%s: %s", ticket.command, failure)
            ticket.finish(failure)

    async def _carry_out(self, command: Command) -> str:
        match command:
            case Roll():
                return await self._roll()
            case Renew(pid, number):
                return await self._renew(pid, number)
            case Scale(workers):
                return await self._scale(workers)
            case Upgrade():
                if self._upgrade is None:
                    return "not possible here"
                return await self._upgrade()

    async def _roll(self) -> str:
        """Replace all workers; the first failure ends it, and those that are done stay new."""
        self.crew.generation += 1
        self.on_roll(True)
        try:
            at_once = parse_roll(self.config.roll, len(self.slots))
            logger.info("rolling %d workers, %d at a time", len(self.slots), at_once)
            done = 0
            for start in range(0, len(self.slots), at_once):
                group = self.slots[start : start + at_once]
                failures = await self._replace(group)
                done += len(group) - len(failures)
                if failures:
                    return f"{failures[0]}; {done} of {len(self.slots)} workers are new"
            logger.info("rolled %d workers", done)
            return ""
        finally:
            self.on_roll(False)

    async def _replace(self, slots: list[Slot]) -> list[str]:
        failures: list[str] = []

        async def replace(slot: Slot) -> None:
            if failure := await slot.replace():
                failures.append(f"{slot}: {failure}")

        async with trio.open_nursery() as nursery:
            for each in slots:
                nursery.start_soon(replace, each)
        return failures

    async def _renew(self, pid: int, number: int) -> str:
        slot = self.slots[number] if number < len(self.slots) else None
        if slot is None or slot.worker is None or slot.worker.pid != pid:
            return ""  # It is gone.
        return await slot.replace()

    async def _scale(self, workers: int) -> str:
        assert self._slots_nursery is not None, "it runs"
        logger.info("%d workers instead of %d", workers, len(self.slots))
        while len(self.slots) > workers:
            slot = self.slots.pop()
            slot.scope.cancel()
            if slot.worker is not None:
                slot.worker.end()
        before = len(self.slots)
        for _ in range(workers - before):
            self._slots_nursery.start_soon(self._add_slot().keep)
        return ""

    def ask(self, command: str, number: int | None = None) -> Ticket | None:
        """Add a command by its name; None: it is done, or there is nothing to do.

        Raises:
          ValueError: There is no such command.
        """
        match command:
            case "roll":
                return self.agenda.add(Roll())
            case "upgrade":
                return self.agenda.add(Upgrade())
            case "more":
                return self.agenda.scale_by(1)
            case "less":
                return self.agenda.scale_by(-1)
            case "scale" if number is not None and number >= 1:
                return self.agenda.add(Scale(number))
            case "drain":
                self.swansong.shut_down()
                return None
        raise ValueError(f"there is no command {command!r}, or its number is missing")

    # -- limits --------------------------------------------------------------------------------

    async def _limit(self) -> None:
        """Ask for the renewal of workers that are worn out."""
        while True:
            await trio.sleep(_TICK_SECONDS)
            for slot in self.slots:
                worker = slot.worker
                if worker is None or worker.stage is not Stage.READY or worker.is_worn:
                    continue
                if why := wears_out(worker, self.config, slot.spread):
                    worker.is_worn = True
                    logger.info("worker %d of %s is replaced: %s", worker.pid, slot, why)
                    self.agenda.add(Renew(worker.pid, slot.number))
