"""One request and its response over a stream, from the client's side; h11 parses the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import h11
import trio

from ..driver import as_piece, open_body
from ..http import Body, Headers
from ._request import client_connection
from ._response import TestResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from ._memory import MemoryStream
    from ._request import Request

__all__ = ["Exchanger", "dummy_connection", "headers_of"]

# How much of a broken response its error shows.
_BYTES_SHOWN = 500


@final
class Exchanger:
    """Sends requests and reads responses on one connection; keeps bytes read beyond a response.

    Args:
      stream: The client's end; closed by the caller.
    """

    def __init__(self, stream: MemoryStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def exchange(self, request: Request) -> TestResponse:
        """Send a request and receive its response.

        Raises:
          ConnectionResetError: The connection ended before a complete response.
          h11.RemoteProtocolError: The response is not valid HTTP.

        Cancellation:
          Leaves a connection that can only be closed.
        """
        http, head = request.connection()
        if not isinstance(request.body, bytes):
            return await self._exchange_stream(http, request, head, request.body)
        await self._send(head + _rest(http, request.body))
        return await self.receive(http, request.method, request.path)

    async def send(self, request: Request) -> h11.Connection:
        """Send a request in one piece; return the h11 connection for `receive`.

        Raises:
          trio.BrokenResourceError: The server has closed; the request was not sent.

        Cancellation:
          Nothing was sent.
        """
        assert isinstance(request.body, bytes), "one piece cannot be a stream"
        http, head = request.connection()
        await self.stream.send_all(head + _rest(http, request.body))
        return http

    async def receive(self, http: h11.Connection, method: str, path: str) -> TestResponse:
        """Receive the complete response to the request that ``http`` has sent; see `exchange`.

        Cancellation:
          Leaves a connection that can only be closed.
        """
        received = self._buffer
        if received:
            http.receive_data(received)
        parts = _Parts()
        is_over = False
        try:
            while not parts.is_complete:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    data = await self.stream.receive_some()
                    received += data[: max(0, _BYTES_SHOWN - len(received))]
                    is_over = not data
                    http.receive_data(data)
                else:
                    parts.add(event)
        except trio.BrokenResourceError as error:
            raise _cut(method, path, received, error) from None
        except h11.RemoteProtocolError as error:
            if is_over:
                raise _cut(method, path, received, error) from None
            raise
        self._buffer = http.trailing_data[0]
        assert parts.final is not None
        return TestResponse(
            status=parts.final.status_code,
            reason=parts.final.reason.decode("latin-1"),
            headers=headers_of(parts.final.headers.raw_items()),
            body=bytes(parts.body),
            trailers=headers_of(parts.trailers),
            informational=tuple(parts.informational),
            is_closing=http.their_state in (h11.MUST_CLOSE, h11.CLOSED),
            method=method,
            path=path,
        )

    def take_buffer(self) -> bytes:
        """Return and clear the bytes received after the last response."""
        data, self._buffer = self._buffer, b""
        return data

    async def _exchange_stream(
        self, http: h11.Connection, request: Request, head: bytes, body: AsyncIterable[bytes]
    ) -> TestResponse:
        # A handler may answer while the body is still being sent, and the body may wait for that.
        response: TestResponse | None = None
        failures: list[Exception] = []
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                try:
                    await self._send(head)
                    await self._send_pieces(http, body)
                except Exception as error:  # raised below, not in a group
                    failures.append(error)
                    nursery.cancel_scope.cancel()

            nursery.start_soon(send)
            try:
                response = await self.receive(http, request.method, request.path)
            except Exception as error:  # raised below, not in a group
                failures.append(error)
            nursery.cancel_scope.cancel()
        if failures:
            raise failures[0]
        assert response is not None
        return response

    async def _send_pieces(self, http: h11.Connection, body: AsyncIterable[bytes]) -> None:
        whole = Body.of(body)
        async with open_body(whole) as (_, pieces):
            async for piece in pieces:
                data = bytes(as_piece(whole, piece))
                await self._send(http.send(h11.Data(data=data)) or b"")
        await self._send(http.send(h11.EndOfMessage()) or b"")

    async def _send(self, data: bytes) -> None:
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError:
            pass  # It may have answered before it closed; if not, receiving raises.


@final
class _Parts:
    """The parts of a response received so far."""

    def __init__(self) -> None:
        self.informational: list[int] = []
        self.final: h11.Response | h11.InformationalResponse | None = None
        self.body = bytearray()
        self.trailers: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def add(self, event: h11.Event | type[h11.NEED_DATA | h11.PAUSED]) -> None:
        match event:
            case h11.InformationalResponse(status_code=code) if code != 101:
                self.informational.append(code)
            case h11.Response() | h11.InformationalResponse():
                self.final = event
            case h11.Data():
                self.body += event.data
            case h11.EndOfMessage():
                self.trailers = event.headers.raw_items()
                self.is_complete = True
            case _:
                # PAUSED: another protocol from here on, after 101 or CONNECT.
                self.is_complete = True


def dummy_connection(method: str) -> h11.Connection:
    """Return an h11 client that has sent a request of this method, and accepts an upgrade."""
    http = client_connection()
    headers = [("host", "testserver"), ("upgrade", "anything"), ("connection", "upgrade")]
    http.send(h11.Request(method=method, target="*", headers=headers))
    http.send(h11.EndOfMessage())
    return http


def _rest(http: h11.Connection, body: bytes) -> bytes:
    data = http.send(h11.Data(data=body)) if body else b""
    return (data or b"") + (http.send(h11.EndOfMessage()) or b"")


def headers_of(raw: list[tuple[bytes, bytes]]) -> Headers:
    """Return header fields as h11 has them."""
    return Headers([(name.decode("ascii"), value.decode("latin-1")) for name, value in raw])


def _cut(method: str, path: str, received: bytes, error: Exception) -> ConnectionResetError:
    return ConnectionResetError(
        f"{method} {path}: incomplete response: {error}; received {received[:_BYTES_SHOWN]!r}"
    )
