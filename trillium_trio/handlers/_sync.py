"""A plain function as a handler, in a worker thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from anyio.to_thread import run_sync

from .._log import callable_name
from ..conn import Handler

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..conn import Conn

__all__ = ["sync_handler"]


def sync_handler(fn: Callable[[Conn], Conn]) -> Handler:
    """Return a handler that calls a plain function in a worker thread.

    `anyio.from_thread` works in it. A thread cannot be cancelled: at the deadline of a drain it is
    abandoned, its result discarded, and the report names it.

    Args:
      fn: Takes the conn, returns it.
    """
    return _SyncHandler(fn)


@final
class _SyncHandler(Handler):
    def __init__(self, fn: Callable[[Conn], Conn]) -> None:
        self._fn = fn

    async def run(self, conn: Conn) -> Conn:
        return await run_sync(self._fn, conn, abandon_on_cancel=True)

    @property
    def name(self) -> str:
        return f"sync_handler({callable_name(self._fn)})"
