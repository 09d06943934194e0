"""What a supervisor has been told to do: one thing at a time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias, final

import trio

__all__ = ["Agenda", "Command", "Renew", "Roll", "Scale", "Ticket", "Upgrade"]


@final
@dataclass(frozen=True, slots=True)
class Roll:
    """Replace all workers, one group after another."""

    def __str__(self) -> str:
        return "roll"


@final
@dataclass(frozen=True, slots=True)
class Renew:
    """Replace the worker with this process id, because it is worn out."""

    pid: int
    slot: int

    def __str__(self) -> str:
        return f"renewal of slot {self.slot}"


@final
@dataclass(frozen=True, slots=True)
class Scale:
    """Have this many workers."""

    workers: int

    def __str__(self) -> str:
        return f"scale to {self.workers}"


@final
@dataclass(frozen=True, slots=True)
class Upgrade:
    """Hand over to a new version of the supervisor itself."""

    def __str__(self) -> str:
        return "upgrade"


Command: TypeAlias = Roll | Renew | Scale | Upgrade


@final
@dataclass(slots=True, eq=False)
class Ticket:
    """A command that waits or is carried out.

    Attributes:
      command: What is to be done.
      done: When it has been, or has failed.
      failure: Why it has failed; empty if it has not.
    """

    command: Command
    done: trio.Event = field(default_factory=trio.Event)
    failure: str = ""

    def finish(self, failure: str = "") -> None:
        """Have those who wait for it go on."""
        self.failure = failure
        self.done.set()


@final
class Agenda:
    """Commands in their order. Equal ones that wait are one; the last number of workers counts.

    Args:
      workers: How many there are to be.

    Attributes:
      current: What is carried out now.
      workers: How many there are to be when all is done.
    """

    def __init__(self, workers: int) -> None:
        self.current: Ticket | None = None
        self.workers = workers
        self._waiting: deque[Ticket] = deque()
        self._end = ""
        self._news = trio.Event()

    def add(self, command: Command) -> Ticket:
        """Add a command, unless an equal one waits already; one that is carried out does not count.

        A roll that is asked for during a roll may be for newer code, so it follows. After `give_up`
        each has failed already.
        """
        if self._end:
            ticket = Ticket(command)
            ticket.finish(self._end)
            return ticket
        if isinstance(command, Scale):
            self.workers = command.workers
        for each in self._waiting:
            if each.command == command:
                return each
            if isinstance(each.command, Scale) and isinstance(command, Scale):
                each.command = command
                return each
        ticket = Ticket(command)
        self._waiting.append(ticket)
        self._news.set()
        return ticket

    def scale_by(self, change: int) -> Ticket | None:
        """Have more or fewer workers; None if there would be none."""
        if self.workers + change < 1:
            return None
        return self.add(Scale(self.workers + change))

    async def next(self) -> Ticket:
        """Wait for a command, and make it the current one.

        Cancellation:
          Nothing is taken.
        """
        while not self._waiting:
            self._news = trio.Event()
            await self._news.wait()
        self.current = self._waiting.popleft()
        return self.current

    def give_up(self, why: str) -> None:
        """Finish all commands as failed: there will be no more."""
        self._end = why
        tickets = [*self._waiting, *([self.current] if self.current else [])]
        self._waiting.clear()
        self.current = None
        for each in tickets:
            if not each.done.is_set():
                each.finish(why)
