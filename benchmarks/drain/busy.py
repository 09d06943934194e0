"""SIGTERM under load: with nobody to take over, and with a successor on the same socket."""

from __future__ import annotations

import random
import socket
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, final

import trio

from benchmarks.drain.client import Habit, Load, client
from benchmarks.load.trillium_server import READY
from benchmarks.process import ServerProcess, free_port

if TYPE_CHECKING:
    from benchmarks.servers import Server

__all__ = ["CLIENTS", "NEWCOMERS", "Round", "Scenario", "run_round", "scenarios"]

CLIENTS = 64
NEWCOMERS = 8

HOT = Habit()
# Shorter pauses than the half second for which we keep recently used connections; 10 ms of round
# trip, as between two cities.
THINKING = Habit(pause=0.4, wire=0.005)
# Some fifty connections a second each: enough to meet the moment in which a listener closes.
NEWCOMER = Habit(pause=0.04, per_connection=1)

_WARM_UP_SECONDS = 0.6
_EXIT_SECONDS = 15.0
# How long the successor is watched once it is alone.
_ALONE_SECONDS = 0.3
_LAST_ANSWER_SECONDS = 2.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What goes on when the signal comes."""

    name: str
    path: str
    habit: Habit
    has_successor: bool = False


def scenarios(*, has_successor: bool) -> list[Scenario]:
    """Return the four: clients without and with pauses, a handler that is instant or slow."""
    return [
        Scenario(
            name=f"{clients} clients, {handler} handler",
            path=path,
            habit=habit,
            has_successor=has_successor,
        )
        for clients, habit in (("hot", HOT), ("thinking", THINKING))
        for handler, path in (("instant", "/"), ("50 ms", "/slow"))
    ]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came of one SIGTERM.

    Attributes:
      answered, refused, not_200: Requests; ``refused`` are connections that were not made.
      lost_kept: Lost on connections that had been answered on before the stop.
      lost: Lost over all, connections made at or after the stop included.
      exit_seconds: From the signal to the end of the process; None if it had to be killed.
      exit_status: Of the process.
      losses: Each lost request, see `Loss`.
    """

    answered: int
    refused: int
    not_200: int
    lost_kept: int
    lost: int
    exit_seconds: float | None
    exit_status: int | None
    losses: list[dict[str, object]]


def run_round(server: Server, scenario: Scenario, core: int | None) -> Round:
    """Start the server, load it, stop it, count."""
    port = free_port()
    load = Load(port=port, path=scenario.path, has_successor=scenario.has_successor)
    with ExitStack() as stack:
        if scenario.has_successor:
            listener = stack.enter_context(
                socket.create_server(("127.0.0.1", port), backlog=1_024),
            )
            first, successor = (
                stack.enter_context(_on_listener(listener, port, core)) for _ in range(2)
            )
            # Both accept from the start. A probe would show only that one of them does.
            first.wait_said(READY)
            successor.wait_said(READY)
            listener.close()
        else:
            first = stack.enter_context(ServerProcess(server.command(port), port, core=core))
            first.wait_ready()
        exit_seconds, exit_status = trio.run(_drive, load, scenario, first)
        # Its log is no part of the results, which name no path of a machine.
        said = first.output()
        if load.losses or "Traceback" in said:
            print(f"{server.name}, {scenario.name}: {said}", file=sys.stderr)
    return Round(
        answered=load.counts["answered"],
        refused=load.counts["refused"],
        not_200=load.counts["not 200"],
        lost_kept=sum(each.is_kept for each in load.losses),
        lost=len(load.losses),
        exit_seconds=exit_seconds,
        exit_status=exit_status,
        losses=[asdict(each) for each in load.losses],
    )


def _on_listener(listener: socket.socket, port: int, core: int | None) -> ServerProcess:
    inherit = (sys.executable, "-m", "benchmarks.drain.inherit", str(listener.fileno()))
    serve = (sys.executable, "-m", "benchmarks.load.trillium_server")
    return ServerProcess((*inherit, *serve), port, core=core, pass_fds=(listener.fileno(),))


async def _drive(
    load: Load, scenario: Scenario, first: ServerProcess
) -> tuple[float | None, int | None]:
    """Load the server, stop it at some moment; return when and how it ended."""
    async with trio.open_nursery() as nursery:
        for _ in range(CLIENTS):
            nursery.start_soon(client, load, scenario.habit)
        for _ in range(NEWCOMERS):
            nursery.start_soon(client, load, NEWCOMER)
        # Longer than the longest pause, so that every connection has been answered on.
        await trio.sleep(_WARM_UP_SECONDS + random.uniform(0.0, 0.2))
        load.stopped_at = trio.current_time()
        first.terminate()
        exit_status = await trio.to_thread.run_sync(first.wait, _EXIT_SECONDS)
        exit_seconds = trio.current_time() - load.stopped_at
        if scenario.has_successor:
            await trio.sleep(_ALONE_SECONDS)
        load.is_over = True
        # Who still waits then has lost its request.
        nursery.cancel_scope.deadline = trio.current_time() + _LAST_ANSWER_SECONDS
    return (None if exit_status is None else exit_seconds), exit_status
