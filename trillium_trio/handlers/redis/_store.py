"""Sessions in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from ._handler import Redis

__all__ = ["RedisStore"]


@final
class RedisStore:
    """A `SessionStore` in Redis: ``Sessions(store=RedisStore(redis))``, behind ``redis``.

    Redis removes the sessions that are over. One that is short of memory may remove others, as its
    setting ``maxmemory-policy`` says.

    Args:
      redis: Where.
      prefix: Of the keys. Applications that share a database of Redis have different ones.
        Default: ``"trillium-session:"``.
    """

    def __init__(self, redis: Redis, *, prefix: str = "trillium-session:") -> None:
        from coredis import PureToken  # noqa: PLC0415 (optional, and there: redis has needed it)

        self._redis = redis
        self._if_new: Final = PureToken.NX
        self._if_there: Final = PureToken.XX
        self._prefix = prefix

    async def load(self, ident: str) -> str | None:
        """See `SessionStore`.

        Raises:
          Exception: Redis does not answer: coredis's or a TimeoutError, here and below.

        Cancellation:
          Changes nothing.
        """
        record = await self._redis.client.get(self._prefix + ident)
        return None if record is None else record.decode()

    async def save(self, ident: str, record: str, max_age: int, *, is_new: bool) -> bool:
        """See `SessionStore`. A new one does not replace another.

        Cancellation:
          It may be saved or not.
        """
        return await self._redis.client.set(
            self._prefix + ident,
            record,
            ex=max_age,
            condition=self._if_new if is_new else self._if_there,
        )

    async def delete(self, ident: str) -> None:
        """See `SessionStore`.

        Cancellation:
          It may be deleted or not.
        """
        await self._redis.client.delete([self._prefix + ident])

    def __repr__(self) -> str:
        return f"<RedisStore {self._prefix} in {self._redis!r}>"
