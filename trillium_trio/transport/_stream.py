"""A transport over any `trio.abc.Stream`: memory streams in tests, what a listener yields."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, final

import trio

from .._util import byte_view
from ..exceptions import ClientDisconnected
from ._tcp import RESET_ON_CLOSE
from ._transport import Transport, Woken, has_hung_up, is_gone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._listener import Listener

_T = TypeVar("_T")

# What one send_some waits for: enough to be efficient, little enough to show progress.
_MAX_SEND_BYTES = 65536


@final
class StreamTransport(Transport):
    """Any stream; for a `trio.SSLStream`, also the facts of its TLS.

    A wait of a stream can be woken only by cancellation, so each wait runs in its own scope. That
    costs several microseconds, and is why sockets do not use this class.
    """

    __slots__ = ("_alpn", "_is_aborted", "_is_closed", "_is_lost", "_is_tls", "_stream", "_waits")

    sends_at_once = False

    def __init__(self, stream: trio.abc.Stream, listener: Listener, address: object = None) -> None:
        """Take ownership of a stream.

        Args:
          stream: Closed by `aclose`.
          listener: The facts of the listener.
          address: The peer's address, as a socket's ``accept`` gives it. Default: none is shown.
        """
        super().__init__(listener, address)
        self._stream = stream
        self._is_tls = isinstance(stream, trio.SSLStream)
        self._alpn: str | None = None
        self._waits: set[trio.CancelScope] = set()
        self._is_lost = False
        self._is_aborted = False
        self._is_closed = False

    @property
    def is_secure(self) -> bool:
        return self._is_tls or super().is_secure

    @property
    def alpn(self) -> str | None:
        return self._alpn

    async def handshake(self) -> None:
        if isinstance(self._stream, trio.SSLStream):
            await self._wait(self._stream.do_handshake)
            self._alpn = self._stream.selected_alpn_protocol()

    async def receive_some(self, max_bytes: int = 65536) -> bytes:
        return bytes(await self._wait(self._stream.receive_some, max_bytes))

    def receive_nowait(self, max_bytes: int = 65536) -> bytes | None:
        return None

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        return 0

    async def send_some(self, data: bytes | bytearray | memoryview) -> int:
        if len(data) > _MAX_SEND_BYTES or type(data) is memoryview:
            data = byte_view(data)[:_MAX_SEND_BYTES]
        size = len(data)
        await self._wait(self._stream.send_all, data)
        return size

    async def send_eof(self) -> None:
        if isinstance(self._stream, trio.SSLStream):
            below = self._stream.transport_stream
            try:
                # It waits for the peer's close_notify: trio cannot send ours alone.
                await self._wait(self._stream.unwrap)
            except ClientDisconnected:
                pass  # It disconnected, or answered with data, which is legal and discarded.
            # The bytes below TLS are discarded; unread, they would cause a reset (CN-13).
            self._stream = below
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._wait(self._stream.send_eof)

    def abort(self) -> None:
        if not self._is_aborted and not self._is_closed:
            self._is_aborted = True
            sock = self._socket_below()
            if sock is not None and sock.fileno() >= 0:
                try:
                    sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, RESET_ON_CLOSE)
                except OSError:
                    pass  # As in SocketTransport.abort.
                sock.close()
            elif (abort := getattr(self._stream, "abort", None)) is not None:
                # Our own memory streams can show their peer a reset.
                abort()
            self._end_waits()

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._end_waits()
        # Closing a stream may wait for the peer (TLS sends close_notify), so a wake or an abort
        # also ends this wait. Streams close nevertheless.
        with trio.CancelScope() as scope:
            self._waits.add(scope)
            if self._is_aborted or self.wake_reason is not None:
                scope.cancel()
            try:
                await self._stream.aclose()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # It was already closed or broken.
            except OSError as exc:
                if not is_gone(exc):
                    raise
            finally:
                self._waits.discard(scope)

    def is_disconnected_now(self) -> bool:
        if self._is_lost or self._is_aborted or self._is_closed:
            return True
        sock = self._socket_below()
        return sock is not None and (sock.fileno() < 0 or has_hung_up(sock.fileno()))

    async def _wait(self, fn: Callable[..., Awaitable[_T]], *args: object) -> _T:
        """Call a method of the stream so that it can be woken, and translate its errors."""
        if self._is_aborted or self._is_closed:
            raise ClientDisconnected("the transport is closed")
        if self.wake_reason is not None:
            raise Woken(self.wake_reason)
        with trio.CancelScope() as scope:
            self._waits.add(scope)
            try:
                # Streams receive atomically: bytes received when the wake comes are returned, and
                # the scope then catches nothing.
                return await fn(*args)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
                self._is_lost = True
                raise ClientDisconnected(
                    str(exc.__cause__ or exc) or "the stream is broken"
                ) from exc
            except OSError as exc:
                if not is_gone(exc):
                    raise
                self._is_lost = True
                raise ClientDisconnected(exc.strerror) from exc
            finally:
                self._waits.discard(scope)
        # The scope catches its own cancellation only; one from outside has passed through it.
        if self._is_aborted or self._is_closed:
            raise ClientDisconnected("the transport is closed")
        raise Woken(self._woken_by)

    def _end_waits(self) -> None:
        for scope in self._waits:
            scope.cancel()

    def _socket_below(self) -> trio.socket.SocketType | None:
        stream = self._stream
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        return stream.socket if isinstance(stream, trio.SocketStream) else None
