"""A worker, as its supervisor sees it, and the decisions about it: no I/O but messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Protocol, final

import trio

from ._protocol import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..exceptions import BindError, ConfigError
    from ..listeners import SharedSocket
    from ._settings import SupervisorConfig

__all__ = ["Bounds", "Process", "Stage", "Worker", "due", "wears_out"]

# Three figures have not come: the other workers no longer wait for this one.
LATE_SECONDS = 3.0
# Added to what a worker says that its drain may take: it ends by itself before.
_MARGIN_SECONDS = 5.0
# A stopped process reads nothing: its buffer is left to what it has to be told.
_MAX_UNANSWERED = 50


class Process(Protocol):
    """A process with a control socket."""

    @property
    def pid(self) -> int:
        """Its id."""

    async def receive(self) -> bytes:
        """Wait for bytes from it; none when it is gone.

        Cancellation:
          Nothing is lost.
        """

    def send(self, data: bytes) -> None:
        """Send without waiting. One that is gone, or does not read, is not an error."""

    def grant(self, sockets: Sequence[SharedSocket] | BindError | ConfigError) -> None:
        """Send listening sockets, or why there are none."""

    def abort(self) -> None:
        """Have it log the stacks of its threads and end."""

    def kill(self) -> None:
        """End it now."""

    async def wait(self) -> int:
        """Wait for its end, and return the exit status; negative: the number of a signal.

        Cancellation:
          Ends the wait.
        """

    def close(self) -> None:
        """Close its control socket."""


class Stage(Enum):
    """Where a worker is in its life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    GONE = "gone"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a worker has said about its stop, in seconds.

    Attributes:
      delay: How long it accepts after the stop, if it has no successor.
      drain: How long its drain then takes at most; ``inf``: as long as requests take.
      cleanup: How long its end takes at most once the drain is over or was cut.
    """

    delay: float = 0.0
    drain: float = inf
    cleanup: float = 11.0


@final
class Worker:
    """A process that serves the application.

    Args:
      process: Just started.
      slot: The number of its place.
      generation: How many rolls there were before it.
      cell: Of the page that balances connections.

    Attributes:
      stage: Where it is in its life.
      specs: Its listeners. None: it has not asked for them, so that no `init` has begun.
      figures: What it has last said of itself.
      status: How it has ended.
      started_at, ready_at, told_at, ended_at: When it was started, ready, told to end, and gone.
      heard_at: When it has last said something.
      is_cut: Whether it was told to cut what is in progress.
      is_worn: Whether it has been found to be worn out.
      reason: Why it is ended by force; empty if it is not.
      unready: Why it wants no requests, as it has last said.
      drained: What it has said of its drain when that was over.
      ready, gone: When these stages are reached.
      silent: When it says no more.
    """

    def __init__(self, process: Process, *, slot: int, generation: int, cell: int) -> None:
        self.process = process
        self.slot = slot
        self.generation = generation
        self.cell = cell
        self.stage = Stage.STARTING
        self.specs: list[list[str | int | None]] | None = None
        self.bounds = Bounds()
        self.figures: Mapping[str, object] = {}
        self.drained: Mapping[str, object] | None = None
        self.status: int | None = None
        self.reason = ""
        self.unready: list[str] = []
        self.ready = trio.Event()
        self.gone = trio.Event()
        self.silent = trio.Event()
        self.started_at = self.heard_at = trio.current_time()
        self.ready_at: float | None = None
        self.told_at = inf
        self.ended_at: float | None = None
        self.is_cut = False
        self.is_worn = False
        self._changed = trio.Event()
        self._asked = self._unanswered = 0
        self._answers: dict[int, Mapping[str, object] | None] = {}
        self._answered = trio.Event()

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self.process.pid

    @property
    def served(self) -> float | None:
        """For how many seconds it was ready; None: never."""
        return None if self.ready_at is None else trio.current_time() - self.ready_at

    @property
    def silent_for(self) -> float:
        """For how many seconds it has said nothing."""
        return trio.current_time() - self.heard_at

    def figure(self, group: str, name: str) -> float:
        """Return one of its figures; 0 if it has not said it."""
        values = self.figures.get(group)
        value = values.get(name) if isinstance(values, dict) else None
        return value if isinstance(value, int | float) else 0

    def tell(self, kind: str, **fields: object) -> None:
        """Send a message. A worker that is gone is not an error."""
        self.process.send(encode(kind, **fields))

    async def ask(self, kind: str, **fields: object) -> Mapping[str, object] | None:
        """Ask something, and return the answer; None: it is gone, or has answered nothing so far.

        Cancellation:
          A late answer is ignored.
        """
        if self.silent.is_set() or self._unanswered >= _MAX_UNANSWERED:
            return None
        self._asked += 1
        self._unanswered += 1
        number = self._asked
        self._answers[number] = None
        self.tell(kind, id=number, **fields)
        try:
            while self._answers[number] is None and not self.silent.is_set():
                await self._answered.wait()
            return self._answers[number]
        finally:
            del self._answers[number]

    def hear_answer(self, number: int, message: Mapping[str, object]) -> None:
        """Give an answer to who waits for it."""
        self._unanswered = 0
        if number in self._answers:
            self._answers[number] = message
        self._answered.set()
        self._answered = trio.Event()

    def hang_up(self) -> None:
        """It says no more."""
        self.silent.set()
        self._answered.set()

    def move(self, stage: Stage) -> None:
        """Go to another stage."""
        self.stage = stage
        if stage is Stage.READY:
            self.ready_at = self.heard_at = trio.current_time()
            self.ready.set()
        elif stage is Stage.GONE:
            self.ended_at = trio.current_time()
            self.gone.set()
        self._wake()

    def end(self, *, has_delay: bool = False) -> None:
        """Drain it; or kill it while it only imports: there is nothing to drain or clean up.

        Args:
          has_delay: Whether it accepts a while longer, for `drain_delay`: it has no successor.
        """
        if self.stage is Stage.STARTING and self.specs is None:
            self.reason = self.reason or "it only imports"
            self.process.kill()
        elif self.stage in {Stage.STARTING, Stage.READY}:
            self.told_at = trio.current_time() + (self.bounds.delay if has_delay else 0.0)
            self.move(Stage.DRAINING)
            self.tell("drain", delay=has_delay)

    def cut(self) -> None:
        """Have it cut what is in progress."""
        self.told_at = trio.current_time()
        self.is_cut = True
        self.tell("cut")
        self._wake()

    def excuse(self, seconds: float) -> None:
        """Not count a time in which the supervisor did not run: it heard nothing (SU-25)."""
        if self.stage is Stage.STARTING:
            self.started_at += seconds
        self.heard_at = min(self.heard_at + seconds, trio.current_time())
        self.told_at += seconds

    async def changed(self) -> None:
        """Wait until the stage is another one, or the worker was told something.

        Cancellation:
          Ends the wait.
        """
        self._changed = trio.Event()
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()

    def __str__(self) -> str:
        return f"{self.stage.value} worker {self.pid} of slot {self.slot}"


def due(worker: Worker, config: SupervisorConfig) -> tuple[float, str]:
    """Return when the patience with a worker ends, on trio's clock, and why."""
    if worker.stage is Stage.STARTING:
        return (
            worker.started_at + config.start_timeout,
            f"it is not ready after {config.start_timeout:g} s",
        )
    silent = worker.heard_at + config.silence, f"it is silent for {config.worker_timeout:g} s"
    if worker.stage is Stage.READY:
        return silent
    if worker.stage is Stage.DRAINING:
        drain = 0.0 if worker.is_cut else worker.bounds.drain
        late = worker.told_at + drain + worker.bounds.cleanup + _MARGIN_SECONDS
        # One that never was ready may not send figures yet.
        if worker.ready_at is None:
            return late, "it ignores the drain"
        return min((late, "it ignores the drain"), silent)
    return inf, ""


def wears_out(worker: Worker, config: SupervisorConfig, spread: float) -> str | None:
    """Return why a worker should be replaced by a fresh one, or None.

    Args:
      worker: Serves.
      config: The limits.
      spread: From 1.0 to 1.1, its own: so that not all workers reach a limit at once.
    """
    requests = int(worker.figure("totals", "requests"))
    rss = int(worker.figure("now", "rss")) >> 20
    if config.max_requests and requests >= config.max_requests * spread:
        return f"it has had {requests} requests"
    if config.max_rss and rss >= config.max_rss:
        return f"it uses {rss} MiB"
    age = worker.served or 0.0
    if config.max_worker_age and age >= config.max_worker_age * spread:
        return f"it is {age:.0f} s old"
    return None
