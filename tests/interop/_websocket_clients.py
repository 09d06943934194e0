"""Other people's WebSocket clients, behind one shape."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import trio
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.trio.client import connect
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from tests.unit.transport._tls import client_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from websockets.trio.connection import Connection

__all__ = ["CLIENTS", "Client", "Closed"]


class Closed(Exception):
    """The server has sent a Close."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Client(Protocol):
    """One open WebSocket, seen from its client."""

    @property
    def subprotocol(self) -> str | None: ...

    async def send(self, *fragments: str | bytes) -> None:
        """Send one message."""

    async def ping(self, payload: bytes) -> None:
        """Send a Ping and wait for its answer."""

    async def receive(self) -> str | bytes:
        """Return the next message, or raise `Closed`."""

    async def close(self, code: int, reason: str) -> tuple[int, str]:
        """Close, and return what the server's Close says."""


class _Websockets:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def subprotocol(self) -> str | None:
        return self._connection.subprotocol

    async def send(self, *fragments: str | bytes) -> None:
        await self._connection.send(fragments[0] if len(fragments) == 1 else fragments)

    async def ping(self, payload: bytes) -> None:
        await (await self._connection.ping(payload)).wait()

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            if error.rcvd is None:
                raise AssertionError("the server has closed without a Close") from error
            raise Closed(error.rcvd.code, error.rcvd.reason) from error

    async def close(self, code: int, reason: str) -> tuple[int, str]:
        await self._connection.aclose(code, reason)
        assert self._connection.close_code is not None
        assert self._connection.close_reason is not None
        return self._connection.close_code, self._connection.close_reason


class _Wsproto:
    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._events = self._received()
        self.subprotocol: str | None = None

    async def send(self, *fragments: str | bytes) -> None:
        for number, fragment in enumerate(fragments, 1):
            is_last = number == len(fragments)
            if isinstance(fragment, str):
                await self._send(TextMessage(fragment, message_finished=is_last))
            else:
                await self._send(BytesMessage(fragment, message_finished=is_last))

    async def ping(self, payload: bytes) -> None:
        await self._send(Ping(payload))
        pong = await anext(self._events)
        assert isinstance(pong, Pong)
        assert bytes(pong.payload) == payload

    async def receive(self) -> str | bytes:
        text, data = "", b""
        async for event in self._events:
            match event:
                case TextMessage():
                    text += event.data
                    if event.message_finished:
                        return text
                case BytesMessage():
                    data += event.data
                    if event.message_finished:
                        return data
                case CloseConnection():
                    await self._send(event.response())
                    # The server closes the connection first (RFC 6455, 7.1.1).
                    assert await self._stream.receive_some() == b""
                    await self._stream.aclose()
                    raise Closed(event.code, event.reason or "")
        raise AssertionError("the server has closed without a Close")

    async def close(self, code: int, reason: str) -> tuple[int, str]:
        await self._send(CloseConnection(code, reason))
        answer = await anext(self._events)
        assert isinstance(answer, CloseConnection)
        return answer.code, answer.reason or ""

    async def open(self, request: Request) -> None:
        await self._send(request)
        accepted = await anext(self._events)
        assert isinstance(accepted, AcceptConnection), accepted
        assert bool(accepted.extensions) is bool(request.extensions)
        self.subprotocol = accepted.subprotocol

    async def _send(self, event: Event) -> None:
        await self._stream.send_all(self._protocol.send(event))

    async def _received(self) -> AsyncIterator[Event]:
        while data := await self._stream.receive_some():
            self._protocol.receive_data(bytes(data))
            for event in self._protocol.events():
                yield event


@asynccontextmanager
async def _websockets(
    port: int, *, tls: bool, deflate: dict[str, int | bool] | None, subprotocols: list[str]
) -> AsyncIterator[Client]:
    scheme, context = ("wss", client_context()) if tls else ("ws", None)
    async with connect(
        f"{scheme}://127.0.0.1:{port}/chat",
        ssl=context,
        server_hostname="localhost" if tls else None,
        subprotocols=subprotocols or None,  # type: ignore[arg-type]  # its own type of str
        compression=None,
        extensions=None if deflate is None else [ClientPerMessageDeflateFactory(**deflate)],  # type: ignore[arg-type]  # each setting has its type
        proxy=None,
    ) as connection:
        assert bool(connection.protocol.extensions) is (deflate is not None)
        yield _Websockets(connection)


@asynccontextmanager
async def _wsproto(
    port: int, *, tls: bool, deflate: dict[str, int | bool] | None, subprotocols: list[str]
) -> AsyncIterator[Client]:
    stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", port)
    if tls:
        stream = trio.SSLStream(stream, client_context(), server_hostname="localhost")
    async with stream:
        client = _Wsproto(stream)
        extensions = [] if deflate is None else [PerMessageDeflate(**deflate)]  # type: ignore[arg-type]  # each setting has its type
        await client.open(
            Request(
                host="localhost", target="/chat", extensions=extensions, subprotocols=subprotocols
            )
        )
        yield client


class Open(Protocol):
    """Opens a WebSocket at ``/chat``; ``deflate`` is what to offer, or None."""

    def __call__(
        self,
        port: int,
        *,
        tls: bool,
        deflate: dict[str, int | bool] | None,
        subprotocols: list[str],
    ) -> AbstractAsyncContextManager[Client]: ...


CLIENTS: dict[str, Open] = {"websockets": _websockets, "wsproto": _wsproto}
