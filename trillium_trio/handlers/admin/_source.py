"""What is shown: a protocol, and what one process has to say."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, final

import trio

from ..._version import VERSION
from ...swansong import branch_of, drain_report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from ...conn import ConnectionCounts, Readiness, ServerSettings
    from ...swansong import Branch, DrainReport, GuardReport, Swansong
    from ...transport import Listener

__all__ = ["ProcessSource", "Source"]

Json: TypeAlias = dict[str, Any]
"""An object of JSON. Any: as JSON."""

# The oldest of a site; the count says how many there are.
_LABELS = 10


class Source(Protocol):
    """What an `Admin` shows. One process has a `ProcessSource`; a parent of many asks its workers.

    Attributes:
      actions: What can be done, by name: ``drain``, ``cancel``. Each is called with no arguments.
    """

    @property
    def actions(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """What can be done, by name."""

    def unready(self) -> list[str]:
        """Return why no more requests should be sent here; empty: they should."""

    async def status(self, *, stacks: bool) -> Json:
        """Return what is shown, as `Admin` describes it.

        Cancellation:
          Ends the wait, if there is one.
        """


class Progress(Protocol):
    """How far a drain is, as a handle knows it."""

    @property
    def phase(self) -> str:
        """What the server does."""

    @property
    def remaining(self) -> float | None:
        """Seconds until it cuts."""

    @property
    def waits_for(self) -> str | None:
        """What it waits for that is no guard."""

    @property
    def report(self) -> DrainReport:
        """What has finished and what was cut."""


class Limits(Protocol):
    """What a server's settings say of its limits."""

    def connection_limit(self) -> int:
        """How many connections it takes."""

    @property
    def keepalive_grace(self) -> float:
        """How long a connection may send one more request after the stop."""


class Handle(Protocol):
    """What is asked of a `trillium_trio.ServerHandle`: it belongs to a higher layer."""

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The bound listeners."""

    @property
    def connections(self) -> ConnectionCounts:
        """The connections now."""

    @property
    def config(self) -> Any:  # Any: both `ServerSettings` and `Limits`
        """The settings."""

    @property
    def drain(self) -> Progress | None:
        """How far the drain is."""

    @property
    def is_running(self) -> bool:
        """Whether it is ready and not over."""

    @property
    def readiness(self) -> Readiness:
        """Whether it wants requests."""


@final
class ProcessSource:
    """One process: a swansong, and the servers that share it.

    Args:
      swansong: What the servers share, or the one that a single server has.
      servers: Their handles. They may be added later: the iterable is kept.
    """

    def __init__(self, swansong: Swansong, servers: Iterable[Handle] = ()) -> None:
        self._swansong = swansong
        self._servers = servers
        self._started = time.time()

    @property
    def actions(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """What can be done, by name."""
        return {"drain": self._drain, "cancel": self._cancel}

    def unready(self) -> list[str]:
        """Return why no more requests should be sent here; empty: they should."""
        reasons = [] if self._swansong.is_running else ["draining"]
        for each in self._servers:
            if not each.is_running:
                reasons.append(f"{_name(each)} is not running")
            elif each.drain is not None and self._swansong.is_running:
                reasons.append(f"{_name(each)} is draining")
            elif (reason := each.readiness.withdrawn) is not None:
                reasons.append(f"{_name(each)} is withdrawn: {reason}")
        return reasons

    async def status(self, *, stacks: bool) -> Json:
        """Return what is shown, as `Admin` describes it.

        Cancellation:
          A checkpoint.
        """
        await trio.lowlevel.checkpoint()
        return self.status_now(stacks=stacks)

    def status_now(self, *, stacks: bool) -> Json:
        """Return what is shown. Callable from any thread."""
        swansong = self._swansong
        servers = [_server(each) for each in self._servers]
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "started": self._started,
            "now": time.time(),
            "state": swansong.state.value,
            "unready": self.unready(),
            "servers": servers,
            "drain": None if swansong.is_running else self._progress(servers),
            "tree": _branch(branch_of(swansong, stacks=stacks)),
        }

    def _progress(self, servers: list[Json]) -> Json:
        drains = [each["drain"] for each in servers if each["drain"] is not None]
        remaining = [each["remaining"] for each in drains if each["remaining"] is not None]
        return {
            **_report(drain_report(self._swansong)),
            "left": self._swansong.guard_count,
            "remaining": max(remaining, default=None),
            "waits_for": [each["waits_for"] for each in drains if each["waits_for"]],
        }

    async def _drain(self) -> None:
        self._swansong.shut_down()

    async def _cancel(self) -> None:
        self._swansong.cancel("by the admin page")


def _name(server: Handle) -> str:
    return ", ".join(each.name for each in server.listeners) or "a server"


def _server(server: Handle) -> Json:
    config, counts, drain = server.config, server.connections, server.drain
    settings: ServerSettings = config
    limits: Limits = config
    state = "running" if server.is_running else "not running"
    return {
        "name": _name(server),
        "state": state if drain is None else drain.phase,
        "connections": {
            "open": counts.open,
            "idle": counts.idle,
            "busy": counts.busy,
            "closing": counts.closing,
            "queued": counts.queued,
            "accepted": counts.accepted,
            "refused": counts.refused,
            "evicted": counts.evicted,
        },
        "limits": {
            "max_connections": limits.connection_limit(),
            "drain_delay": settings.drain_delay,
            "drain_timeout": settings.drain_timeout,
            "keepalive_grace": limits.keepalive_grace,
            "cleanup_timeout": settings.cleanup_timeout,
        },
        "drain": None
        if drain is None
        else {
            **_report(drain.report),
            "remaining": drain.remaining,
            "waits_for": drain.waits_for,
        },
    }


def _report(report: DrainReport) -> Json:
    return {
        "duration": report.duration,
        "finished": report.finished,
        "is_clean": report.is_clean,
        "reason": report.reason,
        "cut": _guards(report.cancelled),
    }


def _branch(branch: Branch) -> Json:
    return {
        "name": branch.name,
        "stopped_for": branch.stopped_for,
        "is_complete": branch.is_complete,
        "guards": _guards(branch.guards),
        "below": [_branch(each) for each in branch.below],
    }


def _guards(report: GuardReport) -> list[Json]:
    return [
        {
            "site": entry.site,
            "count": entry.count,
            "oldest_age": entry.oldest_age,
            # That of a request has its target: what follows the path is nobody's business.
            "labels": [label.partition("?")[0] for label in entry.labels[:_LABELS]],
            "where": entry.where,
            "stacks": list(entry.stacks),
        }
        for entry in report
    ]
