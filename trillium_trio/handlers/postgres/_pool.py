"""Connections that are used again, and one function on one of them, in a worker thread.

.. code-block:: text

    event loop                                   worker thread
    ----------                                   -------------
    wait for a slot, then for the thread   -->   take a connection, or make one
                                                 BEGIN: is it alive? if not, take another one
    from here on without a time limit      <--
                                                 the function
                                           <--   COMMIT or ROLLBACK, put the connection back
    cancelled: cancel on the server, sever -->   the function finds its connection lost
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Generic, TypeVar, final

import trio
from outcome import Outcome, capture

from ..._log import SafeLogger
from ._driver import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._driver import Driver, Link, PgConnection

__all__ = ["Call", "CannotBegin", "Pool"]

T = TypeVar("T")

logger = SafeLogger("trillium_trio.postgres")

# For the server to take a request to cancel, and then for the thread to notice.
_CANCEL_SECONDS = 1.0
_NOTICE_SECONDS = 1.0


class CannotBegin(Exception):
    """No connection could be had: nothing was run. The driver's exception is the cause."""


@final
class Pool:
    """Connections that wait to be used again, the last used one first. For any thread.

    Args:
      driver: Makes the connections.
      size: How many may be in use.
      configure: Called with each new connection.

    Attributes:
      slots: To be held while a connection is in use.
      threads: No limit: the slots are.
    """

    def __init__(
        self, driver: Driver, size: int, configure: Callable[[PgConnection], object] | None
    ) -> None:
        self.driver: Driver = driver
        self.slots: trio.Semaphore = trio.Semaphore(size, max_value=size)
        self.threads: trio.CapacityLimiter = trio.CapacityLimiter(inf)
        self._configure = configure
        self._idle: deque[Link] = deque()
        self._lock = threading.Lock()
        self._is_closed = False

    def take(self) -> Link | None:
        """Return a connection that was used before, if there is one; it may be lost meanwhile."""
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def connect(self) -> Link:
        """Make a connection. It blocks.

        Raises:
          CannotBegin: It cannot be made.
        """
        try:
            link = self.driver.connect()
        except self.driver.lost as error:
            raise CannotBegin from error
        if self._configure is not None:
            try:
                self._configure(link.connection)
            except BaseException:
                link.close()
                raise
        return link

    def put(self, link: Link) -> None:
        """Keep a connection for the next one, or close it if it cannot be used again."""
        with self._lock:
            if link.is_clean and not self._is_closed:
                self._idle.append(link)
                return
        link.close()

    def close(self) -> None:
        """Close all connections, those in use when they are put back."""
        with self._lock:
            self._is_closed = True
        while (link := self.take()) is not None:
            link.close()


@final
class Call(Generic[T]):
    """One function in one transaction.

    Args:
      pool: Has the connection.
      fn: Is called with the connection.
      name: The function's, for the log and for reports of a drain.
    """

    def __init__(self, pool: Pool, fn: Callable[[PgConnection], T], name: str) -> None:
        self._pool = pool
        self._fn = fn
        self._name = name
        self._token = trio.lowlevel.current_trio_token()
        # Until the function is called.
        self._starting = trio.CancelScope()
        self._over = trio.Event()
        # Of what follows, which both threads use.
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._has_begun = False
        self._is_ended = False
        self._is_abandoned = False
        self._outcome: Outcome[T] | None = None

    async def run(self, deadline: float) -> T:
        """Run the function in a worker thread; return what it returns.

        Args:
          deadline: Until when the function has to be called.

        Raises:
          CannotBegin: The function was not called.
          Exception: The function's. The transaction was rolled back.

        Cancellation:
          The query is cancelled on the server, and the connection ended. If the thread does not
          notice, it is abandoned, and the log names it.
        """
        try:
            with self._starting:
                self._starting.deadline = deadline
                thread = trio.to_thread.run_sync(
                    self._work,
                    thread_name=self._name,
                    abandon_on_cancel=True,
                    limiter=self._pool.threads,
                )
                return (await thread).unwrap()
            if self._give_up():
                await self._end()
                raise CannotBegin from TimeoutError("no answer")
            # It was called in time; the event loop was late to hear of it.
            return (await self._result()).unwrap()
        except trio.Cancelled:
            await self._end()
            raise
        finally:
            self._outcome = None  # an exception in it has this frame, which has this object

    def _give_up(self) -> bool:
        """Have the function not be called; return whether that was in time."""
        with self._lock:
            self._is_ended = not self._has_begun
            return self._is_ended

    async def _end(self) -> None:
        """End what the thread does, for a few seconds at most."""
        with trio.CancelScope(shield=True) as scope:
            scope.deadline = trio.current_time() + _CANCEL_SECONDS + _NOTICE_SECONDS
            with self._lock:
                self._is_ended = True
            await trio.to_thread.run_sync(
                self._cancel, abandon_on_cancel=True, limiter=self._pool.threads
            )
            await self._result()
        if scope.cancelled_caught and self._has_begun:
            logger.error(
                "%s on %s did not end when it was cancelled; its thread is abandoned",
                *(self._name, self._pool.driver.where),
            )

    async def _result(self) -> Outcome[T]:
        """Return what the thread returns to nobody else."""
        with self._lock:
            self._is_abandoned = True
            if self._outcome is not None:
                return self._outcome
        await self._over.wait()
        assert self._outcome is not None
        return self._outcome

    # -- in threads ----------------------------------------------------------------------------

    def _work(self) -> Outcome[T]:
        done = capture(self._call)
        with self._lock:
            self._outcome = done
            if self._is_abandoned:
                self._tell(self._over.set)
        return done

    def _call(self) -> T:
        while True:
            link = self._pool.take()
            is_fresh = link is None
            link = link or self._pool.connect()
            self._hold(link)
            try:
                # It sends BEGIN, and waits for the answer.
                with link.connection.transaction():
                    self._begin()
                    return self._fn(link.connection)
            except self._pool.driver.lost as error:
                if self._has_begun:
                    raise
                if is_fresh or self._is_ended:
                    raise CannotBegin from error
                # The server was restarted, or has closed an idle connection.
            finally:
                self._release()

    def _hold(self, link: Link) -> None:
        with self._lock:
            if not self._is_ended:
                self._link = link
                return
        link.close()
        raise CannotBegin

    def _begin(self) -> None:
        with self._lock:
            if self._is_ended:
                raise CannotBegin
            self._has_begun = True
        self._tell(self._begun)

    def _begun(self) -> None:
        self._starting.deadline = inf

    def _release(self) -> None:
        with self._lock:  # not while it is being cancelled
            link, self._link = self._link, None
        if link is None:
            return
        if self._is_ended:
            # A cancellation may reach the server late, and must not hit another function.
            link.close()
        else:
            self._pool.put(link)

    def _cancel(self) -> None:
        """Cancel the query on the server, and end the connection, so that no other follows."""
        with self._lock:
            link = self._link
            if link is None:
                return
            try:
                if self._has_begun:
                    self._pool.driver.cancel(link, _CANCEL_SECONDS)
            except Exception as error:
                logger.warning(
                    "%s on %s could not be cancelled: %s",
                    *(self._name, self._pool.driver.where, reason_of(error)),
                )
            link.sever()

    def _tell(self, fn: Callable[[], None]) -> None:
        """Have the event loop call a function, unless it has ended before this thread."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(fn)
