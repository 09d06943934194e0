"""The handler: holds connections to a database while the server serves."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, final

import trio

from ..._log import SafeLogger, callable_name
from ..._util import check_count, check_number
from ...conn import Handler, OnConn
from ...exceptions import ConfigError, MisuseError, ServiceUnavailable
from ._driver import Driver, reason_of
from ._listen import listen
from ._pool import Call, CannotBegin, Pool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from typing import Self, TypeVarTuple

    from ...conn import Conn, Info
    from ._driver import PgConnection

    Ts = TypeVarTuple("Ts")

__all__ = ["Postgres"]

T = TypeVar("T")
F = TypeVar("F", bound="Callable[[PgConnection], object]")

logger = SafeLogger("trillium_trio.postgres")

# "trillium" in ASCII: the key of the lock that processes prepare a database under.
_LOCK: Final = 0x7472696C6C69756D
_MAX_CHANNEL_BYTES: Final = 63


@final
class Postgres(Handler, OnConn, left_by="Postgres"):
    """Holds connections to a PostgreSQL database: ``await db.transact(fn, *args)``.

    It connects before the server is ready, and closes the connections when the last request has
    ended. Handlers behind it find it with ``Postgres.of(conn)``. The library is psycopg 3, in
    worker threads: a function gets a ``psycopg.Connection``, and may block. Needs the extra
    ``postgres``.

    Args:
      url: Where the database is: ``postgresql://user@host:port/database``, or what else libpq
        takes. What it does not say is in the variables of libpq, such as PGPASSWORD.
      max_size: How many connections are used at a time, without those that listen; further
        functions wait for one. Default: 10. Prevents: too many connections for the database.
      timeout: For a connection to be free and to answer, before a function is run; for one to be
        made; for one that listens to answer. Default: 5. Unit: seconds. Prevents: requests that
        wait for a database that does not answer.
      configure: Called with each new connection, in a worker thread: for the adapters of types or
        a ``row_factory``.

    Raises:
      ConfigError: A setting is wrong; the message names it.
      ImportError: The extra is missing.
    """

    def __init__(
        self,
        url: str = "",
        *,
        max_size: int = 10,
        timeout: float = 5.0,
        configure: Callable[[PgConnection], object] | None = None,
    ) -> None:
        check_count("Postgres.max_size", max_size, least=1)
        check_number("Postgres.timeout", timeout, least=0.1)
        self._driver = Driver(url, timeout)
        self._max_size = max_size
        self._timeout = timeout
        self._configure = configure
        self._preparing: list[Callable[[PgConnection], object]] = []
        self._pool: Pool | None = None
        self._is_lost = False

    def prepare(self, fn: F) -> F:
        """Have a function called with a connection before the server is ready. For a decorator.

        All of them are called in one transaction, in this order, while no other process prepares
        the same database: two that start at once do not collide.

        Raises:
          MisuseError: The database is open already.
        """
        if self._pool is not None:
            raise MisuseError(f"{self!r} is open already; prepare it before it is served")
        self._preparing.append(fn)
        return fn

    async def transact(self, fn: Callable[[PgConnection, *Ts], T], *args: *Ts) -> T:
        """Call a function with a connection and these arguments, in one transaction.

        It runs in a worker thread. The transaction is committed when it returns, and rolled back
        when it raises. It is called once: if the connection is lost meanwhile, that is its
        exception. A connection that was lost before is replaced.

        Returns:
          What the function returns.

        Raises:
          ServiceUnavailable: No connection is free or can be made within ``timeout``; the function
            was not called. Answerable (503).
          psycopg.Error: The database refuses what the function asks, or is lost meanwhile.
          Exception: The function's.
          MisuseError: The database is not open.

        Cancellation:
          The query is cancelled on the server, and the connection ended; that takes 2 seconds at
          most. The transaction may be committed if it was about to be. A function that does not
          return then is abandoned, and the log names it.
        """
        try:
            return await self._transact(fn, *args)
        except CannotBegin as error:
            if not self._is_lost:
                self._is_lost = True
                logger.warning("PostgreSQL is lost: %s", error)
            raise ServiceUnavailable(str(error)) from error.__cause__

    def listen(self, channel: str) -> AsyncGenerator[str | None, None]:
        """Yield the payloads of what is notified on a channel: ``async for payload in ...``.

        None means: it listens now, look yourself, something may have been missed. It comes first,
        and again when a lost connection was replaced, which is tried after 0.1 seconds, then after
        longer pauses, up to 5 seconds. It never ends by itself: see `Swansong.interrupt`.

        Each has a connection of its own. Listen once in a process, and pass on what is heard.

        Args:
          channel: Its name, up to 63 bytes, as it is in ``pg_notify``.

        Raises:
          ConfigError: The name is empty or too long.

        Cancellation:
          Closes the connection.
        """
        if not 0 < len(channel.encode()) <= _MAX_CHANNEL_BYTES or "\0" in channel:
            raise ConfigError(f"a channel has a name of 1 to 63 bytes, not {channel!r}")
        return listen(self._driver, channel, self._timeout)

    # -- a handler -----------------------------------------------------------------------------

    async def run(self, conn: Conn) -> Conn:
        """Leave itself on the conn.

        Cancellation:
          None: it does not wait.
        """
        return conn.with_state(self)

    @asynccontextmanager
    async def lifespan(self, info: Info) -> AsyncIterator[None]:
        """Be open while the server serves; see `open`."""
        async with self.open():
            yield

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Connect, prepare the database, and close the connections at the end. For a script.

        Raises:
          ConfigError: The database cannot be reached, or refuses.
          MisuseError: It is open already.
          Exception: That of a function that prepares it.
        """
        if self._pool is not None:
            raise MisuseError(f"{self!r} is open already, in another server; create another")
        self._pool = pool = Pool(self._driver, self._max_size, self._configure)
        try:
            try:
                await self._transact(self._prepare)
            except CannotBegin as error:
                raise ConfigError(f"Postgres: {error}") from error.__cause__
            yield self
        finally:
            self._pool = None
            pool.close()

    def _prepare(self, connection: PgConnection) -> None:
        if not self._preparing:
            return
        lock = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if lock.fetchone() != (True,):
            logger.info("%r: waits for another process that prepares it", self)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        for fn in self._preparing:
            fn(connection)

    async def _transact(self, fn: Callable[[PgConnection, *Ts], T], *args: *Ts) -> T:
        """See `transact`.

        Raises:
          CannotBegin: It cannot connect; the function was not called. The message says why.
          ServiceUnavailable: No connection is free; the function was not called.
        """
        pool = self._pool
        if pool is None:
            raise MisuseError(f"{self!r} is not open: put it among the handlers of the server")
        deadline = trio.current_time() + self._timeout
        with trio.move_on_at(deadline) as waiting:
            await pool.slots.acquire()
        if waiting.cancelled_caught:
            raise ServiceUnavailable(
                f"all {self._max_size} connections to {self._driver.where} were in use for "
                f"{self._timeout:g} s"
            )
        try:
            result = await Call(pool, partial(_call, fn, args), callable_name(fn)).run(deadline)
        except CannotBegin as error:
            reason = reason_of(error.__cause__)
            raise CannotBegin(f"cannot connect to {self._driver.where}: {reason}") from (
                error.__cause__
            )
        finally:
            pool.slots.release()
        if self._is_lost:
            self._is_lost = False
            logger.info("PostgreSQL at %s is back", self._driver.where)
        return result

    def __repr__(self) -> str:
        return f"<Postgres {self._driver.where}>"


def _call(fn: Callable[[PgConnection, *Ts], T], args: tuple[*Ts], connection: PgConnection) -> T:
    return fn(connection, *args)
