"""A server in this process, and clients on real sockets."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import trio

import trillium_trio as tt
from tests.unit.transport._tls import client_context, server_context
from tests.wire import Peer, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trillium_trio.conn import HandlerLike


class Net:
    """A server and the sockets that are connected to it."""

    def __init__(self, handle: tt.ServerHandle, open_: ExitStack) -> None:
        self.handle = handle
        self._open = open_

    @property
    def guards(self) -> int:
        return self.handle.swansong.guard_count

    def open(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.handle.port))
        return self._open.enter_context(sock)

    def peer(self) -> Peer:
        return peer_of(self.open())

    async def connect(self) -> Peer:
        """Return a client that the server has accepted."""
        client = self.peer()
        await settled()
        return client

    async def connect_tls(self) -> Peer:
        """Return a client that the server has accepted; the handshake is still to be made."""
        return tls_over(await self.connect())


def peer_of(sock: socket.socket) -> Peer:
    sock.setblocking(False)
    return Peer(trio.SocketStream(trio.socket.from_stdlib_socket(sock)))


async def peer_at(port: int) -> Peer:
    """Connect while the server, in this thread as well, accepts."""
    return Peer(await trio.open_tcp_stream("127.0.0.1", port))


def tls_over(client: Peer) -> Peer:
    context = client_context()
    return Peer(
        trio.SSLStream(client.stream, context, server_hostname="localhost", https_compatible=True)
    )


@asynccontextmanager
async def serving(
    handler: HandlerLike,
    *,
    grace: float = 0.5,
    timeout: float = 20,
    tls: bool = False,
    config: tt.Config | None = None,
    **http: float,
) -> AsyncIterator[Net]:
    """Serve on a real port; what is not a setting of the config is one of HTTP."""
    config = (config or tt.config()).without_signals().with_drain_timeout(timeout)
    if tls:
        config = config.bind_tls("127.0.0.1:0", server_context())
    else:
        config = config.bind_tcp("127.0.0.1:0")
    config = config.with_keepalive_grace(grace).with_http(tt.HttpConfig(**http))  # type: ignore[arg-type]  # also counts
    async with config.serving(handler) as handle:
        # Closed before the drain, which would wait for each of them.
        with ExitStack() as open_:
            yield Net(handle, open_)


async def reset(client: Peer) -> None:
    assert isinstance(client.stream, trio.SocketStream)
    client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await client.stream.aclose()
