"""The tasks beside the function of a WebSocket: they watch for the stop, and for silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from ._ahead import ReadAhead
    from ._codec import MessageCodec
    from ._conn import WebSocketConn
    from ._wire import Wire

__all__ = ["keep_alive", "watch_stop"]


async def watch_stop(ws: WebSocketConn, wire: Wire) -> None:
    """End receiving, `WebSocketConn.stop_grace` seconds after the stop.

    Cancellation:
      Ends it.
    """
    await ws.swansong.shutting_down()
    await trio.sleep(ws.stop_grace)
    wire.is_ending = True
    wire.wake_reader()


async def keep_alive(
    wire: Wire, codec: MessageCodec, ahead: ReadAhead, interval: float, timeout: float
) -> None:
    """Send a Ping when the peer is silent, and give it up if it stays silent.

    Args:
      wire: Its connection.
      codec: Writes the Ping.
      ahead: Reads the answer, if the handler does not receive.
      interval: Of silence before the Ping. Unit: seconds.
      timeout: Of silence after it. Unit: seconds.

    Cancellation:
      Ends it.
    """
    while True:
        wire.is_heard = False
        await trio.sleep(interval)
        if wire.is_heard or not codec.is_open or wire.is_lost:
            continue
        codec.ping(b"")
        wire.push()
        ahead.start()
        await trio.sleep(timeout)
        # If the loop was blocked, what has come meanwhile is read in this very turn.
        await trio.lowlevel.checkpoint()
        # Where the handler leaves messages unread, the answer may be unread as well.
        if not wire.is_heard and wire.is_reading and codec.is_open:
            codec.fail(1011, f"no answer to a ping in {timeout:g} s")
            wire.push()
            wire.lose()
            return
