"""Redis: a client while the server serves, and sessions in it.

The channels' `RedisBroker` connects with it as well.
"""

from __future__ import annotations

from ._handler import Redis
from ._store import RedisStore

__all__ = ["Redis", "RedisStore"]
