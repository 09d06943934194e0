"""Our own load generator: for transfers, and where there is no wrk.

Run as ``python -m benchmarks.load.generator PORT CASE CONNECTIONS SECONDS``; prints one JSON
object. It is a plain epoll loop and reads into one buffer for all connections.
"""

from __future__ import annotations

import json
import re
import select
import socket
import ssl
import sys
import time
from typing import TYPE_CHECKING, final

from benchmarks.load.cases import CASES
from tests.unit.transport._tls import client_context

if TYPE_CHECKING:
    from benchmarks.load.cases import Case

_BUFFER = bytearray(512 * 1024)
_MAX_SECONDS = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@final
class Tls:
    """How connections encrypt.

    Args:
      resumes: Each connection resumes the session of the one before.
    """

    def __init__(self, *, resumes: bool) -> None:
        self._context = client_context("http/1.1")
        self._resumes = resumes
        self._session: ssl.SSLSession | None = None

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        """Return the socket with TLS, the handshake not yet done."""
        return self._context.wrap_socket(
            sock,
            server_hostname="localhost",
            do_handshake_on_connect=False,
            session=self._session,
        )

    def keep(self, sock: ssl.SSLSocket) -> None:
        """Keep the session of a connection that has been answered: its ticket has come by now."""
        if self._resumes and self._session is None:
            self._session = sock.session


@final
class Connection:
    """One connection with one request under way."""

    __slots__ = ("_head", "_is_last", "_is_shaken", "_left", "_request", "_tls", "_unsent", "sock")

    def __init__(self, port: int, request: bytes, tls: Tls | None = None) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self._tls = tls
        self._is_shaken = tls is None
        if tls is not None:
            self.sock = tls.wrap(self.sock)
        self._request = memoryview(request)
        self.start()

    def start(self) -> None:
        """Begin the next request."""
        self._unsent = self._request
        self._head = b""
        self._left: int | None = None  # of the response's body; None until its head is there
        self._is_last = False

    def send(self) -> bool:
        """Send as much as the socket takes; return whether it is the server's turn."""
        try:
            if not self._is_shaken:
                assert isinstance(self.sock, ssl.SSLSocket)
                self.sock.do_handshake()
                self._is_shaken = True
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except ssl.SSLWantReadError:
            return True
        except (BlockingIOError, ssl.SSLWantWriteError):
            return False
        return True

    def receive(self) -> bool:
        """Receive once; return whether the response is whole.

        Raises:
          ConnectionError: It ended before.
        """
        if not self._is_shaken:
            self.send()
            return False
        try:
            size = self.sock.recv_into(_BUFFER)
        except ssl.SSLWantReadError:
            return False  # part of a record, or a session ticket
        if size == 0:
            raise ConnectionResetError("the response is not whole")
        if self._left is None:
            self._head += _BUFFER[:size]
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return False
            length = _LENGTH.search(head)
            if length is None or b" 200 " not in head[:16]:
                raise ConnectionAbortedError(f"cannot make use of {head!r}")
            self._is_last = _CLOSE.search(head) is not None
            self._left = int(length[1])
            size = len(body)
        self._left -= size
        if self._left == 0 and self._tls is not None:
            assert isinstance(self.sock, ssl.SSLSocket)
            self._tls.keep(self.sock)
        return self._left == 0

    @property
    def is_last(self) -> bool:
        """Whether the server closes behind the response that was received."""
        return self._is_last


def generate(port: int, case: Case, connections: int, seconds: float) -> dict[str, float]:
    """Ask over and over, on each connection as soon as it has been answered.

    Returns:
      ``requests`` answered whole, ``seconds`` it took, ``errors``.
    """
    answered = errors = 0
    poll = select.epoll()
    active: dict[int, Connection] = {}
    request = case.request()
    tls = Tls(resumes=case.resumes) if case.is_tls else None

    def go_on(connection: Connection) -> None:
        wanted = select.EPOLLIN if connection.send() else select.EPOLLIN | select.EPOLLOUT
        poll.modify(connection.sock, wanted)

    def connect() -> None:
        connection = Connection(port, request, tls)
        active[connection.sock.fileno()] = connection
        poll.register(connection.sock, select.EPOLLIN | select.EPOLLOUT)

    for _ in range(connections):
        connect()
    start = now = time.monotonic()
    # One answer at least: a transfer may take longer than that.
    while now < start + seconds or (not answered and now < start + _MAX_SECONDS):
        for fd, events in poll.poll(0.1):
            connection = active[fd]
            try:
                if events & select.EPOLLOUT:
                    go_on(connection)
                if events & ~select.EPOLLOUT and connection.receive():
                    answered += 1
                    if connection.is_last:
                        raise ConnectionResetError("closed as announced")
                    connection.start()
                    go_on(connection)
            except OSError:
                errors += not connection.is_last
                del active[fd]
                connection.sock.close()
                connect()
        now = time.monotonic()
    for connection in active.values():
        connection.sock.close()
    return {"requests": answered, "seconds": now - start, "errors": errors}


if __name__ == "__main__":
    [case] = [each for each in CASES if each.name == sys.argv[2]]
    figures = generate(int(sys.argv[1]), case, int(sys.argv[3]), seconds=float(sys.argv[4]))
    print(json.dumps(figures))
