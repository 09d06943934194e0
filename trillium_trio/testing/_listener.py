"""A listener in memory: connections without sockets, under any clock."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, TypeAlias, final

import trio

from ._memory import MemoryStream, memory_pair

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MemoryListener", "WrapServer"]

WrapServer: TypeAlias = "Callable[[MemoryStream], trio.abc.HalfCloseableStream]"
"""Wraps the server's end of a connection, for example in a `StallingStream`."""


@final
class MemoryListener(trio.abc.Listener[trio.abc.HalfCloseableStream]):
    """A `trio.abc.Listener` whose clients call `connect`; give it to `Config.bind_listener`.

    Like a listening socket that several processes inherit, it can be cloned: connections queue at
    the address, each goes to the first clone that accepts it, and those queued when a clone is
    closed remain for the others. Closing the last one resets them.
    """

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.HalfCloseableStream](inf)

    def clone(self) -> MemoryListener:
        """Return another listener at the same address, which is closed separately.

        Raises:
          trio.ClosedResourceError: This listener is closed.
        """
        other = MemoryListener.__new__(MemoryListener)
        other._send, other._receive = self._send.clone(), self._receive.clone()
        return other

    async def accept(self) -> trio.abc.HalfCloseableStream:
        """Wait for the server's end of the next connection.

        Raises:
          trio.ClosedResourceError: The listener is closed.

        Cancellation:
          No connection is lost.
        """
        return await self._receive.receive()

    def connect(self, *, wrap_server: WrapServer | None = None) -> MemoryStream:
        """Return the client's end of a new connection.

        Args:
          wrap_server: Called with the server's end; its result is accepted instead.

        Raises:
          ConnectionRefusedError: The listener is closed.
        """
        client, server = memory_pair()
        try:
            self._send.send_nowait(server if wrap_server is None else wrap_server(server))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ConnectionRefusedError("the listener is closed") from None
        return client

    async def aclose(self) -> None:
        """Close; if no clone is left, connections that wait to be accepted are closed, too.

        Cancellation:
          Closed in any case.
        """
        waiting: list[trio.abc.HalfCloseableStream] = []
        if self._receive.statistics().open_receive_channels == 1:
            try:
                while True:
                    waiting.append(self._receive.receive_nowait())
            except (trio.WouldBlock, trio.ClosedResourceError):
                pass  # Empty, or already closed.
        self._send.close()
        self._receive.close()
        for stream in waiting:
            await trio.aclose_forcefully(stream)
        await trio.lowlevel.checkpoint()

    def __repr__(self) -> str:
        waiting = self._send.statistics().current_buffer_used
        return f"<MemoryListener, {waiting} connections waiting>"
