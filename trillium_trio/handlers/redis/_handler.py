"""The handler: holds a client of Redis while the server serves."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, final
from urllib.parse import urlsplit

import trio

from ..._log import leaves_of, text_of
from ..._util import check_number
from ...conn import Handler, OnConn
from ...exceptions import ConfigError, MisuseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import coredis

    from ...conn import Conn, HasState, Info

__all__ = ["Redis"]

_SCHEMES = ("redis://", "rediss://", "unix://")


@final
class RedisClient(OnConn, left_by="Redis"):
    """What it leaves on a conn."""

    __slots__ = ("client",)

    def __init__(self, client: coredis.Redis[bytes]) -> None:
        self.client = client


@final
class Redis(Handler):
    """Holds a client of Redis, version 6 or later: ``Redis.of(conn)``.

    It connects before the server is ready, and closes the connections when the last request has
    ended. The client is that of the library coredis, which runs on trio: a command that Redis does
    not answer is an exception, and so a 500, and the next one connects again. Needs the extra
    ``redis``.

    Args:
      url: Where Redis is: ``redis://host:port/database``, ``rediss://`` for TLS, ``unix://path``.
      timeout: For Redis to answer: to a connection and to a command. One that blocks for longer
        needs a client of its own. Default: 5. Unit: seconds. Prevents: requests that wait for a
        Redis that does not answer.

    Raises:
      ConfigError: A setting is wrong; the message names it.
      ImportError: The extra is missing.
    """

    def __init__(self, url: str = "redis://127.0.0.1:6379/0", *, timeout: float = 5.0) -> None:
        try:
            import coredis  # noqa: PLC0415 (an optional dependency)
            import coredis.retry  # noqa: PLC0415
        except ImportError as error:
            raise ImportError(
                "Redis needs the extra 'redis': pip install 'trillium-trio[redis]'",
                name="coredis",
            ) from error

        check_number("Redis.timeout", timeout, least=0.1)
        # Not the URL itself, which may hold a password.
        if not url.startswith(_SCHEMES):
            raise ConfigError("Redis.url must begin with redis://, rediss:// or unix://")
        self.where: str = _where(url)
        self._url = url
        self._timeout = timeout
        # Its own policy is to try again, and to say nothing.
        self._never_again = coredis.retry.NoRetryPolicy()
        self._from_url = coredis.Redis.from_url
        self._mark: RedisClient | None = None

    @staticmethod
    def of(conn: HasState) -> coredis.Redis[bytes]:
        """Return the client; what it returns are bytes.

        Raises:
          MisuseError: `Redis` is not in front of the handler that asks.
        """
        return RedisClient.of(conn).client

    @property
    def client(self) -> coredis.Redis[bytes]:
        """The client, while it is open.

        Raises:
          MisuseError: It is not open.
        """
        if self._mark is None:
            raise MisuseError(f"{self!r} is not open: put it among the handlers of the server")
        return self._mark.client

    async def run(self, conn: Conn) -> Conn:
        """Leave the client on the conn.

        Cancellation:
          None: it does not wait.
        """
        return conn.with_state(self._mark)

    @asynccontextmanager
    async def lifespan(self, info: Info) -> AsyncIterator[None]:
        """Be open while the server serves; see `open`."""
        async with self.open():
            yield

    @asynccontextmanager
    async def open(self) -> AsyncIterator[coredis.Redis[bytes]]:
        """Connect, and close the connections at the end. For a script.

        An exception of the block comes in a group: coredis has a nursery around it.

        Raises:
          ConfigError: Redis cannot be reached, or refuses.
          MisuseError: It is open already.
        """
        if self._mark is not None:
            raise MisuseError(f"{self!r} is open already, in another server; create another")
        async with self.connected() as client:
            self._mark = RedisClient(client)
            try:
                yield client
            finally:
                self._mark = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[coredis.Redis[bytes]]:
        """Connect a client of the caller's own; see `open`, which may be open meanwhile or not."""
        client = self._from_url(
            self._url,
            retry_policy=self._never_again,
            connect_timeout=self._timeout,
            stream_timeout=self._timeout,
            pool_timeout=self._timeout,
        )
        failure: Exception | None = None
        async with client:
            try:
                with trio.fail_after(self._timeout):
                    await client.ping()
            except Exception as error:  # left behind the nursery of coredis, which would wrap it
                failure = error
            else:
                yield client
        if failure is not None:
            reason = " ".join(text_of(str, leaves_of(failure)[0]).split()) or "no answer"
            raise ConfigError(f"Redis: cannot connect to {self.where}: {reason}") from failure

    def __repr__(self) -> str:
        return f"<Redis {self.where}>"


def _where(url: str) -> str:
    """Return a URL without a password, which may be in its query as well.

    Raises:
      ConfigError: It cannot be read.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigError(
            "Redis.url cannot be read; it is like redis://user@host:port/database"
        ) from None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
