"""TLS on accepted sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ..transport import TlsTransport

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
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        # HTTPS clients often close without close_notify, and do not wait for ours. HTTP's own
        # framing tells a message that was cut (RFC 9112, 9.8).
        tls = trio.SSLStream[trio.abc.Stream](
            stream, ssl_context, server_side=True, https_compatible=True
        )
        return TlsTransport(tls, listener, address)

    return wrap
