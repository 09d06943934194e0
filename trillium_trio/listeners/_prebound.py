"""Listeners that the application created: sockets, or any `trio.abc.Listener`."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from ..transport import Listener, StreamTransport, TlsTransport
from ._bound import BoundListener
from ._inherited import facts_of

if TYPE_CHECKING:
    import ssl

    from ..transport import Transport

    AnyListener = trio.abc.Listener[trio.abc.Stream]


@final
class BoundStream(BoundListener):
    """A `trio.abc.Listener`; its streams may be anything, including a `trio.SSLStream`.

    It cannot be closed synchronously: `close` stops accepting, `aclose` closes.
    """

    __slots__ = ("_listener", "_tls", "_wait")

    def __init__(
        self, listener: AnyListener, name: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        """Take ownership of a listener.

        Args:
          listener: Closed by `aclose`.
          name: For the log. Default: its address if it has one, else its type.
          tls: The context for TLS on its streams. Default: streams are used as they are.
        """
        super().__init__(_facts_of(listener, name, tls), is_owned=False)
        self._listener = listener
        self._tls = tls
        self._wait: trio.CancelScope | None = None

    async def accept(self) -> Transport:
        if not self.is_closing:
            with trio.CancelScope() as self._wait:
                stream = await self._listener.accept()
                return self._transport(stream)
        raise trio.ClosedResourceError(f"{self.facts.name} is closing")

    def accept_nowait(self) -> Transport | None:
        return None

    def drain_and_close(self) -> list[Transport]:
        self.close()
        return []

    def close(self) -> None:
        self.is_closing = True
        if self._wait is not None:
            self._wait.cancel()

    async def aclose(self) -> None:
        self.close()
        await trio.aclose_forcefully(self._listener)

    def _transport(self, stream: trio.abc.Stream) -> Transport:
        transport = StreamTransport(stream, self.facts, _peer_of(stream))
        return transport if self._tls is None else TlsTransport(transport, self._tls)


def _peer_of(stream: trio.abc.Stream) -> object:
    if isinstance(stream, trio.SSLStream):
        return _peer_of(stream.transport_stream)
    if isinstance(stream, trio.SocketStream):
        try:
            return stream.socket.getpeername()
        except OSError:
            pass  # Already disconnected; the first read will fail.
    return None


def _facts_of(listener: AnyListener, name: str, tls: ssl.SSLContext | None) -> Listener:
    is_tls = tls is not None or isinstance(listener, trio.SSLListener)
    below = listener.transport_listener if isinstance(listener, trio.SSLListener) else listener
    if isinstance(below, trio.SocketListener):
        return facts_of(below.socket, is_tls=is_tls, name=name)
    # No address: nothing but the type's name is known.
    kind = type(below).__name__
    return Listener(kind="unix", address=kind, is_tls=is_tls, name=name or kind)
