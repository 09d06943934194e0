"""The bytes of one WebSocket, in both directions, and the loss of its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from ..._log import SafeLogger
from ...exceptions import ClientDisconnected
from ...transport import Woken

if TYPE_CHECKING:
    from ...conn import Upgrade
    from ._codec import MessageCodec

__all__ = ["Wire"]

logger = SafeLogger("trillium_trio.handlers")

# When more answers to pings than this wait for a peer that does not read, we stop reading from it.
_MAX_ANSWERS = 16


@final
class Wire:
    """Moves bytes between the codec and the transport.

    .. code-block:: text

        fill    transport -> codec   one task reads at a time, as a rule the handler's; others wait
                                     for what it brings
        push    codec -> transport   sends what fits without waiting; the rest goes to the outbox
        _flush  outbox -> transport  a task, while the outbox is not empty

    A send that is cancelled leaves no half frame: ``_flush`` sends the rest of it.

    Attributes:
      is_reading: A task waits for bytes from the peer.
      waiting: How many tasks wait for what that one brings.
      news: Where they wait.
      is_heard: Bytes have come since this was last cleared.
      is_flushing: The outbox is not empty.
      is_ending: Nothing more is to be received: the stop has come, and its grace is over.
      is_lost: The connection is gone, or given up.
    """

    __slots__ = (
        "_codec",
        "_flushed",
        "_is_wake_due",
        "_nursery",
        "_outbox",
        "_path",
        "_transport",
        "_write_timeout",
        "is_ending",
        "is_flushing",
        "is_heard",
        "is_lost",
        "is_reading",
        "news",
        "waiting",
    )

    def __init__(
        self,
        upgrade: Upgrade,
        codec: MessageCodec,
        *,
        write_timeout: float,
        nursery: trio.Nursery,
    ) -> None:
        self._codec = codec
        self._transport = upgrade.transport
        self._path = upgrade.path
        self._write_timeout = write_timeout
        self._nursery = nursery
        # Frames that the transport has not taken, and where those wait that wait for them to leave.
        self._outbox: list[bytes] = []
        self._flushed = trio.lowlevel.ParkingLot()
        self._is_wake_due = False
        self.is_reading: bool = False
        self.waiting: int = 0
        self.news: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        self.is_heard: bool = False
        self.is_flushing: bool = False
        self.is_ending: bool = False
        self.is_lost: bool = False
        codec.feed(upgrade.leftover)

    @property
    def peer(self) -> str:
        """The peer, for log lines."""
        return self._transport.peer

    async def fill(self) -> None:
        """Wait until there is something new: bytes, the stop, or the end of the connection.

        Cancellation:
          No byte is lost.
        """
        if self.is_flushing and len(self._outbox) > _MAX_ANSWERS:
            # A peer that sends pings and does not read the answers has to wait.
            await self._flushed.park()
            return
        if self.is_reading:
            self.waiting += 1
            try:
                await self.news.park()
            finally:
                self.waiting -= 1
            return
        self.is_reading = True
        try:
            data = await self._transport.receive_some()
        except Woken:
            return
        except ClientDisconnected:
            data = b""
        finally:
            self.is_reading = False
            if self.waiting:
                self.news.unpark_all()
        if data:
            self._codec.feed(data)
            self.is_heard = True
        else:
            self.lose()

    def push(self) -> None:
        """Send what the codec has written, as far as it is taken without waiting."""
        data = self._codec.take()
        sent = 0
        if not self.is_flushing:
            try:
                sent = self._transport.send_nowait(data)
            except ClientDisconnected:
                self.lose()
                return
            if sent == len(data):
                return
            self.is_flushing = True
            self._nursery.start_soon(self._flush)
        self._outbox.append(data[sent:] if sent else data)

    async def wait_flushed(self) -> None:
        """Wait until the outbox is empty.

        Cancellation:
          Changes nothing.
        """
        while self.is_flushing:
            await self._flushed.park()

    async def _flush(self) -> None:
        """Send the outbox, as long as the peer takes something of it."""
        timeout, outbox = self._write_timeout, self._outbox
        try:
            while outbox:
                rest = memoryview(b"".join(outbox))
                outbox.clear()
                while rest:
                    with trio.move_on_after(timeout) as scope:
                        rest = rest[await self._transport.send_some(rest) :]
                    if scope.cancelled_caught:
                        self.log(f"took nothing for {timeout:g} s, {len(rest)} bytes are left")
                        # There is no other way to tell the peer, which has half a frame.
                        self._transport.abort()
                        raise ClientDisconnected("the peer does not read")
        except ClientDisconnected:
            self.lose()
        finally:
            outbox.clear()
            self.is_flushing = False
            self._flushed.unpark_all()
        if self._is_wake_due:
            self.wake_reader()

    def cut(self, code: int) -> None:
        """Send a Close if the peer takes it without a wait, and give the connection up."""
        if self._codec.is_open and not self.is_flushing and not self.is_lost:
            self._codec.close(code, "")
            try:
                self._transport.send_nowait(self._codec.take())
            except (ClientDisconnected, OSError):
                pass  # the peer cannot be told any more
        self.is_lost = True

    def lose(self) -> None:
        """Give the connection up: whoever waits has to look again."""
        self.is_lost = True
        self.wake_reader()

    def wake_reader(self) -> None:
        """End every wait in `fill`."""
        self.news.unpark_all()
        self._flushed.unpark_all()
        # A wake of the transport ends a send as well, which may have sent half a frame: then the
        # wake comes after it.
        self._is_wake_due = self.is_flushing
        if self.is_reading and not self.is_flushing:
            self._transport.wake("look again")
            self._transport.clear_wake()

    def log(self, what: str) -> None:
        """Log a line that names peer and path."""
        logger.info("%s: GET %s: %s", self.peer, self._path, what)
