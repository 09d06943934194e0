"""Sends text messages of 100 bytes, and waits for each echo, on many WebSockets at once.

Run as ``python -m benchmarks.websocket.generator PORT CONNECTIONS SECONDS``; prints one JSON
object. A plain epoll loop that sends one frame, made in advance.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

_HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_TEXT = b'{"id": 12345678, "user": "somebody", "text": "the quick brown fox jumps"}'.ljust(100)
_MASK = b"\x12\x34\x56\x78"
_MASKED = bytes(each ^ _MASK[at % 4] for at, each in enumerate(_TEXT))
_FRAME = b"\x81" + bytes([0x80 | len(_TEXT)]) + _MASK + _MASKED
_ECHO = b"\x81" + bytes([len(_TEXT)]) + _TEXT


def open_socket(port: int) -> socket.socket:
    """Connect and make the handshake."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(_HANDSHAKE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(4_096)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return sock


def main() -> None:
    """Drive the server, and print how many echoes came in how many seconds."""
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    poll = select.epoll()
    sockets = {}
    for _ in range(connections):
        sock = open_socket(port)
        sockets[sock.fileno()] = sock
        poll.register(sock, select.EPOLLIN)
    start = time.perf_counter()
    deadline = start + seconds
    messages = 0
    for sock in sockets.values():
        sock.send(_FRAME)
    while time.perf_counter() < deadline:
        for fd, _ in poll.poll(1):
            sock = sockets[fd]
            echo = sock.recv(4_096)
            assert echo == _ECHO, echo
            messages += 1
            sock.send(_FRAME)
    print(json.dumps({"messages": messages, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
