"""TLS records, cut and mangled on their way from a real client to a live connection."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import trio
import trio.testing

from tests.fuzz._connections import quiet_log
from tests.unit.driver._service import make_service
from tests.unit.transport._tls import client_context, server_context
from tests.wire import request
from trillium_trio.driver import Http1Connection
from trillium_trio.transport import Listener, SocketTransport, TlsTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trillium_trio as tt
    from trillium_trio.driver import Service

_FDS = Path("/dev/fd")
_LISTENER = Listener(kind="tcp", address=("127.0.0.1", 443), is_tls=True)
_LARGE = bytes(200_000)
_SERVER = server_context("http/1.1")
_CLIENTS = [client_context("http/1.1") for _ in range(2)]
_CLIENTS[1].maximum_version = ssl.TLSVersion.TLSv1_2
_REQUESTS = (
    [request()],
    [request(), request("/large", "Connection: close")],
    [request(method="PUT", body=_LARGE[:40_000]), request(version="1.0")],
    [request() * 3],
)


def records(data: bytes) -> None:
    """Mangle each flight of a client as three bytes say; the first byte chooses the client.

    Whatever comes of it, the server answers or closes, logs what is the peer's fault as such, and
    keeps neither guard, task nor descriptor.
    """
    fds = len(os.listdir(_FDS))
    clock = trio.testing.MockClock(autojump_threshold=0)
    with quiet_log():
        trio.run(_serve, data, clock=clock)
    assert len(os.listdir(_FDS)) == fds


async def _answer(conn: tt.Conn) -> tt.Conn:
    await conn.request_body.read()
    return conn.ok(_LARGE if conn.path == "/large" else "hello")


async def _serve(data: bytes) -> None:
    service = make_service(_answer)
    near, far = socket.socketpair()
    transport = TlsTransport(SocketTransport(near, _LISTENER), _SERVER)
    client = _Client(trio.socket.from_stdlib_socket(far), service, data)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.watchdog.run)
        connection = Http1Connection(service, transport)
        async with trio.open_nursery() as both:
            both.start_soon(connection.run)
            both.start_soon(client.run)
        nursery.cancel_scope.cancel()
    assert not service.connections
    assert service.swansong.guard_count == 0
    assert client.got == b"" or client.got.startswith(b"HTTP/1.1 ")
    if not client.is_mangled:
        assert client.got.count(b"HTTP/1.1 200 ") == client.asked
    if not client.is_shaken and client.raw and client.raw[0] not in (0x15, 0x16):
        assert client.raw.startswith(b"HTTP/1.1 400 ")


class _Client:
    """A client that means well, on a wire that does not.

    Attributes:
      raw: The first that came.
      got: What it held.
      asked: How many requests it sent.
      is_shaken: The handshake was done.
      is_mangled: Something else arrived than it sent, or something else happened.
    """

    def __init__(self, sock: trio.socket.SocketType, service: Service, data: bytes) -> None:
        self._sock = sock
        self._service = service
        first = data[0] if data else 0
        self._requests = _REQUESTS[first // 2 % len(_REQUESTS)]
        self._steps = _steps(data[1:])
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _CLIENTS[first % 2].wrap_bio(
            self._incoming, self._outgoing, server_hostname="localhost"
        )
        self.raw = self.got = b""
        self.asked = 0
        self.is_shaken = self.is_mangled = False

    async def run(self) -> None:
        with self._sock:
            try:
                await self._talk()
            except (ssl.SSLError, OSError, EOFError):
                pass  # What a client sees of it.

    async def _talk(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._exchange()
        self.is_shaken = True
        for each in self._requests:
            self.asked += each.count(b"HTTP/1.")
            self._tls.write(each)
            while self.got.count(b"HTTP/1.1 ") < self.asked or not self._is_whole():
                await self._exchange()
                self._read()
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        await self._send(self._outgoing.read())

    def _is_whole(self) -> bool:
        head, _, body = self.got.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")
        return body in (b"hello", _LARGE) or b" 200 " not in b" " + head

    def _read(self) -> None:
        try:
            while piece := self._tls.read(65_536):
                self.got += piece
        except ssl.SSLWantReadError:
            return
        raise EOFError

    async def _exchange(self) -> None:
        if self._outgoing.pending:
            await self._send(self._outgoing.read())
        received = await self._sock.recv(65_536)
        if not received:
            raise EOFError
        self.raw = self.raw or received
        self._incoming.write(received)

    async def _send(self, flight: bytes) -> None:
        kind, where, value = next(self._steps)
        at = where * len(flight) // 256
        self.is_mangled |= kind != 0
        match kind:
            case 1:
                flight = flight[:at] + bytes([flight[at] ^ (value or 1)]) + flight[at + 1 :]
            case 2:
                flight = flight[:at]
            case 3:
                flight = flight[:at] + flight[at + 1 :]
            case 4:
                flight += flight[at:]
            case 5:
                flight = flight[:at] + bytes([value]) * 5 + flight[at:]
            case 6:
                await self._sock.send(flight[:at])
                await trio.testing.wait_all_tasks_blocked()
                flight = flight[at:]
            case 7:
                await self._sock.send(flight[:at])
                self._sock.shutdown(socket.SHUT_WR)
                return
            case 8:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._sock.close()
                raise EOFError
            case 9:
                self._service.swansong.shut_down()
                self._service.begin_drain(trio.current_time())
                self._service.notify()
            case 10:
                await self._sock.send(flight[:at])
                await trio.sleep(value)
                flight = flight[at:]
            case 11:
                flight = request()[: at + 1]
        while flight:
            flight = flight[await self._sock.send(flight) :]


def _steps(data: bytes) -> Iterator[tuple[int, int, int]]:
    for at in range(0, len(data) - 2, 3):
        yield data[at] % 12, data[at + 1], data[at + 2]
    while True:
        yield 0, 0, 0
