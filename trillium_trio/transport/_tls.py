"""TLS over a transport's stream: the handshake, ALPN, and the polite end."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ..exceptions import ClientDisconnected
from ._stream import WrappedTransport

if TYPE_CHECKING:
    import trio

    from ._listener import Listener


@final
class TlsTransport(WrappedTransport):
    """A `trio.SSLStream`. The handshake is left to the connection's task: it may take long."""

    __slots__ = ("_alpn", "_tls")

    def __init__(
        self,
        stream: trio.SSLStream[trio.abc.Stream],
        listener: Listener,
        address: object = None,
    ) -> None:
        """Take over a stream whose handshake has not begun; see `WrappedTransport`."""
        super().__init__(stream, listener, address)
        self._tls = stream
        self._alpn: str | None = None

    @property
    def is_secure(self) -> bool:
        return True

    @property
    def alpn(self) -> str | None:
        return self._alpn

    async def handshake(self) -> None:
        await self._wait(self._tls.do_handshake)
        self._alpn = self._tls.selected_alpn_protocol()

    async def send_eof(self) -> None:
        if self._stream is not self._tls:
            return  # Told already.
        try:
            await self._wait(self._tls.unwrap)
        except ClientDisconnected:
            pass  # Either it left, or it answered close_notify with data: legal, and discarded.
        # What is received from now on is below TLS: nobody may read it, but it has to be drained,
        # for unread bytes would turn the close into a reset (CN-13).
        self._stream = self._tls.transport_stream
        await super().send_eof()
