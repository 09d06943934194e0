"""What a conn asks of its connection, answered."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, final

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ..conn import Info
    from ..swansong import Swansong
    from ..transport import Listener
    from ._service import Service
    from ._wire import Wire

__all__ = ["ConnectionLink"]


@final
class ConnectionLink:
    """The `Link` of every conn of one connection.

    Args:
      service: What all connections of the server share.
      wire: The connection's own.
    """

    __slots__ = ("_service", "_wire")

    def __init__(self, service: Service, wire: Wire) -> None:
        self._service = service
        self._wire = wire

    @property
    def info(self) -> Info:
        """See `Link`."""
        return self._service.info

    @property
    def swansong(self) -> Swansong:
        """See `Link`."""
        return self._service.swansong

    @property
    def listener(self) -> Listener:
        """See `Link`."""
        return self._wire.transport.listener

    @property
    def peer_ip(self) -> str | None:
        """See `Link`."""
        return self._wire.transport.peer_ip

    @property
    def is_secure(self) -> bool:
        """See `Link`."""
        return self._wire.transport.is_secure

    @property
    def max_body_bytes(self) -> int:
        """See `Link`."""
        return self._service.http.max_body_bytes

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
        # Not left to the task, which may begin after the first read of the block.
        self._wire.begin_watch()
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(partial(self._wire.watch, scope, eof=eof))
                try:
                    yield scope
                except Exception as caught:  # raised below, bare: no group
                    error = caught
            nursery.cancel_scope.cancel()
        if error is not None:
            raise error

    def start_background(
        self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        """See `Link`."""
        self._service.starter.start_background(fn, args)

    def __repr__(self) -> str:
        return f"<ConnectionLink {self._wire.transport.peer}>"
