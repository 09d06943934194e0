"""One open WebSocket, as its handler sees it."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, final

import trio

from ..._log import SafeLogger
from ...exceptions import BadRequest, ClientDisconnected, ShuttingDownError, WebSocketClosed
from ...transport import Woken
from ._codec import check_close_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...conn import Upgrade
    from ...http import Headers
    from ...swansong import Swansong
    from ._codec import MessageCodec

__all__ = ["Timing", "WebSocketConn"]

T = TypeVar("T")

logger = SafeLogger("trillium_trio.handlers")

# As far as messages are read ahead of a handler that does not receive.
_AHEAD_BYTES = 65_536
# What a message costs beside its content.
_MESSAGE_COST = 64
# After this many messages without a wait, other tasks run: a fast peer could otherwise keep the
# loop to itself.
_CREDIT = 16
# When more answers to pings than this wait for a peer that does not read, we stop reading from it.
_MAX_ANSWERS = 16
_MAX_PING_BYTES = 125  # RFC 6455, 5.5


class Timing(NamedTuple):
    """How long things may take, in seconds, and what is said at the stop; see `WebSocket`."""

    ping_interval: float
    ping_timeout: float
    write_timeout: float
    close_timeout: float
    stop_grace: float
    stop_code: int


@final
class WebSocketConn:
    """One open WebSocket: receive by iterating over it, send, close.

    .. code-block:: text

        the handler's task   receive: read, parse, answer pings     send: write at once what fits
        children             watch_stop     ends receiving
                             keep_alive     sends pings, misses answers
                             _flush         while the peer is slow: sends the rest
                             _read_ahead    while the handler only sends: notices pings and Close

    One task reads at a time, as a rule the handler's: others wait for what it brings. Bytes that
    were accepted for sending are sent by ``_flush`` if they do not fit, so that a send may be
    cancelled without leaving half a frame.

    Several tasks may send. Their messages arrive whole, each task's in its order.

    Attributes:
      upgrade: The request behind it.
      subprotocol: The one agreed upon, or None.
      stop_grace: Seconds from the stop to the end of receiving; looked at when the stop comes.
      was_interrupted: Whether receiving was ended by the stop.
    """

    __slots__ = (
        "_codec",
        "_credit",
        "_is_ahead",
        "_is_ending",
        "_is_flushing",
        "_is_heard",
        "_is_lost",
        "_is_reading",
        "_is_wake_due",
        "_news",
        "_nursery",
        "_outbox",
        "_queue",
        "_queued",
        "_room",
        "_sends",
        "_timing",
        "_transport",
        "_turn",
        "_waiting",
        "stop_grace",
        "subprotocol",
        "upgrade",
        "was_interrupted",
    )

    def __init__(
        self,
        upgrade: Upgrade,
        codec: MessageCodec,
        *,
        subprotocol: str | None,
        timing: Timing,
        nursery: trio.Nursery,
    ) -> None:
        self.upgrade = upgrade
        self.subprotocol = subprotocol
        self.stop_grace = timing.stop_grace
        self.was_interrupted = False
        self._codec = codec
        self._timing = timing
        self._nursery = nursery
        self._transport = upgrade.transport
        # Messages that were read ahead, and their size.
        self._queue: deque[str | bytes] = deque()
        self._queued = 0
        # Frames that the transport has not taken.
        self._outbox: list[bytes] = []
        self._is_flushing = False
        # Senders wait their turn, and the first of them for the outbox to be empty.
        self._turn = trio.Lock()
        self._room = trio.lowlevel.ParkingLot()
        # Where those wait that want to read while another task does.
        self._news = trio.lowlevel.ParkingLot()
        self._is_reading = False
        self._is_ahead = False
        self._waiting = 0
        self._sends = 0
        self._credit = _CREDIT
        self._is_heard = False
        # The stop has come and its grace is over.
        self._is_ending = False
        self._is_wake_due = False
        # The connection is gone, or as good as gone.
        self._is_lost = False
        codec.feed(upgrade.leftover)

    # -- receiving -----------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        """Iterate over the messages: `str` for text, `bytes` for binary.

        It ends when the peer closes or is gone, and at the stop, `stop_grace` seconds after it.
        """
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next message.

        Cancellation:
          No message is lost.
        """
        try:
            return await self.receive()
        except (ShuttingDownError, WebSocketClosed):
            raise StopAsyncIteration from None

    async def receive(self) -> str | bytes:
        """Wait for the next message.

        What had arrived before the stop, or before the peer's Close, comes first.

        Raises:
          ShuttingDownError: The stop has come. Sending still works.
          WebSocketClosed: The peer has closed, broken a rule, or gone.

        Cancellation:
          No message is lost.
        """
        codec, queue = self._codec, self._queue
        self._sends = 0
        while True:
            message = codec.next_message() if not queue else self._take_queued()
            if codec.has_answers:
                self._push()
            if message is not None:
                self._credit -= 1
                if self._credit < 0:
                    # The message is already taken: a cancellation here would lose it.
                    self._credit = _CREDIT
                    await trio.lowlevel.cancel_shielded_checkpoint()
                return message
            if codec.is_over or self._is_lost:
                await trio.lowlevel.checkpoint()
                raise self._closed()
            if not codec.is_hungry:
                await trio.lowlevel.checkpoint()
            elif self._is_ending:
                self.was_interrupted = True
                await trio.lowlevel.checkpoint()
                raise ShuttingDownError("the server is shutting down")
            else:
                await self._fill()

    async def receive_json(self) -> Any:  # Any: what JSON holds is open
        """Wait for the next message and parse it as JSON.

        Raises:
          BadRequest: It is not JSON. The next message can still be received; if this leaves the
            handler, the peer gets a Close with code 1008.
          Exception: Whatever `receive` raises.

        Cancellation:
          As `receive`.
        """
        message = await self.receive()
        try:
            return json.loads(message)
        except (ValueError, RecursionError) as error:
            raise BadRequest("the message is not JSON") from error

    def _take_queued(self) -> str | bytes:
        message = self._queue.popleft()
        self._queued -= _MESSAGE_COST + len(message)
        return message

    async def _fill(self) -> None:
        """Wait until there is something new: bytes, the stop, or the end of the connection."""
        if self._is_flushing and len(self._outbox) > _MAX_ANSWERS:
            # A peer that sends pings and does not read the answers has to wait.
            await self._room.park()
            return
        if self._is_reading:
            self._waiting += 1
            try:
                await self._news.park()
            finally:
                self._waiting -= 1
            return
        self._is_reading = True
        try:
            data = await self._transport.receive_some()
        except Woken:
            return
        except ClientDisconnected:
            data = b""
        finally:
            self._is_reading = False
            if self._waiting:
                self._news.unpark_all()
        if data:
            self._codec.feed(data)
            self._is_heard = True
            self._credit = _CREDIT
        else:
            self._lose()

    async def _read_ahead(self) -> None:
        """Read while the handler does not, as far as 64 KiB of messages."""
        codec = self._codec
        while self._queued < _AHEAD_BYTES and not codec.is_over and not self._is_lost:
            message = codec.next_message()
            if codec.has_answers:
                self._push()
            if message is not None:
                self._queue.append(message)
                self._queued += _MESSAGE_COST + len(message)
                self._news.unpark_all()
            elif not codec.is_hungry:
                await trio.lowlevel.checkpoint()
            elif self._waiting:
                break  # the handler is back, and reads itself
            else:
                await self._fill()
        self._is_ahead = False
        self._news.unpark_all()

    def _start_reading_ahead(self) -> None:
        if not (self._is_reading or self._is_ahead) and self._queued < _AHEAD_BYTES:
            self._is_ahead = True
            self._nursery.start_soon(self._read_ahead)

    # -- sending -------------------------------------------------------------------------------

    async def send(self, message: str | bytes | bytearray | memoryview) -> None:
        """Send a message: text for a `str`, else binary.

        Waits until what was sent before has been taken from us, so at most one message of each
        task is on its way. If the peer takes nothing for ``write_timeout``, it is treated as gone.

        Raises:
          WebSocketClosed: The connection is closed, or gone.
          TypeError: It is neither text nor bytes.

        Cancellation:
          The message is sent whole or not at all.
        """
        if self._is_flushing:
            async with self._turn:
                await self._flushed()
                self._write(self._codec.send, message)
        elif self._is_lost or not self._codec.is_open:
            raise self._closed()
        else:
            # As `_write` does; a call less for what nearly every message takes.
            self._codec.send(message)
            self._push()
            if self._is_lost:
                raise self._closed()
        self._sends += 1
        if self._sends > 1:
            # The handler does not receive, but the peer may ping, or close.
            self._start_reading_ahead()
        self._credit -= 1
        if self._credit < 0:
            self._credit = _CREDIT
            await trio.lowlevel.checkpoint()

    async def send_json(self, value: object) -> None:
        """Send a value as JSON, in a text message.

        Raises:
          TypeError: JSON has no such value.
          Exception: Whatever `send` raises.

        Cancellation:
          As `send`.
        """
        await self.send(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    async def ping(self, payload: bytes = b"") -> None:
        """Send a Ping. The answer only proves that the peer lives; see ``ping_interval``.

        Args:
          payload: At most 125 bytes.

        Raises:
          WebSocketClosed: The connection is closed, or gone.
          ValueError: The payload is too long.

        Cancellation:
          It is sent whole or not at all.
        """
        await self._control(self._codec.ping, payload)

    async def pong(self, payload: bytes = b"") -> None:
        """Send a Pong unasked, as a sign of life (RFC 6455, 5.5.3). Pings are answered anyway.

        Args:
          payload: At most 125 bytes.

        Raises:
          WebSocketClosed: The connection is closed, or gone.
          ValueError: The payload is too long.

        Cancellation:
          It is sent whole or not at all.
        """
        await self._control(self._codec.pong, payload)

    async def close(self, code: int | None = None, reason: str = "") -> None:
        """Send a Close and wait for the peer's, for at most ``close_timeout``.

        Messages that arrive meanwhile are discarded. Does nothing if the connection is closed.

        Args:
          code: Why (RFC 6455, 7.4). Default: 1000, after the stop ``stop_code``.
          reason: Human-readable; cut to 123 bytes.

        Raises:
          ValueError: The code is not for sending.

        Cancellation:
          The Close is sent or not; the peer's is not waited for.
        """
        if code is None:
            code = 1000 if self.swansong.is_running else self._timing.stop_code
        check_close_code(code)
        async with self._turn:
            await self._flushed()
            if self._codec.is_open and not self._is_lost:
                self._codec.close(code, reason)
                self._push()
        await self._wait_closed()

    async def _control(self, write: Callable[[bytes], None], payload: bytes) -> None:
        if len(payload) > _MAX_PING_BYTES:
            raise ValueError(f"a control frame has at most {_MAX_PING_BYTES} bytes")
        async with self._turn:
            await self._flushed()
            self._write(write, payload)

    async def _flushed(self) -> None:
        while self._is_flushing:
            await self._room.park()

    def _write(self, write: Callable[[Any], None], content: object) -> None:
        """Have the codec write something, and send it as far as it is taken without waiting."""
        if self._is_lost or not self._codec.is_open:
            raise self._closed()
        write(content)
        self._push()
        if self._is_lost:
            raise self._closed()

    def _push(self) -> None:
        data = self._codec.take()
        sent = 0
        if not self._is_flushing:
            try:
                sent = self._transport.send_nowait(data)
            except ClientDisconnected:
                self._lose()
                return
            if sent == len(data):
                return
            self._is_flushing = True
            self._nursery.start_soon(self._flush)
        self._outbox.append(data[sent:] if sent else data)

    async def _flush(self) -> None:
        """Send what waits, as long as the peer takes something of it."""
        timeout, outbox = self._timing.write_timeout, self._outbox
        try:
            while outbox:
                rest = memoryview(b"".join(outbox))
                outbox.clear()
                while rest:
                    with trio.move_on_after(timeout) as scope:
                        rest = rest[await self._transport.send_some(rest) :]
                    if scope.cancelled_caught:
                        self._log(f"took nothing for {timeout:g} s, {len(rest)} bytes are left")
                        # There is no other way to tell the peer, which has half a frame.
                        self._transport.abort()
                        raise ClientDisconnected("the peer does not read")
        except ClientDisconnected:
            self._lose()
        finally:
            outbox.clear()
            self._is_flushing = False
            self._room.unpark_all()
        if self._is_wake_due:
            self._wake_reader()

    async def _wait_closed(self) -> None:
        codec = self._codec
        await self._flushed()
        with trio.move_on_after(self._timing.close_timeout) as scope:
            while not codec.is_over and not self._is_lost:
                message = codec.next_message()
                if codec.has_answers:
                    self._push()
                if message is None and codec.is_hungry:
                    await self._fill()
                else:
                    await trio.lowlevel.checkpoint()
        if scope.cancelled_caught:
            self._log(f"sent no Close in {self._timing.close_timeout:g} s")
        self._lose()

    def _lose(self) -> None:
        """Give the connection up: whoever waits has to look again."""
        self._is_lost = True
        self._wake_reader()

    def _wake_reader(self) -> None:
        self._news.unpark_all()
        self._room.unpark_all()
        # A wake hits both directions, and half a frame may be under way: then it comes after it.
        self._is_wake_due = self._is_flushing
        if self._is_reading and not self._is_flushing:
            self._transport.wake("look again")
            self._transport.clear_wake()

    def _closed(self) -> WebSocketClosed:
        return WebSocketClosed(self.close_code or 1006, self.close_reason)

    def _log(self, what: str) -> None:
        logger.info("%s: GET %s: %s", self._transport.peer, self.upgrade.path, what)

    # -- for `WebSocket` -----------------------------------------------------------------------

    async def say_goodbye(self, code: int | None) -> None:
        """Close with a code unless that is done, and see that everything is sent.

        Cancellation:
          As `close`.
        """
        if self._codec.is_open:
            await self.close(code)
        else:
            await self._flushed()
        if self._codec.failure is not None:
            self._log(self._codec.failure)

    def cut(self) -> None:
        """Send a Close if that takes no wait: the task is about to be cancelled."""
        if self._codec.is_open and not self._is_flushing and not self._is_lost:
            self._codec.close(self._timing.stop_code, "")
            try:
                self._transport.send_nowait(self._codec.take())
            except (ClientDisconnected, OSError):
                pass  # it cannot be told any more
        self._is_lost = True

    async def watch_stop(self) -> None:
        """End receiving, `stop_grace` seconds after the stop.

        Cancellation:
          Ends it.
        """
        await self.swansong.shutting_down()
        await trio.sleep(self.stop_grace)
        self._is_ending = True
        self._wake_reader()

    async def keep_alive(self) -> None:
        """Send a ping when the peer is silent; drop it if it does not answer.

        Cancellation:
          Ends it.
        """
        interval, timeout = self._timing.ping_interval, self._timing.ping_timeout
        codec = self._codec
        while True:
            self._is_heard = False
            await trio.sleep(interval)
            if self._is_heard or not codec.is_open or self._is_lost:
                continue
            codec.ping(b"")
            self._push()
            self._start_reading_ahead()
            await trio.sleep(timeout)
            # If the loop was blocked, what has come meanwhile is read in this very turn.
            await trio.lowlevel.checkpoint()
            # Where the handler leaves messages unread, the answer may be unread as well.
            if not self._is_heard and self._is_reading and codec.is_open:
                codec.fail(1011, f"no answer to a ping in {timeout:g} s")
                self._push()
                self._lose()
                return

    # -- facts ---------------------------------------------------------------------------------

    @property
    def close_code(self) -> int | None:
        """The code of the peer's Close: 1005 if it gave none.

        1006 if it left without a Close, broke a rule, or was given up; None while it is connected.
        """
        received = self._codec.received_close
        if received is not None:
            return received[0]
        return 1006 if self._is_lost or self._codec.is_over else None

    @property
    def close_reason(self) -> str:
        """The reason of the peer's Close."""
        received = self._codec.received_close
        return received[1] if received is not None else ""

    @property
    def sent_close_code(self) -> int | None:
        """The code of our own Close, or None: it is not sent."""
        sent = self._codec.sent_close
        return None if sent is None else sent[0]

    @property
    def sent_close_reason(self) -> str:
        """The reason of our own Close."""
        sent = self._codec.sent_close
        return "" if sent is None else sent[1]

    @property
    def path(self) -> str:
        """The request's path, not percent-decoded."""
        return self.upgrade.path

    @property
    def querystring(self) -> str:
        """What stands behind the ``?``, or the empty string."""
        return self.upgrade.querystring

    @property
    def request_headers(self) -> Headers:
        """The request's header fields."""
        return self.upgrade.request_headers

    @property
    def peer_ip(self) -> str | None:
        """The peer's IP address, or None on a unix socket."""
        return self.upgrade.peer_ip

    @property
    def swansong(self) -> Swansong:
        """The server's node: its stop is the notice to say goodbye."""
        return self.upgrade.swansong

    def state(self, type_: type[T]) -> T | None:
        """Return the value of this type that the handlers left, or None."""
        return self.upgrade.state(type_)

    def shared_state(self, type_: type[T]) -> T | None:
        """Return the server's shared value of this type, or None."""
        return self.upgrade.shared_state(type_)

    def __repr__(self) -> str:
        state = "lost" if self._is_lost else "open" if self._codec.is_open else "closing"
        return f"<WebSocketConn {self.path} from {self._transport.peer} {state}>"
