"""Limits on how much is asked: `RateLimit`, `Concurrency` and `LoadShed`."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, final

import trio

from .._util import check_count, check_number
from ..conn import Handler
from ..exceptions import ClientDisconnected, ServiceUnavailable, TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..conn import Conn, Info

__all__ = ["Concurrency", "LoadShed", "RateLimit"]


@final
class RateLimit(Handler):
    """Answers 429 to a client that asks too often (RFC 6585, 4), with Retry-After.

    A client may ask ``requests`` times at once, and then as often as ``per`` allows: each request
    is earned back after ``per / requests`` seconds. Refused requests count for nothing. Each
    process counts for itself.

    Args:
      requests: How many requests.
      per: In how many seconds.
      key: What is counted together: a value that can be hashed, or None for no limit. Default:
        `Conn.peer_ip`; behind a proxy that is the proxy's, unless `Forwarded` comes first.
      max_keys: How many are remembered. One more displaces the one that has asked least recently,
        which may then ask afresh. Default: 100,000. Prevents: memory filled by many addresses.

    Raises:
      ConfigError: A setting is wrong.
    """

    def __init__(
        self,
        requests: int,
        *,
        per: float = 1.0,
        key: Callable[[Conn], object] | None = None,
        max_keys: int = 100_000,
    ) -> None:
        check_count("requests", requests, least=1)
        check_number("per", per, least=0.001)
        check_count("max_keys", max_keys, least=1)
        self._interval = per / requests
        self._burst = per - self._interval
        self._key = _peer_ip if key is None else key
        self._max_keys = max_keys
        # When everything that a key has asked for will be earned back, on trio's clock.
        self._earned: OrderedDict[object, float] = OrderedDict()
        # The run whose clock that is.
        self._trio_run: object = None

    async def init(self, info: Info) -> None:
        """Begin to count, also where it has served in another run of trio.

        Cancellation:
          None: it does not wait.
        """
        trio_run = trio.lowlevel.current_trio_token()
        if self._trio_run is not trio_run:
            self._trio_run = trio_run
            self._earned.clear()

    async def run(self, conn: Conn) -> Conn:
        """Pass the request on, or refuse it.

        Raises:
          TooManyRequests: The client has asked too often. The field says when to come back.

        Cancellation:
          None: it does not wait.
        """
        key = self._key(conn)
        if key is None:
            return conn
        now = trio.current_time()
        earned = max(now, self._earned.get(key, now))
        # The generic cell rate algorithm: a leaky bucket that is one number for each key.
        wait = earned - self._burst - now
        if wait > 1e-9:
            raise TooManyRequests(f"{key} has asked too often", retry_after=wait)
        self._earned[key] = earned + self._interval
        self._earned.move_to_end(key)
        if len(self._earned) > self._max_keys:
            self._earned.popitem(last=False)
        return conn


def _peer_ip(conn: Conn) -> object:
    # A unix socket has one peer: whoever may open it.
    return conn.peer_ip or "unix"


@final
class Concurrency(Handler):
    """Lets so many requests in at once; the others wait in line, first come, first served.

    A request is in until its response has been sent, the last byte of a stream included, and its
    ``after_send`` functions have run. One that waits is guarded like any other, and leaves the line
    if its client disconnects. If the line is full, or the wait too long, it is answered 503.

    Args:
      max_requests: How many are in at once.
      max_waiting: How many wait. Default: 0, which refuses at once.
      max_wait: How long one waits. Unit: seconds. Default: 5.
      retry_after: What a 503 says. Unit: seconds. Default: 1.

    Raises:
      ConfigError: A setting is wrong.
    """

    def __init__(
        self,
        max_requests: int,
        *,
        max_waiting: int = 0,
        max_wait: float = 5.0,
        retry_after: float = 1.0,
    ) -> None:
        check_count("max_requests", max_requests, least=1)
        check_count("max_waiting", max_waiting, least=0)
        check_number("max_wait", max_wait, least=0)
        check_number("retry_after", retry_after, least=0)
        # First come, first served; a wait that is cancelled takes no place.
        self._places = trio.Semaphore(max_requests, max_value=max_requests)
        self._max_waiting = max_waiting
        self._max_wait = max_wait
        self._retry_after = retry_after

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._places.statistics().tasks_waiting

    @property
    def active(self) -> int:
        """How many requests are in."""
        assert self._places.max_value is not None
        return self._places.max_value - self._places.value

    async def run(self, conn: Conn) -> Conn:
        """Let the request in, perhaps after a wait.

        Raises:
          ServiceUnavailable: The line is full, or the wait too long.
          ClientDisconnected: The client has left the line.

        Cancellation:
          The request leaves the line.
        """
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            await self._wait(conn)
        return conn.after_send(self._leave)

    async def _wait(self, conn: Conn) -> None:
        if self.waiting >= self._max_waiting:
            raise ServiceUnavailable("the line is full", retry_after=self._retry_after)
        is_in = False
        try:
            with trio.move_on_after(self._max_wait):
                async with conn.cancel_on_disconnect() as client:
                    await self._places.acquire()
                    is_in = True
        except BaseException:
            if is_in:
                self._places.release()
            raise
        if is_in:
            return  # even if the wait was cut short in the same moment
        if client.cancelled_caught:
            raise ClientDisconnected("the client has left the line")
        raise ServiceUnavailable("the wait was too long", retry_after=self._retry_after)

    async def _leave(self, _: Conn) -> None:
        self._places.release()


@final
class LoadShed(Handler):
    """Answers 503 while the event loop is late: an overloaded server that answers some is best.

    The server's tasks run in turn. How long one waits for its turn is measured all the time; while
    it is more than ``max_lag``, new requests are refused before anything is done for them. Put what
    must be answered, such as `Health`, in front.

    Args:
      max_lag: The bearable lag. Unit: seconds. Default: 0.25.
      interval: How often it is measured. Unit: seconds. Default: 0.05.
      retry_after: What a 503 says. Unit: seconds. Default: 1.

    Raises:
      ConfigError: A setting is wrong.
    """

    def __init__(
        self, *, max_lag: float = 0.25, interval: float = 0.05, retry_after: float = 1.0
    ) -> None:
        check_number("max_lag", max_lag, least=0.001)
        check_number("interval", interval, least=0.001)
        check_number("retry_after", retry_after, least=0)
        self._max_lag = max_lag
        self._interval = interval
        self._retry_after = retry_after
        self._lag = 0.0

    @property
    def lag(self) -> float:
        """The lag that was measured last, in seconds."""
        return self._lag

    async def init(self, info: Info) -> None:
        """Start to measure.

        Cancellation:
          None: it does not wait.
        """
        info.start_service(self._measure)

    async def run(self, conn: Conn) -> Conn:
        """Pass the request on, or refuse it.

        Raises:
          ServiceUnavailable: The loop is late.

        Cancellation:
          None: it does not wait.
        """
        if self._lag > self._max_lag:
            raise ServiceUnavailable(
                f"the event loop is {self._lag:.2f} s late", retry_after=self._retry_after
            )
        return conn

    async def _measure(self) -> None:
        while True:
            due = trio.current_time() + self._interval
            await trio.sleep_until(due)
            self._lag = trio.current_time() - due
