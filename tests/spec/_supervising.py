"""A supervisor over processes that do what the test says, in virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trillium_trio.supervisor import Supervisor, SupervisorConfig, decode, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from trillium_trio.exceptions import BindError, ConfigError
    from trillium_trio.listeners import LoadPage, SharedSocket


class FakeProcess:
    """A process whose messages and end the test decides about."""

    def __init__(self, pid: int, slot: int) -> None:
        self.pid = pid
        self.slot = slot
        self.heard: list[str] = []
        self.messages: list[dict[str, Any]] = []
        self.granted: list[object] = []
        self.status: int | None = None
        self.is_aborted = False
        self.is_closed = False
        # It does not do what it is told, and does not answer.
        self.is_deaf = self.is_mute = False
        self.answers: dict[object, dict[str, Any]] = {
            "report": {"text": f"{pid} has nothing to do"}
        }
        self._ended = trio.Event()
        self._send, self._receive = trio.open_memory_channel[bytes](inf)

    def say(self, kind: str, **fields: object) -> None:
        if self.status is None:
            self._send.send_nowait(encode(kind, **fields))

    def say_bytes(self, data: bytes) -> None:
        self._send.send_nowait(data)

    def exit(self, status: int) -> None:
        if self.status is None:
            self.status = status
            self._ended.set()
            self._send.close()

    async def receive(self) -> bytes:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            return b""

    def send(self, data: bytes) -> None:
        for line in data.splitlines():
            message = decode(line)
            self.messages.append(dict(message))
            self.heard.append(str(message["kind"]))
            if message["kind"] == "drain" and not self.is_deaf:
                self.say("draining")
                self.exit(0)
            if message["kind"] == "cut" and not self.is_deaf:
                self.exit(1)
            if (kind := message["kind"]) in self.answers and not self.is_mute:
                self.say("answer", id=message["id"], **self.answers[kind])

    def grant(self, sockets: Sequence[SharedSocket] | BindError | ConfigError) -> None:
        self.granted.append(sockets)

    def abort(self) -> None:
        self.is_aborted = True

    def kill(self) -> None:
        self.exit(-9)

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.status is not None
        return self.status

    def close(self) -> None:
        self.is_closed = True


Script = "Callable[[FakeProcess], Awaitable[None]]"


async def serves(process: FakeProcess) -> None:
    """Be ready at once, and well."""
    process.say("listen", specs=[])
    process.say("ready", delay=0.0, drain=30.0, cleanup=11.0)
    await beats(process)


async def beats(process: FakeProcess) -> None:
    requests = 0
    while process.status is None:
        process.say("stats", figures={"totals": {"requests": requests}, "now": {"rss": 1 << 20}})
        requests += 10
        await trio.sleep(1.0)


async def fails(process: FakeProcess) -> None:
    """Not start."""
    await trio.sleep(0.1)
    process.exit(3)


async def imports_for_ever(process: FakeProcess) -> None:
    """Say nothing."""


class World:
    """Starts processes: one for each script in turn, and the last script for the rest."""

    def __init__(self, *scripts: Callable[[FakeProcess], Awaitable[None]]) -> None:
        self.scripts = [*scripts] or [serves]
        self.processes: list[FakeProcess] = []
        self.numbers: set[int] = set()
        self.cells: list[int] = []
        self.failure: OSError | None = None
        self.nursery: trio.Nursery | None = None

    def launch(self, loads: LoadPage, cell: int, slot: int) -> FakeProcess:
        if self.failure is not None:
            raise self.failure
        # The first ones begin in any order: they are numbered by their slots.
        number = slot if slot not in self.numbers else len(self.processes)
        process = FakeProcess(1000 + number, slot)
        script = self.scripts[min(number, len(self.scripts) - 1)]
        self.numbers.add(number)
        self.processes.append(process)
        self.processes.sort(key=lambda each: each.pid)
        self.cells.append(cell)
        assert self.nursery is not None
        self.nursery.start_soon(script, process)
        return process

    @property
    def alive(self) -> list[FakeProcess]:
        return [each for each in self.processes if each.status is None]


@asynccontextmanager
async def supervising(world: World, **settings: object) -> AsyncIterator[Supervisor]:
    """Run a supervisor while the block does, and until its workers are gone."""
    assert isinstance(trio.lowlevel.current_clock(), MockClock), "it would take minutes"
    config = SupervisorConfig(**settings)  # type: ignore[arg-type]  # of the fields
    supervisor = Supervisor(world.launch, config)
    over = trio.Event()

    async def run() -> None:
        await supervisor.run()
        over.set()

    async with trio.open_nursery() as nursery:
        world.nursery = nursery
        nursery.start_soon(run)
        await wait_all_tasks_blocked()
        yield supervisor
        supervisor.swansong.shut_down()
        with trio.move_on_after(3600) as patience:
            await over.wait()
        supervisor.crew.close()
        assert not patience.cancelled_caught, "it does not end"
        assert world.alive == []
        assert all(each.is_closed for each in world.processes)
        nursery.cancel_scope.cancel()


async def done(supervisor: Supervisor, command: str, number: int | None = None) -> str:
    """Have a command carried out; return why it has failed."""
    ticket = supervisor.ask(command, number)
    assert ticket is not None
    await ticket.done.wait()
    return ticket.failure
