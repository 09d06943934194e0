"""The client's side of a WebSocket, in memory."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any, Self, final

import trio

from ..exceptions import WebSocketClosed
from ..handlers import MessageCodec, accept_key
from ..http import Headers
from ._exchange import Exchanger
from ._request import build_request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from ._memory import MemoryStream
    from ._request import HeadersLike
    from ._response import TestResponse

__all__ = ["TestWebSocket"]

# As long as `WebSocket` waits for its peer by default.
_CLOSE_SECONDS = 5.0


@final
class TestWebSocket:
    """A WebSocket to a server in memory, opened by entering it, and closed with 1000 by leaving.

    It answers pings and the server's Close, as any client does, while it receives.

    Args:
      stream: The client's end of a connection; closed with the WebSocket.
      path: The target of the handshake, with its querystring.
      headers: Fields of the handshake beside its own; ``Origin``, say.
      subprotocols: To offer, the preferred one first.

    Attributes:
      response: The server's answer to the handshake.
    """

    # Its name is not meant for pytest to collect.
    __test__ = False

    def __init__(
        self,
        stream: MemoryStream,
        path: str,
        *,
        headers: HeadersLike | None = None,
        subprotocols: Sequence[str] = (),
    ) -> None:
        self._stream = stream
        self._path = path
        self._headers = Headers(headers or ())
        self._subprotocols = subprotocols
        self._codec = MessageCodec(max_message_bytes=1 << 30, max_fragments=1 << 30, is_client=True)
        self._is_lost = False
        self.response: TestResponse | None = None

    async def __aenter__(self) -> Self:
        """Make the handshake.

        Raises:
          AssertionError: The server refused, or agreed to what was not offered; the message shows
            its response.
          ConnectionResetError: The connection ended before a whole response had come.

        Cancellation:
          The connection is closed.
        """
        __tracebackhide__ = True
        key = base64.b64encode(secrets.token_bytes(16)).decode("ascii")
        headers = self._headers.copy()
        headers.set("upgrade", "websocket")
        headers.set("connection", "upgrade")
        headers.set("sec-websocket-key", key)
        headers.set("sec-websocket-version", "13")
        if self._subprotocols:
            headers.set("sec-websocket-protocol", ", ".join(self._subprotocols))
        exchanger = Exchanger(self._stream)
        try:
            self.response = await exchanger.exchange(
                build_request("GET", self._path, headers=headers)
            )
            self.response.assert_status(101)
            self.response.assert_header("sec-websocket-accept", accept_key(key))
            assert self.subprotocol in {None, *self._subprotocols}, self.response
        except BaseException:
            self._stream.close()
            raise
        self._codec.feed(exchanger.take_buffer())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc is None:
                await self.close()
        finally:
            self._stream.close()

    async def send(self, message: str | bytes) -> None:
        """Send a message: text for a `str`, else binary.

        Raises:
          WebSocketClosed: The WebSocket is closed, or the server gone.

        Cancellation:
          Nothing was sent.
        """
        if not self._codec.is_open:
            raise self._closed()
        self._codec.send(message)
        if not await self._push():
            raise self._closed()

    async def send_json(self, value: object) -> None:
        """Send a value as JSON, in a text message; see `send`.

        Cancellation: see `send`.
        """
        await self.send(json.dumps(value))

    async def ping(self, payload: bytes = b"") -> None:
        """Send a Ping.

        Raises:
          WebSocketClosed: The WebSocket is closed, or the server gone.

        Cancellation:
          Nothing was sent.
        """
        if not self._codec.is_open:
            raise self._closed()
        self._codec.ping(payload)
        if not await self._push():
            raise self._closed()

    async def receive(self) -> str | bytes:
        """Wait for the next message.

        Raises:
          WebSocketClosed: The server has closed, with a Close or without; it carries the code.

        Cancellation:
          No message is lost.
        """
        codec = self._codec
        while True:
            message = codec.next_message()
            if codec.has_answers:
                await self._push()
            if message is not None:
                return message
            if codec.is_over or self._is_lost:
                raise self._closed()
            if codec.is_hungry:
                await self._fill()

    async def receive_json(self) -> Any:  # Any: what JSON holds is open
        """Wait for the next message and parse it as JSON; see `receive`.

        Raises:
          ValueError: It is not JSON.

        Cancellation: see `receive`.
        """
        return json.loads(await self.receive())

    def __aiter__(self) -> Self:
        """Iterate over the messages until the server closes; `close_code` says how."""
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next message.

        Cancellation:
          No message is lost.
        """
        try:
            return await self.receive()
        except WebSocketClosed:
            raise StopAsyncIteration from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a Close and wait for the server's, for at most 5 seconds.

        Messages that come meanwhile are thrown away. Does nothing if the WebSocket is closed.

        Raises:
          ValueError: The code is not for sending (RFC 6455, 7.4).

        Cancellation:
          The server's Close is not waited for.
        """
        codec = self._codec
        if codec.is_open and not self._is_lost:
            codec.close(code, reason)
            await self._push()
        with trio.move_on_after(_CLOSE_SECONDS):
            while not codec.is_over and not self._is_lost:
                if codec.next_message() is None and codec.is_hungry:
                    await self._fill()

    def disconnect(self) -> None:
        """Leave without a Close, as a client does whose network is gone. Idempotent."""
        self._is_lost = True
        self._stream.close()

    @property
    def subprotocol(self) -> str | None:
        """What the server has chosen of the subprotocols."""
        assert self.response is not None, "enter it first: async with app.websocket(...) as ws"
        return self.response.headers.get("sec-websocket-protocol")

    @property
    def close_code(self) -> int | None:
        """The code of the server's Close: 1005 if it gave none; 1006 if it left without a Close.

        None while nothing of that has been received.
        """
        received = self._codec.received_close
        if received is not None:
            return received[0]
        return 1006 if self._is_lost else None

    @property
    def close_reason(self) -> str:
        """The reason of the server's Close."""
        received = self._codec.received_close
        return "" if received is None else received[1]

    async def _fill(self) -> None:
        try:
            data = await self._stream.receive_some()
        except trio.BrokenResourceError:
            data = b""
        if data:
            self._codec.feed(data)
        else:
            self._is_lost = True

    async def _push(self) -> bool:
        try:
            await self._stream.send_all(self._codec.take())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._is_lost = True
        return not self._is_lost

    def _closed(self) -> WebSocketClosed:
        return WebSocketClosed(self.close_code or 1006, self.close_reason)

    def __repr__(self) -> str:
        state = "lost" if self._is_lost else "open" if self._codec.is_open else "closing"
        return f"<TestWebSocket {self._path} {state}>"
