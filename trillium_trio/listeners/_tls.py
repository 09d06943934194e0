"""TLS on accepted sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..transport import SocketTransport, TlsTransport

if TYPE_CHECKING:
    import socket
    import ssl

    from ..transport import Listener, Transport
    from ._socket import Wrap


def tls_wrap(ssl_context: ssl.SSLContext) -> Wrap:
    """Return a function that makes TLS transports of accepted sockets.

    The handshake is done by `Transport.handshake`, in the connection's task, so that a slow client
    does not delay the accept loop.
    """

    def wrap(sock: socket.socket, listener: Listener, address: object, /) -> Transport:
        return TlsTransport(SocketTransport(sock, listener, address), ssl_context)

    return wrap
