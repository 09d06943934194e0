"""Admission: the connection limit, eviction of idle connections, and the 503 beyond the limit."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, final

import trio

from .._log import SafeLogger
from ..codec import render_error
from ..driver import Http1Connection
from ..exceptions import ClientDisconnected, ServiceUnavailable
from ..transport import close_politely

if TYPE_CHECKING:
    from ..driver import Served, Service
    from ..transport import Transport

__all__ = ["Admission", "ConnectionCounts"]

logger = SafeLogger("trillium_trio.server")

# A refusal also uses a descriptor and a task, so their number and duration are limited.
_MAX_REFUSALS = 64
_REFUSAL_SECONDS = 1.0
_RETRY_AFTER_SECONDS = 1
# One scan of all connections evicts up to a sixteenth of the limit, 64 at most. So each new
# connection costs a scan of about 16 connections; at 10,000 about 160, which takes 10 us.
_BATCH_SHARE = 16
_MAX_BATCH = 64
# After a scan that finds too few idle connections, the next one waits for this long per connection:
# a server full of busy ones refuses cheaply. A scan takes 1 % of that; up to 64 it is negligible.
_PAUSE_SECONDS = 10e-6
_MAX_UNPAUSED = 64
# How many new connections wait for room, and for how many turns of the loop. A socket closes in one
# turn, a stream in a few. New connections that stay silent are evicted for those behind them.
_MAX_WAITING = 64
_MAX_TURNS = 32
# An episode is over when an eighth of the limit is free. A batch frees less, so it cannot end one.
_CALM_SHARE = 8


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCounts:
    """The connections of a server at one moment, and how many it has refused and evicted.

    Attributes:
      open: How many are open now.
      idle: How many of these wait for a request, with no byte of it received.
      refused: How many were answered 503, or closed, because there was no room.
      evicted: How many idle ones were closed to make room.
    """

    open: int = 0
    idle: int = 0
    refused: int = 0
    evicted: int = 0

    def __str__(self) -> str:
        return (
            f"{self.open} connections are open, {self.idle} of them idle; "
            f"{self.evicted} were evicted and {self.refused} refused so far"
        )


@final
class Admission:
    """Starts a connection for each transport, up to a limit; answers 503 beyond it.

    At the limit it evicts idle connections: first those that never sent a request, then the
    longest idle. They close within the next turns of the loop, unless a request has just come; the
    new connection waits for that.

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
        # Set after a scan that found too few idle connections.
        self._next_scan = -inf
        self._refusals = 0
        self._refused = 0
        self._is_evicting = False
        self._is_refusing = False

    @property
    def counts(self) -> ConnectionCounts:
        """The connections now. Callable from any thread."""
        connections = self._service.connections.copy()
        return ConnectionCounts(
            open=len(connections),
            idle=sum(each.is_idle for each in connections),
            refused=self._refused,
            evicted=self._service.evicted,
        )

    def start(self, transport: Transport) -> None:
        """Take ownership of a transport that was just accepted: serve or refuse it."""
        count = len(self._service.connections) + self._waiting
        if count < self._limit - self._limit // _CALM_SHARE:
            self._is_evicting = self._is_refusing = False
        if count < self._limit:
            connection = Http1Connection(self._service, transport)
            self._nursery.start_soon(connection.run)
        elif self._waiting < _MAX_WAITING:
            self._waiting += 1
            self._make_room(transport)
            self._nursery.start_soon(self._start_later, transport)
        else:
            self._start_refusal(transport)

    async def settle(self) -> None:
        """Wait until every waiting connection was started or refused: a few turns of the loop.

        Cancellation:
          Ends the wait.
        """
        while self._waiting:
            await trio.lowlevel.checkpoint()

    def _make_room(self, transport: Transport) -> None:
        """Evict idle connections, if more new ones wait than there will be room for."""
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
            self._start_refusal(transport)

    async def _wait_for_room(self, transport: Transport) -> bool:
        for _ in range(_MAX_TURNS):
            await trio.lowlevel.checkpoint()
            if len(self._service.connections) < self._limit:
                return True
            self._make_room(transport)
        return False

    def _first_to_evict(self) -> list[Served]:
        """Return a batch of idle connections, in the order of CN-28."""
        now = trio.current_time()
        if now < self._next_scan:
            return []
        connections = self._service.connections
        idle = [each for each in connections if each.is_idle and not each.is_leaving]
        if len(idle) < self._batch and len(connections) > _MAX_UNPAUSED:
            self._next_scan = now + len(connections) * _PAUSE_SECONDS
        return heapq.nsmallest(self._batch, idle, key=attrgetter("has_served", "idle_since"))

    def _start_refusal(self, transport: Transport) -> None:
        self._refused += 1
        if not self._is_refusing:
            self._is_refusing = True
            logger.warning("%d connections are open: refusing %s", self._limit, transport.peer)
        # A TLS peer cannot read plaintext, and a flood should not cost us handshakes.
        is_answered = self._refusals < _MAX_REFUSALS and not transport.is_secure
        self._refusals += 1
        self._nursery.start_soon(self._refuse, transport, is_answered)

    async def _refuse(self, transport: Transport, is_answered: bool) -> None:
        try:
            if is_answered:
                with trio.move_on_after(_REFUSAL_SECONDS):
                    await self._send_503(transport)
        except ClientDisconnected as error:
            logger.debug("%s: %s", transport.peer, error)
        finally:
            self._refusals -= 1
            # No effect after a proper close.
            transport.abort()
            await transport.aclose()

    async def _send_503(self, transport: Transport) -> None:
        response = render_error(
            503,
            date_line=self._service.date_line(),
            server_line=self._service.server_line,
            fields=ServiceUnavailable(retry_after=_RETRY_AFTER_SECONDS).headers,
        )
        if transport.send_nowait(response) == 0:
            await transport.send_some(response)
        await close_politely(transport)

    def __repr__(self) -> str:
        return f"<Admission of {self._limit}, {self._refusals} being refused>"
