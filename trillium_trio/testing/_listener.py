"""A listener in memory: connections without sockets, under any clock."""

from __future__ import annotations

from math import inf
from typing import TypeAlias, final

import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_pair

__all__ = ["MemoryListener", "MemoryStream"]

MemoryStream: TypeAlias = trio.StapledStream[MemorySendStream, MemoryReceiveStream]
"""One end of a connection in memory; both directions can be closed on their own."""


@final
class MemoryListener(trio.abc.Listener[MemoryStream]):
    """A `trio.abc.Listener` whose clients call `connect`; give it to `Config.bind_listener`."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[MemoryStream](inf)

    async def accept(self) -> MemoryStream:
        """Wait for the server's end of the next connection.

        Raises:
          trio.ClosedResourceError: The listener is closed.

        Cancellation:
          No connection is lost.
        """
        return await self._receive.receive()

    def connect(self) -> MemoryStream:
        """Return the client's end of a new connection.

        Raises:
          ConnectionRefusedError: The listener is closed.
        """
        client, server = memory_stream_pair()
        try:
            self._send.send_nowait(server)
        except trio.BrokenResourceError:
            raise ConnectionRefusedError("the listener is closed") from None
        return client

    async def aclose(self) -> None:
        """Close; connections that wait to be accepted end.

        Cancellation:
          Closed in any case.
        """
        while True:
            try:
                stream = self._receive.receive_nowait()
            except (trio.WouldBlock, trio.ClosedResourceError):
                break
            await trio.aclose_forcefully(stream)
        self._receive.close()
        await trio.lowlevel.checkpoint()
