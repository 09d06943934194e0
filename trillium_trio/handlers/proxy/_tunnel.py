"""A connection that speaks another protocol, such as WebSocket, through the proxy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, final

import trio

from ..._log import SafeLogger
from ...exceptions import ClientDisconnected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ...conn import Conn, Upgrade
    from ._lease import Lease

__all__ = ["Tunnel"]

logger = SafeLogger("trillium_trio.proxy")

_PIECE_BYTES = 65_536


@final
class Tunnel:
    """What connects a client with an upstream that has switched protocols.

    It is left on the conn, for `Handler.upgrade`.

    Args:
      owner: The handler that has made it.
      lease: The connection to the upstream.
      idle_timeout: How long both sides may be silent.
    """

    def __init__(self, owner: object, lease: Lease, *, idle_timeout: float) -> None:
        self.owner: object = owner
        self._lease = lease
        self._idle_timeout = idle_timeout
        self._scope = trio.CancelScope()

    async def run(self, upgrade: Upgrade) -> None:
        """Copy both ways until both sides have sent their end, one breaks, or both are silent.

        Cancellation:
          At the deadline of a drain. The upstream's connection is closed, the client's by the
          caller.
        """
        transport, wire = upgrade.transport, self._lease.wire
        stream = wire.stream

        async def end_stream() -> None:
            # TLS cannot be half-closed: the upstream learns of the end when the other way ends too.
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()

        up = partial(self._copy, transport.receive_some, stream.send_all, end_stream)
        down = partial(self._copy, stream.receive_some, transport.send_all, transport.send_eof)
        self._touch()
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(up, upgrade.leftover)
                nursery.start_soon(down, wire.take_leftover())
        if trio.current_time() >= self._scope.deadline:
            logger.info(
                "%s: %s %s: closed, because nothing was sent either way for %g s",
                *(transport.peer, upgrade.method, upgrade.path, self._idle_timeout),
            )

    async def _copy(
        self,
        receive: Callable[[int], Awaitable[bytes | bytearray]],
        send: Callable[[bytes | bytearray], Awaitable[None]],
        send_eof: Callable[[], Awaitable[None]],
        first: bytes,
    ) -> None:
        try:
            piece: bytes | bytearray = first or await receive(_PIECE_BYTES)
            while piece:
                self._touch()
                await send(piece)
                self._touch()
                piece = await receive(_PIECE_BYTES)
            await send_eof()
        except (ClientDisconnected, trio.BrokenResourceError, trio.ClosedResourceError):
            # One that is gone reads nothing either.
            self._scope.cancel(reason="one side has gone")

    def _touch(self) -> None:
        self._scope.deadline = trio.current_time() + self._idle_timeout

    async def close_after(self, _: Conn) -> None:
        """Close the connection to the upstream, also if the response could not be sent."""
        await self._lease.aclose()
