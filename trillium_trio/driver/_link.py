"""The `Link` between a conn and its connection."""

from __future__ import annotations

from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, final

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from ..conn import Info
    from ..http import Headers
    from ..transport import Transport
    from ._exchange import Carrier
    from ._wire import Wire

__all__ = ["ConnectionLink"]


@final
class ConnectionLink:
    """The `Link` of every conn of one connection.

    Args:
      info: The server.
      wire: The connection's own.
      carrier: The connection.
    """

    __slots__ = ("_carrier", "_wire", "info")

    def __init__(self, info: Info, wire: Wire, carrier: Carrier) -> None:
        self.info: Info = info
        self._wire = wire
        self._carrier = carrier

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

    async def wait_disconnected(self, *, eof: bool) -> None:
        """See `Link`.

        Cancellation:
          Ends the wait; bytes received meanwhile are kept.
        """
        self._wire.look()
        await self._wire.wait_gone(eof=eof)

    def send_now(self) -> Coroutine[object, object, bytes | None]:
        """See `Link`."""
        exchange = self._carrier.exchange
        assert exchange is not None, "its handler runs"
        return exchange.send_now()

    async def send_interim(self, status: int, fields: Headers) -> None:
        """See `Link`.

        Cancellation:
          Part of it may have been sent: the connection can only be aborted.
        """
        exchange = self._carrier.exchange
        assert exchange is not None, "its handler runs"
        await exchange.send_interim(status, fields)

    def isolate(self) -> None:
        """See `Link`."""
        if self._carrier.context is None:
            self._carrier.context = copy_context()

    def __repr__(self) -> str:
        return f"<ConnectionLink {self._wire.transport.peer}>"
