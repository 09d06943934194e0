"""What the admin page shows of a supervisor and its workers."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, final

import trio

from ..exceptions import HttpError
from ..handlers import MetricsPage, ProcessSource
from ._metrics import families_of
from ._signals import describe_status
from ._worker import LATE_SECONDS, Stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from ..conn import Handler
    from ..handlers import Figures
    from ._supervisor import Supervisor
    from ._worker import Worker

__all__ = ["SupervisorSource"]

_STATUS_SECONDS: Final = 1.0
_LABELS: Final = 10


@final
class SupervisorSource:
    """A `Source` for `Admin`: asks the workers, and adds up what they answer.

    The status is that of one process, and has besides:

    .. code-block:: text

        "workers"     by slot: what each does, its figures, how far its drain is
        "ended"       those that have gone last: how, what had finished, what was cut
        "doing"       the command that is carried out, or null
        "generation"  how many rolls there were
        "restarts"    how many workers were started in place of one that had ended by itself

    The tree has the tree of each worker below the supervisor. Servers are added up by their names.

    Args:
      supervisor: What is shown.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        # Of this process: its age, and how long the stop has lasted.
        self._own = ProcessSource(supervisor.swansong)

    @property
    def actions(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """What can be done, by name."""
        return {**self._own.actions, "roll": self._roll}

    @property
    def page(self) -> Handler:
        """A handler that answers with the metrics of all workers together."""
        return MetricsPage(self._figures)

    def unready(self) -> list[str]:
        """Return why no more requests should be sent here; empty: they should."""
        if reasons := self._own.unready():
            return reasons
        serving = self._supervisor.serving
        if any(not each.unready for each in serving):
            return []
        return ["no worker is ready", *(f"{w}: {why}" for w in serving for why in w.unready)]

    async def status(self, *, stacks: bool) -> dict[str, Any]:
        """Return what is shown, as `Admin` describes it.

        Cancellation:
          Ends the wait for the workers' answers.
        """
        crew = self._supervisor.crew
        answers = await crew.ask("status", seconds=_STATUS_SECONDS, stacks=stacks)
        known = {worker: _status_in(answer) for worker, answer in answers.items()}
        own = self._own.status_now(stacks=False)
        state = self._supervisor.state()
        return {
            **own,
            "unready": self.unready(),
            **{name: state[name] for name in ("doing", "generation", "restarts")},
            "workers": [_worker(each, known.get(each)) for each in crew.in_order],
            "ended": [_ended(when, each) for when, each in reversed(self._supervisor.ended)],
            "servers": _servers(known.values()),
            "drain": None if own["drain"] is None else self._progress(own["drain"], known),
            "tree": {
                **own["tree"],
                "name": f"supervisor {os.getpid()}",
                "guards": [],
                "below": [_tree(worker, status) for worker, status in known.items()],
            },
        }

    def _progress(
        self, own: dict[str, Any], known: Mapping[Worker, dict[str, Any] | None]
    ) -> dict[str, Any]:
        """Return how far the drain of all is, with those workers that have gone since the stop."""
        drains = [status["drain"] for status in known.values() if status and status["drain"]]
        drains += [drain for each in self._supervisor.drained if (drain := _drain_of(each))]
        remaining = [each["remaining"] for each in drains if each["remaining"] is not None]
        return {
            **own,
            "finished": sum(each["finished"] for each in drains),
            "left": sum(each["left"] for each in drains),
            "cut": _merged(guard for each in drains for guard in each["cut"]),
            "is_clean": all(each["is_clean"] for each in drains),
            "remaining": max(remaining, default=None),
            "waits_for": sorted({name for each in drains for name in each["waits_for"]}),
        }

    async def _roll(self) -> None:
        """Replace all workers.

        Raises:
          HttpError: A new one cannot start.

        Cancellation:
          It goes on.
        """
        ticket = self._supervisor.ask("roll")
        assert ticket is not None, "a roll is carried out by the agenda"
        await ticket.done.wait()
        if ticket.failure:
            raise HttpError(503, f"the roll has failed: {ticket.failure}")

    async def _figures(self) -> Figures:
        """Return the metrics of all workers, and those of the supervisor itself.

        Cancellation:
          Some are those of the last time.
        """
        crew = self._supervisor.crew
        await crew.ask_for_metrics()
        return crew.metrics.now().plus(families_of(crew.in_order, self._supervisor.restarts))


def _status_in(answer: Mapping[str, object] | None) -> dict[str, Any] | None:
    status = None if answer is None else answer.get("status")
    return status if isinstance(status, dict) else None


def _worker(worker: Worker, status: dict[str, Any] | None) -> dict[str, Any]:
    figure = worker.figure
    return {
        "slot": worker.slot,
        "pid": worker.pid,
        "stage": worker.stage.value,
        "generation": worker.generation,
        "age": trio.current_time() - worker.started_at,
        "silent": worker.silent_for,
        "is_silent": worker.silent_for >= LATE_SECONDS and worker.stage is not Stage.STARTING,
        "answers": status is not None or worker.specs is None,
        "connections": figure("now", "connections"),
        "requests": figure("totals", "requests"),
        "guards": figure("now", "guards") if status is None else _guards_in(status["tree"]),
        "rss": figure("now", "rss"),
        "lag": figure("most", "lag"),
        "unready": worker.unready if worker.stage is Stage.READY else [],
        "drain": status and status["drain"],
    }


def _ended(when: float, worker: Worker) -> dict[str, Any]:
    drain = _drain_of(worker) or {}
    return {
        "slot": worker.slot,
        "pid": worker.pid,
        "ended": when,
        "how": describe_status(worker.status or 0),
        "reason": worker.reason,
        "finished": drain.get("finished"),
        "duration": drain.get("duration"),
        "cut": drain.get("cut", []),
    }


def _drain_of(worker: Worker) -> dict[str, Any] | None:
    """Return how the drain of a worker went that is gone; None: it has not said."""
    drain = None if worker.drained is None else worker.drained.get("drain")
    return drain if isinstance(drain, dict) else None


def _guards_in(branch: dict[str, Any]) -> int:
    own: int = sum(each["count"] for each in branch["guards"])
    return own + sum(map(_guards_in, branch["below"]))


def _tree(worker: Worker, status: dict[str, Any] | None) -> dict[str, Any]:
    name = f"worker {worker.pid} of slot {worker.slot}"
    if status is not None:
        return {**status["tree"], "name": name}
    return {
        "name": f"{name} does not answer",
        "stopped_for": None,
        "is_complete": False,
        "guards": [],
        "below": [],
    }


def _servers(found: Iterable[dict[str, Any] | None]) -> list[dict[str, Any]]:
    """Add servers of the same name up."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for status in found:
        for each in status["servers"] if status else ():
            by_name.setdefault(each["name"], []).append(each)
    return [_server(group) for group in by_name.values()]


def _server(group: list[dict[str, Any]]) -> dict[str, Any]:
    first = group[0]
    states = Counter(each["state"] for each in group)
    counts = {
        name: sum(each["connections"][name] or 0 for each in group) for name in first["connections"]
    }
    # They share the queue, which each of them sees.
    queued = [each["connections"]["queued"] for each in group]
    counts["queued"] = max((each for each in queued if each is not None), default=None)
    limit = sum(each["limits"]["max_connections"] for each in group)
    is_one = len(states) == 1
    return {
        **first,
        "state": first["state"]
        if is_one
        else ", ".join(f"{n} {name}" for name, n in states.items()),
        "connections": counts,
        "limits": {**first["limits"], "max_connections": limit},
        "drain": None,
    }


def _merged(guards: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add entries of the same site up."""
    found: dict[str, dict[str, Any]] = {}
    for each in guards:
        before = found.setdefault(each["site"], {**each, "count": 0, "labels": []})
        before["count"] += each["count"]
        before["oldest_age"] = max(before["oldest_age"], each["oldest_age"])
        before["labels"] = (before["labels"] + each["labels"])[:_LABELS]
    return list(found.values())
