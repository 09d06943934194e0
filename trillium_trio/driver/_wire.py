"""Timed reads and writes of one connection, and its read-ahead buffer."""

from __future__ import annotations

import enum
from math import inf
from typing import TYPE_CHECKING, BinaryIO, final

import trio

from ..exceptions import ClientDisconnected, MisuseError
from ..transport import Woken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..http import HttpConfig
    from ..transport import Transport
    from ._watchdog import Watchdog, _Entry

__all__ = ["READ_AHEAD_BYTES", "Stalled", "Wake", "Wire"]

# A watcher for disconnects reads at most this far ahead of the handler.
READ_AHEAD_BYTES = 65_536
# After this many bytes, or 16 calls, without a real wait the task yields to others: otherwise a
# fast peer could monopolise the loop.
_CREDIT = 256 * 1024
_CALL_COST = _CREDIT // 16
# Decoding 256 chunks takes about as long as moving that much.
_CHUNK_COST = _CREDIT // 256
# Each is a hop to a worker thread. Measured best: 256 KiB cost twice as much, and so do 8 MiB, of
# which a socket takes a part.
_FILE_PIECE_BYTES = 1024 * 1024


class Wake(enum.Enum):
    """Why a wait was woken."""

    TIMEOUT = "timeout"
    NOTICE = "notice"  # the stop: check again whether to continue waiting
    EVICTION = "eviction"  # a new connection needs the place of an idle one
    UNSENT = "unsent"  # the last response has not left whole with its row


class Stalled(ClientDisconnected):
    """The peer accepted no byte of the response in time: treated as gone, and reset."""


