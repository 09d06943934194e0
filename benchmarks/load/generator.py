"""Our own load generator: for transfers, and where there is no wrk.

Run as ``python -m benchmarks.load.generator PORT CASE CONNECTIONS SECONDS``; prints one JSON
object. It is a plain epoll loop and reads into one buffer for all connections.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from typing import final

from benchmarks.load.cases import CASES

_BUFFER = bytearray(512 * 1024)
_MAX_SECONDS = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@final
class Connection:
    """One connection with one request under way."""

    __slots__ = ("_head", "_is_last", "_left", "_request", "_unsent", "sock")

    def __init__(self, port: int, request: bytes) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self._request = memoryview(request)
        self.start()

    def start(self) -> None:
        """Begin the next request."""
        self._unsent = self._request
        self._head = b""
        self._left: int | None = None  # of the response's body; None until its head is there
        self._is_last = False

    def send(self) -> bool:
        """Send as much as the socket takes; return whether the request is sent whole."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except BlockingIOError:
            return False
        return True

    def receive(self) -> bool:
        """Receive once; return whether the response is whole.

        Raises:
          ConnectionError: It ended before.
        """
        size = self.sock.recv_into(_BUFFER)
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
        return self._left == 0

    @property
    def is_last(self) -> bool:
        """Whether the server closes behind the response that was received."""
        return self._is_last


def generate(port: int, request: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Ask over and over, on each connection as soon as it has been answered.

    Returns:
      ``requests`` answered whole, ``seconds`` it took, ``errors``.
    """
    answered = errors = 0
    poll = select.epoll()
    active: dict[int, Connection] = {}

    def go_on(connection: Connection) -> None:
        wanted = select.EPOLLIN if connection.send() else select.EPOLLIN | select.EPOLLOUT
        poll.modify(connection.sock, wanted)

    def connect() -> None:
        connection = Connection(port, request)
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
    figures = generate(
        int(sys.argv[1]), case.request(), int(sys.argv[3]), seconds=float(sys.argv[4])
    )
    print(json.dumps(figures))
