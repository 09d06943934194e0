"""One open WebSocket, as its handler sees it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self, TypeVar, final

import trio

from ...exceptions import BadRequest, ShuttingDownError, WebSocketClosed
from ._codec import check_close_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...conn import Upgrade
    from ...http import Headers
    from ...swansong import Swansong
    from ._ahead import ReadAhead
    from ._codec import MessageCodec
    from ._wire import Wire

__all__ = ["WebSocketConn"]

T = TypeVar("T")

# After this many messages without a wait, other tasks run: a fast peer could otherwise keep the
# loop to itself.
_CREDIT = 16
_MAX_PING_BYTES = 125  # RFC 6455, 5.5


@final
class WebSocketConn:
    """One open WebSocket: receive by iterating over it, send, close.

    Several tasks may send. Their messages arrive whole, each task's in its order.

    Attributes:
      upgrade: The request behind it.
      subprotocol: The one agreed upon, or None.
      stop_grace: Seconds from the stop to the end of receiving; looked at when the stop comes.
      was_interrupted: Whether receiving was ended by the stop.
    """

    __slots__ = (
        "_ahead",
        "_close_timeout",
        "_codec",
        "_credit",
        "_sends",
        "_stop_code",
        "_turn",
        "_wire",
        "stop_grace",
        "subprotocol",
        "upgrade",
        "was_interrupted",
    )

    def __init__(
        self,
        upgrade: Upgrade,
        codec: MessageCodec,
        wire: Wire,
        ahead: ReadAhead,
        *,
        subprotocol: str | None,
        close_timeout: float,
        stop_grace: float,
        stop_code: int,
    ) -> None:
        self.upgrade: Upgrade = upgrade
        self.subprotocol: str | None = subprotocol
        self.stop_grace: float = stop_grace
        self.was_interrupted: bool = False
        self._codec = codec
        self._wire = wire
        self._ahead = ahead
        self._close_timeout = close_timeout
        self._stop_code = stop_code
        # While the peer is slow, senders wait for their turn, and the first of them for the wire.
        self._turn = trio.Lock()
        # Messages that were sent since the handler has last received.
        self._sends = 0
        self._credit = _CREDIT

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
        codec, wire, ahead = self._codec, self._wire, self._ahead
        self._sends = 0
        while True:
            message = codec.next_message() if not ahead.messages else ahead.take()
            if codec.has_answers:
                wire.push()
            if message is not None:
                self._credit -= 1
                if self._credit < 0:
                    # The message is already taken: a cancellation here would lose it.
                    self._credit = _CREDIT
                    await trio.lowlevel.cancel_shielded_checkpoint()
                return message
            if codec.is_over or wire.is_lost:
                await trio.lowlevel.checkpoint()
                raise self._closed()
            if not codec.is_hungry:
                await trio.lowlevel.checkpoint()
            elif wire.is_ending:
                self.was_interrupted = True
                await trio.lowlevel.checkpoint()
                raise ShuttingDownError("the server is shutting down")
            else:
                await wire.fill()
                self._credit = _CREDIT

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
        codec, wire = self._codec, self._wire
        if wire.is_flushing:
            await self._write(codec.send, message)
        elif wire.is_lost or not codec.is_open:
            raise self._closed()
        else:
            # As `_write` does, without its wait and its calls: nearly every message comes here.
            codec.send(message)
            wire.push()
            if wire.is_lost:
                raise self._closed()
        self._sends += 1
        if self._sends > 1:
            # The handler does not receive, but the peer may ping, or close.
            self._ahead.start()
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
            code = 1000 if self.swansong.is_running else self._stop_code
        check_close_code(code)
        codec, wire = self._codec, self._wire
        async with self._turn:
            await wire.wait_flushed()
            if codec.is_open and not wire.is_lost:
                codec.close(code, reason)
                wire.push()
        await wire.wait_flushed()
        with trio.move_on_after(self._close_timeout) as scope:
            while not codec.is_over and not wire.is_lost:
                message = codec.next_message()
                if codec.has_answers:
                    wire.push()
                if message is None and codec.is_hungry:
                    await wire.fill()
                else:
                    await trio.lowlevel.checkpoint()
        if scope.cancelled_caught:
            wire.log(f"sent no Close in {self._close_timeout:g} s")
        wire.lose()

    async def _control(self, write: Callable[[bytes], None], payload: bytes) -> None:
        if len(payload) > _MAX_PING_BYTES:
            raise ValueError(f"a control frame has at most {_MAX_PING_BYTES} bytes")
        await self._write(write, payload)

    async def _write(self, write: Callable[[Any], None], content: object) -> None:
        """Have the codec write something when what was sent before has left."""
        async with self._turn:
            await self._wire.wait_flushed()
            if self._wire.is_lost or not self._codec.is_open:
                raise self._closed()
            write(content)
            self._wire.push()
            if self._wire.is_lost:
                raise self._closed()

    def _closed(self) -> WebSocketClosed:
        return WebSocketClosed(self.close_code or 1006, self.close_reason)

    # -- for `WebSocket` -----------------------------------------------------------------------

    async def say_goodbye(self, code: int | None) -> None:
        """Close with a code unless that is done, and see that everything is sent.

        Cancellation:
          As `close`.
        """
        if self._codec.is_open:
            await self.close(code)
        else:
            await self._wire.wait_flushed()
        if self._codec.failure is not None:
            self._wire.log(self._codec.failure)

    def cut(self) -> None:
        """Send a Close if that takes no wait: the task is about to be cancelled."""
        self._wire.cut(self._stop_code)

    # -- facts ---------------------------------------------------------------------------------

    @property
    def close_code(self) -> int | None:
        """The code of the peer's Close: 1005 if it gave none.

        1006 if it left without a Close, broke a rule, or was given up; None while it is connected.
        """
        received = self._codec.received_close
        if received is not None:
            return received[0]
        return 1006 if self._wire.is_lost or self._codec.is_over else None

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
        state = "lost" if self._wire.is_lost else "open" if self._codec.is_open else "closing"
        return f"<WebSocketConn {self.path} from {self._wire.peer} {state}>"
