"""LISTEN: what other connections notify, waited for by trio.

It uses libpq's own functions for that, through ``psycopg.pq``: no thread is held by a connection on
which nothing may come for hours.
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, final

import trio

from ..._log import SafeLogger
from ._driver import reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ._driver import Driver

__all__ = ["listen"]

logger = SafeLogger("trillium_trio.postgres")

_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 5.0


async def listen(driver: Driver, channel: str, timeout: float) -> AsyncGenerator[str | None, None]:
    """Yield the payloads of a channel for ever; None first, and after each loss.

    Args:
      driver: Connects.
      channel: Its name, any.
      timeout: See `Postgres`.
    """
    pause = _FIRST_PAUSE_SECONDS
    is_lost = False
    while True:
        listener = _Listener(driver, timeout)
        try:
            await listener.connect(channel)
            if is_lost:
                logger.info("PostgreSQL at %s is back; listens to %r", driver.where, channel)
            is_lost = False
            pause = _FIRST_PAUSE_SECONDS
            yield None
            while True:
                for payload in await listener.receive():
                    yield payload
        except (driver.lost, trio.TooSlowError) as error:
            if not is_lost:
                is_lost = True
                logger.warning(
                    "PostgreSQL at %s is lost; nothing is heard of %r: %s",
                    *(driver.where, channel, reason_of(error) or "no answer"),
                )
        finally:
            listener.close()
        # At random, so that not all processes come back to a restarted server at once.
        await trio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)
        pause = min(2 * pause, _MAX_PAUSE_SECONDS)


@final
class _Listener:
    """One connection that listens. Its methods wait for the server for ``timeout`` at most."""

    def __init__(self, driver: Driver, timeout: float) -> None:
        self._driver = driver
        self._pq = driver.pq
        self._timeout = timeout
        self._pgconn: Any = None  # psycopg.pq.PGconn, optional

    async def connect(self, channel: str) -> None:
        """Connect, and listen.

        Raises:
          Driver.lost: The database cannot be reached, or refuses.
          trio.TooSlowError: It does not answer.

        Cancellation:
          It is to be closed.
        """
        with trio.fail_after(self._timeout):
            # It looks for the host's address, which blocks.
            self._pgconn = pgconn = await trio.to_thread.run_sync(
                self._driver.start, abandon_on_cancel=True
            )
            steps = self._pq.PollingStatus
            while (step := pgconn.connect_poll()) != steps.OK:
                if step == steps.READING:
                    await trio.lowlevel.wait_readable(pgconn.socket)
                elif step == steps.WRITING:
                    await trio.lowlevel.wait_writable(pgconn.socket)
                else:
                    raise self._driver.lost(pgconn.get_error_message())
            pgconn.nonblocking = 1
            quoted = '"{}"'.format(channel.replace('"', '""'))
            await self._query(f"LISTEN {quoted}".encode())

    async def receive(self) -> list[str]:
        """Return the next payloads, at least one.

        A server that is silent is asked whether it is still there.

        Raises:
          Driver.lost: The connection is lost.
          trio.TooSlowError: The server does not answer.

        Cancellation:
          What has come is returned by the next call.
        """
        pgconn = self._pgconn
        while not (payloads := [each.extra.decode() for each in iter(pgconn.notifies, None)]):
            with trio.move_on_after(self._timeout) as silence:
                await trio.lowlevel.wait_readable(pgconn.socket)
            if silence.cancelled_caught:
                with trio.fail_after(self._timeout):
                    await self._query(b"")
            else:
                pgconn.consume_input()
        return payloads

    async def _query(self, query: bytes) -> None:
        """Send a query, and wait until it is done."""
        pgconn = self._pgconn
        pgconn.send_query(query)
        while pgconn.flush():
            await trio.lowlevel.wait_writable(pgconn.socket)
        while True:
            while pgconn.is_busy():
                await trio.lowlevel.wait_readable(pgconn.socket)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                return
            if result.status == self._pq.ExecStatus.FATAL_ERROR:
                raise self._driver.lost(result.get_error_message())

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._pgconn is not None:
            with suppress(self._driver.lost):
                self._pgconn.finish()
