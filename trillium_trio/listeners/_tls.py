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
    """Return what makes TLS transports of accepted sockets.

    The handshake waits for `Transport.handshake`, in the connection's task: a client that is slow
    at it must not keep others from being accepted.
    """

    def wrap(sock: socket.socket, listener: Listener, address: object, /) -> Transport:
        return TlsTransport(SocketTransport(sock, listener, address), ssl_context)

    return wrap
