"""Admission: the connection limit, and room for new connections at the limit."""

from __future__ import annotations

import heapq
from math import inf
from typing import TYPE_CHECKING, final

import trio

from .._log import SafeLogger
from ..conn import ConnectionCounts
from ..driver import Http1Connection
from ._refusal import Refusals

if TYPE_CHECKING:
    from ..driver import Served, Service
    from ..transport import Transport

__all__ = ["Admission"]

logger = SafeLogger("trillium_trio.server")

# One scan of all connections evicts up to a sixteenth of the limit, 64 at most. So each new
# connection costs a scan of about 16 connections; at 10,000 about 160, which takes 10 us.
_BATCH_SHARE = 16
_MAX_BATCH = 64
# After a scan that finds too few to end, the next one waits for this long per connection: a server
# full of busy ones refuses cheaply. A scan takes 1 % of that; up to 64 it is negligible.
_PAUSE_SECONDS = 10e-6
_MAX_UNPAUSED = 64
# How many new connections wait for room, and for how many turns of the loop. A socket closes in one
# turn, a stream in a few. New connections that stay silent are evicted for those behind them.
_MAX_WAITING = 64
_MAX_TURNS = 32
# An episode is over when an eighth of the limit is free. A batch frees less, so it cannot end one.
_CALM_SHARE = 8


@final
class Admission:
    """Starts a connection for each transport, up to a limit; answers 503 beyond it.

    At the limit it ends connections that are closing or idle, in the order of CN-28. They close
    within the next turns of the loop, unless a request has just come; the new connection waits for
    that.

    Args:
      service: The context of all connections.
      nursery: Where they run.
      limit: How many may be open at a time.
    """

    def __init__(self, service: Service, nursery: trio.Nursery, limit: int) -> None:
        self._service = service
        self._nursery = nursery
        self._limit = limit
        self._batch = max(1, min(limit // _BATCH_SHARE, _MAX_BATCH))
        # Evicted connections that have not closed yet; the number of new ones that wait for room.
        self._leaving: list[Served] = []
        self._waiting = 0
        # Set after a scan that found too few.
        self._next_scan = -inf
        self._refusals = Refusals(service, nursery, limit)
        self._is_evicting = False
        self._accepted = 0

    @property
    def counts(self) -> ConnectionCounts:
        """The connections now. Callable from any thread."""
        connections = self._service.connections.copy()
        return ConnectionCounts(
            open=len(connections),
            idle=sum(each.is_idle for each in connections),
            closing=sum(each.is_closing for each in connections),
            accepted=self._accepted,
            refused=self._refusals.total,
            evicted=self._service.evicted,
            ended=self._service.ended,
            requests=self._service.served + sum(each.served for each in connections),
        )

    def start(self, transport: Transport) -> None:
        """Take ownership of a transport that was just accepted: serve or refuse it."""
        self._accepted += 1
        count = len(self._service.connections) + self._waiting
        if count < self._limit - self._limit // _CALM_SHARE:
            self._is_evicting = False
            self._refusals.is_logged = False
        if count < self._limit:
            connection = Http1Connection(self._service, transport)
            self._nursery.start_soon(connection.run)
        elif self._waiting < _MAX_WAITING:
            self._waiting += 1
            self._make_room(transport)
            self._nursery.start_soon(self._start_later, transport)
        else:
            self._refusals.start(transport)

    async def settle(self) -> None:
        """Wait until every waiting connection was started or refused: a few turns of the loop.

        Cancellation:
          Ends the wait.
        """
        while self._waiting:
            await trio.lowlevel.checkpoint()

    def _make_room(self, transport: Transport) -> None:
        """End connections, if more new ones wait than there will be room for."""
        connections = self._service.connections
        self._leaving = [each for each in self._leaving if each in connections and each.is_leaving]
        if len(connections) - len(self._leaving) + self._waiting <= self._limit:
            return
        chosen = self._first_to_evict()
        for each in chosen:
            each.evict()
        self._leaving += chosen
        if chosen and not self._is_evicting:
            # Once per episode, so that a flood of connections does not flood the log.
            self._is_evicting = True
            logger.warning(
                "%d connections are open: closing idle ones to make room for %s",
                self._limit,
                transport.peer,
            )

    async def _start_later(self, transport: Transport) -> None:
        """Serve a new connection once another has closed; refuse it if none does."""
        try:
            has_room = await self._wait_for_room(transport)
        except trio.Cancelled:
            transport.abort()
            await transport.aclose()
            raise
        finally:
            self._waiting -= 1
        if has_room:
            await Http1Connection(self._service, transport).run()
        else:
            self._refusals.start(transport)

    async def _wait_for_room(self, transport: Transport) -> bool:
        for _ in range(_MAX_TURNS):
            await trio.lowlevel.checkpoint()
            if len(self._service.connections) < self._limit:
                return True
            self._make_room(transport)
        return False

    def _first_to_evict(self) -> list[Served]:
        """Return a batch of connections that may end, in the order of CN-28."""
        now = trio.current_time()
        if now < self._next_scan:
            return []
        connections = self._service.connections
        unused_since = now - self._service.keepalive_grace
        spare = [
            each
            for each in connections
            if not each.is_leaving
            and (
                each.is_closing
                or (each.is_idle and (not each.served or each.idle_since <= unused_since))
            )
        ]
        if len(spare) < self._batch and len(connections) > _MAX_UNPAUSED:
            self._next_scan = now + len(connections) * _PAUSE_SECONDS
        return heapq.nsmallest(self._batch, spare, key=_order)

    def __repr__(self) -> str:
        return f"<Admission of {self._limit}, {self._waiting} waiting, {self._refusals!r}>"


def _order(connection: Served) -> tuple[bool, bool, float]:
    return connection.is_idle, connection.served > 0, connection.idle_since
