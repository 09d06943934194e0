"""The `Link` of a conn: what it asks of its connection."""

from __future__ import annotations

from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from contextvars import Context

    from ..conn import Info
    from ..http import Headers
    from ._exchange import Exchange
    from ._service import Service
    from ._wire import Wire

__all__ = ["ConnectionLink"]


class ConnectionLink:
    """The part of a connection that its conns know; see `Link`.

    A base class and no object beside it, which would take memory for each connection, and refer
    back to it: then only the garbage collector could free a closed one.
    """

    __slots__ = ("context", "facts")

    context: Context | None
    facts: object | None
    # Slots of `Connection`.
    service: Service
    wire: Wire
    exchange: Exchange | None

    @property
    def info(self) -> Info:
        """See `Link`."""
        return self.service.info

    async def is_disconnected(self, *, eof: bool) -> bool:
        """See `Link`.

        Cancellation:
          Changes nothing.
        """
        await trio.lowlevel.checkpoint()
        self.wire.look()
        return self.wire.is_gone or (eof and self.wire.is_eof)

    @asynccontextmanager
    async def cancel_on_disconnect(self, *, eof: bool) -> AsyncIterator[trio.CancelScope]:
        """See `Link`."""
        error: Exception | None = None
        # Not in the task, which may start after the first read of the block.
        self.wire.begin_watch()
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(partial(self.wire.watch, scope, eof=eof))
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
        self.wire.look()
        await self.wire.wait_gone(eof=eof)

    def send_now(self) -> Coroutine[object, object, bytes | None]:
        """See `Link`."""
        exchange = self.exchange
        assert exchange is not None, "its handler runs"
        return exchange.send_now()

    async def send_interim(self, status: int, fields: Headers) -> None:
        """See `Link`.

        Cancellation:
          Part of it may have been sent: the connection can only be aborted.
        """
        exchange = self.exchange
        assert exchange is not None, "its handler runs"
        await exchange.send_interim(status, fields)

    def isolate(self) -> None:
        """See `Link`."""
        if self.context is None:
            self.context = copy_context()
