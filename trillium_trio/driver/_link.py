"""The `Link` between a conn and its connection."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, final

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..conn import Info
    from ..transport import Transport
    from ._wire import Wire

__all__ = ["ConnectionLink"]


@final
class ConnectionLink:
    """The `Link` of every conn of one connection.

    Args:
      info: The server.
      wire: The connection's own.
    """

    __slots__ = ("_wire", "info")

    def __init__(self, info: Info, wire: Wire) -> None:
        self.info: Info = info
        self._wire = wire

    @property
    def transport(self) -> Transport:
        """See `Link`."""
        return self._wire.transport

    async def is_disconnected(self, *, eof: bool) -> bool:
        """See `Link`.

        Cancellation:
          Changes nothing.
        """
        await trio.lowlevel.checkpoint()
        self._wire.look()
        return self._wire.is_gone or (eof and self._wire.is_eof)

    @asynccontextmanager
    async def cancel_on_disconnect(self, *, eof: bool) -> AsyncIterator[trio.CancelScope]:
        """See `Link`."""
        error: Exception | None = None
        # Not in the task, which may start after the first read of the block.
        self._wire.begin_watch()
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(partial(self._wire.watch, scope, eof=eof))
                try:
                    yield scope
                except Exception as caught:  # raised below, not in a group
                    error = caught
            nursery.cancel_scope.cancel()
        if error is not None:
            raise error

    def __repr__(self) -> str:
        return f"<ConnectionLink {self._wire.transport.peer}>"