@final
class Wire:
    """One connection's transport with its deadlines, its read-ahead and its fairness.

    Every wait for the peer goes through here: its deadline is armed before and disarmed after.

    Attributes:
      transport: The byte stream; closed by the connection, not by the wire.
      buffer: Bytes received and not yet consumed.
      is_eof: The peer has sent its last byte. It may still read.
      is_gone: The connection was reset.
      sent: Bytes that the transport has taken, over all responses but the plain ones.
      deadline, entry: See `Timed`.
    """

    __slots__ = (
        "_arrived",
        "_config",
        "_credit",
        "_room",
        "_waited",
        "_watchdog",
        "buffer",
        "deadline",
        "entry",
        "is_eof",
        "is_gone",
        "sent",
        "transport",
    )

    def __init__(self, transport: Transport, watchdog: Watchdog, config: HttpConfig) -> None:
        self.transport: Transport = transport
        self.buffer: bytes = b""
        self.is_eof: bool = False
        self.is_gone: bool = False
        self.deadline: float = inf
        self.entry: _Entry | None = None
        self._watchdog = watchdog
        self._config = config
        self._credit = _CREDIT
        # Not None while a watcher is the only reader: others wait for the bytes it reads.
        self._arrived: trio.Event | None = None
        # Not None while the watcher has read far enough ahead: it waits for the handler to read.
        self._room: trio.Event | None = None
        self.sent: int = 0
        # Seconds spent waiting for the peer to take them.
        self._waited = 0.0

    def expire(self) -> None:
        """Wake the wait: its deadline has passed."""
        self.transport.wake(Wake.TIMEOUT)

    async def receive(self, deadline: float) -> bytes:
        """Wait for bytes until ``deadline``, on trio's clock.

        Returns:
          At least one byte, or ``b""`` at the end of input.

        Raises:
          Woken: The deadline passed, or `Wake.NOTICE` came.
          ClientDisconnected: The connection was reset.

        Cancellation:
          No byte is lost.
        """
        if self.is_eof:
            return b""
        transport, entry = self.transport, self.entry
        # The fast path of `Watchdog.arm`: most deadlines only move later.
        if entry is not None and entry.when <= deadline:
            self.deadline = deadline
        else:
            self._watchdog.arm(self, deadline)
        try:
            data = await transport.receive_some()
        except ClientDisconnected:
            self.is_gone = True
            raise
        finally:
            self.deadline = inf
            # Bytes and a wake may come in one turn; the wake must not end the next wait.
            if transport.wake_reason is not None:
                transport.clear_wake()
        self._credit = _CREDIT
        if not data:
            self.is_eof = True
        return data

    async def receive_more(self, deadline: float) -> bytes:
        """Take the buffer, or wait for bytes as `receive` does, even while a watcher reads.

        Cancellation:
          No byte is lost.
        """
        while not self.buffer and self._arrived is not None:
            await self._wait_for_watcher(deadline)
        return await (self.take() if self.buffer else self.receive(deadline))

    async def take(self) -> bytes:
        """Take the buffer.

        Cancellation:
          Nothing was taken.
        """
        await self.give_way(len(self.buffer))
        data, self.buffer = self.buffer, b""
        if self._room is not None:
            self._room.set()
        return data

    async def send(self, data: bytes | memoryview) -> None:
        """Send all data, waiting for the peer as long as the write timeout and rate allow.

        Raises:
          Stalled: The peer does not read. Part of the data may have been sent.
          ClientDisconnected: The connection is gone.

        Cancellation:
          Part of the data may have been sent: the connection can only be aborted.
        """
        try:
            sent = self.transport.send_nowait(data)
            self.sent += sent
            if sent < len(data):
                await self._send_rest(memoryview(data)[sent:])
        except ClientDisconnected:
            self.is_gone = True
            raise
        await self.give_way(len(data))

    async def give_way(self, size: int) -> None:
        """Count ``size`` bytes moved without a wait; take a checkpoint when the credit is used up.

        Cancellation:
          Changes nothing.
        """
        self._credit -= size + _CALL_COST
        if self._credit < 0:
            self._credit = _CREDIT
            await trio.lowlevel.checkpoint()

    def count_chunks(self, count: int) -> None:
        """Count decoded chunks, so that the next checkpoint comes sooner."""
        self._credit -= count * _CHUNK_COST

    async def send_file(self, file: BinaryIO, offset: int, count: int) -> int:
        """Send ``count`` bytes of a file from ``offset`` on, as `send` does, without reading them.

        Returns:
          How many bytes were sent: fewer than ``count`` if the file has no more, or has to be read.

        Raises:
          Stalled: The peer does not read. Part of the file may have been sent.
          ClientDisconnected: The connection is gone.

        Cancellation:
          Part of the file may have been sent: the connection can only be aborted.
        """

        async def send_piece(sent: int) -> int:
            size = min(count - sent, _FILE_PIECE_BYTES)
            return await self.transport.send_file(file, offset + sent, size)

        try:
            return await self._pump(send_piece, count)
        except ClientDisconnected:
            self.is_gone = True
            raise

    async def _send_rest(self, view: memoryview) -> None:
        await self._pump(lambda sent: self.transport.send_some(view[sent:]), len(view))

    async def _pump(self, send: Callable[[int], Awaitable[int]], size: int) -> int:
        """Call ``send`` with the count of sent bytes until that is ``size``, or it returns 0."""
        timeout, rate = self._config.write_timeout, self._config.min_rate
        transport = self.transport
        sent = 0
        start = trio.current_time()
        try:
            while sent < size:
                wait = allowance(timeout, rate, self.sent, self._waited)
                self._watchdog.arm(self, start + wait)
                taken = await send(sent)
                if not taken:
                    break
                if transport.wake_reason is not None:
                    # The timeout came in the same turn as the peer's progress, which was in time.
                    transport.clear_wake()
                sent += taken
                self.sent += taken
                now = trio.current_time()
                self._waited += now - start
                start = now
        except Woken:
            late = trio.current_time() - start
            # After a close, the kernel would keep what the peer has not read: see CN-13.
            transport.abort()
            raise Stalled(f"took {sent} of {size} bytes, none for {late:.1f} s") from None
        finally:
            self.deadline = inf
            if transport.wake_reason is not None:
                transport.clear_wake()
        self._credit = _CREDIT
        return sent

    # -- disconnects ---------------------------------------------------------------------------

    def begin_watch(self) -> None:
        """Become the only reader from now on; `watch` must follow.

        Raises:
          MisuseError: There already is a watcher.
        """
        if self._arrived is not None:
            raise MisuseError("this connection is already watched for a disconnect")
        self._arrived = trio.Event()

    async def watch(self, gone: trio.CancelScope, *, eof: bool) -> None:
        """Read ahead until the peer is gone, then cancel ``gone``.

        Args:
          gone: What to cancel.
          eof: Whether the end of input counts as gone.

        Cancellation:
          Ends the watch; the bytes read ahead stay in the buffer.
        """
        arrived = self._arrived
        assert arrived is not None, "begin_watch comes first"
        try:
            while not self.is_eof:
                if len(self.buffer) >= READ_AHEAD_BYTES:
                    self._room = trio.Event()
                    await self._room.wait()
                data = await self.transport.receive_some()
                self.buffer += data
                self.is_eof = not data
                arrived.set()
                self._arrived = arrived = trio.Event()
            if eof:
                gone.cancel(reason="the peer has left")
        except ClientDisconnected:
            self.is_gone = True
            gone.cancel(reason="the peer has left")
        except Woken:
            pass  # a writer's timeout: it ends the connection
        finally:
            self._arrived = self._room = None
            arrived.set()

    async def wait_gone(self, *, eof: bool) -> None:
        """Read ahead until the peer is gone; several tasks may wait, and one of them reads.

        Args:
          eof: Whether the end of input counts as gone.

        Cancellation:
          Ends the wait; the bytes read ahead stay in the buffer.
        """
        while not (self.is_gone or (self.is_eof and eof)):
            if self._arrived is not None:
                await self._arrived.wait()
            elif self.is_eof:
                # Only a reset can follow, which a write finds.
                await trio.sleep_forever()
            else:
                self.begin_watch()
                await self.watch(trio.CancelScope(), eof=eof)
                if not self.is_eof and not self.is_gone:
                    # Woken with a writer whose time is up: it ends the connection when it runs.
                    await self.give_way(_CREDIT)

    def look(self) -> None:
        """Receive into the buffer without waiting, to find out whether the peer is gone."""
        if self._arrived is not None or self.is_gone:
            return
        try:
            # If a deadline is armed, a task may be waiting in a read: leave the bytes to it.
            if self.deadline == inf and not self.is_eof and len(self.buffer) < READ_AHEAD_BYTES:
                data = self.transport.receive_nowait()
                if data is not None:
                    self.buffer += data
                    self.is_eof = not data
            self.is_gone = self.transport.is_disconnected_now()
        except ClientDisconnected:
            self.is_gone = True

    async def _wait_for_watcher(self, deadline: float) -> None:
        arrived = self._arrived
        assert arrived is not None
        with trio.move_on_at(deadline) as scope:
            await arrived.wait()
        if scope.cancelled_caught:
            raise Woken(Wake.TIMEOUT)
        if self.is_gone:
            raise ClientDisconnected("the peer has left")

    def __repr__(self) -> str:
        return f"<Wire {self.transport!r}, {len(self.buffer)} bytes ahead>"


def allowance(timeout: float, rate: int, moved: int, waited: float) -> float:
    """Return how long the next wait may take, in seconds.

    At most the timeout; and all waits together at most the timeout plus the seconds that the moved
    bytes pay for at ``rate`` bytes per second. Only time spent waiting for the peer counts.
    """
    if rate <= 0:
        return timeout
    return min(timeout, max(0.0, timeout + moved / rate - waited))
