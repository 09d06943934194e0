"""Broadcasts by the publish and subscribe of Redis."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Any, final

import trio

from ..._log import SafeLogger, text_of
from ..._util import check_number
from ...exceptions import MisuseError
from ..redis import Redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["RedisBroker"]

logger = SafeLogger("trillium_trio.channels")

_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 5.0


@final
class RedisBroker:
    """A `Broker` on Redis, version 6 or later, through the library coredis.

    While Redis cannot be reached, broadcasts reach only the clients of their own process: Redis
    keeps none for later. The log has a line when it is lost, and one when it is back. It is tried
    again after 0.1 seconds, then after longer pauses, up to 5 seconds.

    It belongs to one `Channels`. Needs the extra ``redis``.

    Args:
      url: Where Redis is: ``redis://host:port/database``, ``rediss://`` for TLS, ``unix://path``.
      channel: The name of the channel in Redis, for all topics. Applications that share a Redis
        have different ones. Default: ``"trillium-channels"``.
      timeout: For Redis to answer: to a connection, to a broadcast, and to a ping after as long a
        silence. Default: 5. Unit: seconds. Prevents: handlers that wait for a Redis that does not
        answer.

    Attributes:
      unpublished: How many broadcasts of this process did not reach Redis.

    Raises:
      ConfigError: A setting is wrong; the message names it.
      ImportError: The extra is missing.
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379",
        *,
        channel: str = "trillium-channels",
        timeout: float = 5.0,
    ) -> None:
        check_number("RedisBroker.timeout", timeout, least=0.1)
        self._redis = Redis(url, timeout=timeout)
        self.unpublished: int = 0
        self._channel = channel
        self._timeout = timeout
        self._client: Any = None  # coredis.Redis[bytes], optional
        self._attempt = trio.CancelScope()
        self._is_lost = False
        self._is_running = False
        # What `unpublished` was when the log last said so.
        self._reported = 0

    async def run(self, deliver: Callable[[bytes], None]) -> None:
        """See `Broker`.

        Raises:
          MisuseError: It runs already, for another `Channels`.

        Cancellation:
          Closes the connections.
        """
        if self._is_running:
            raise MisuseError(f"{self!r} belongs to one Channels; create another for the other")
        self._is_running = True
        try:
            await self._stay_connected(deliver)
        finally:
            self._is_running = False

    async def _stay_connected(self, deliver: Callable[[bytes], None]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            begun = trio.current_time()
            try:
                with trio.CancelScope() as self._attempt:
                    await self._subscribe(deliver)
            # The network's, Redis's, or those of coredis that come beside a cancellation.
            except* Exception as errors:
                if trio.current_effective_deadline() > -inf:
                    self._lose(errors)
            if trio.current_time() - begun > _MAX_PAUSE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            # At random, so that not all processes come back to a restarted Redis at once.
            await trio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)

    async def publish(self, message: bytes) -> None:
        """See `Broker`.

        Cancellation:
          It may have been sent.
        """
        client = self._client
        if client is None:
            self.unpublished += 1
            return  # the log says so when Redis is back
        try:
            with trio.fail_after(self._timeout):
                await client.publish(self._channel, message)
        except Exception as error:
            self.unpublished += 1
            self._lose(error)
            if self._client is client:
                # The subscription may not have noticed, or may even work.
                self._attempt.cancel(reason="a broadcast could not be published")

    async def _subscribe(self, deliver: Callable[[bytes], None]) -> None:
        """Deliver messages until the connection is lost.

        Raises:
          Exception: Why it was lost.
        """
        async with self._connected() as (client, subscription):
            self._client = client
            self._find_again()
            try:
                async for message in subscription:
                    if message["type"] == "message":
                        deliver(message["data"])
            finally:
                self._client = None
        raise ConnectionError("the subscription has ended")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[Any, Any]]:  # coredis's, optional
        async with (
            self._redis.connected() as client,
            client.pubsub(
                channels=[self._channel],
                retry_policy=client.retry_policy,
                subscription_timeout=self._timeout,
                max_idle_seconds=self._timeout,
            ) as subscription,
        ):
            yield client, subscription

    def _lose(self, error: BaseException) -> None:
        if not self._is_lost:
            self._is_lost = True
            logger.warning(
                "Redis at %s is lost, broadcasts stay in their process: %s",
                self._redis.where,
                text_of(repr, _first(error)),  # a record would keep the connection's frames
            )

    def _find_again(self) -> None:
        missed, self._reported = self.unpublished - self._reported, self.unpublished
        if self._is_lost or missed:
            self._is_lost = False
            logger.info(
                "Redis at %s is back; %d broadcasts of this process stayed in it",
                self._redis.where,
                missed,
            )

    def __repr__(self) -> str:
        return f"<RedisBroker {self._redis.where} {self._channel}>"


def _first(error: BaseException) -> BaseException:
    """Return what a group was made for: its first exception that is none."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
