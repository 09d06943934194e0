"""What it costs to hand head and body to the kernel: microseconds per response, by way and size.

Run it with ``python benchmarks/micro/sending.py``. The peer reads in the same thread, and what its
reading costs is in every row alike; so look at differences.
"""

from __future__ import annotations

import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

from benchmarks.micro.timing import nanoseconds

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: trillium-trio\r\n"
    b"content-type: application/octet-stream\r\ncontent-length: 65536\r\n\r\n"
)
KIBIBYTES = (1, 4, 16, 64)


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


def ways(near: socket.socket, far: socket.socket, body: bytes) -> dict[str, Callable[[], None]]:
    """Return each way to send head and body, and have them read."""
    size = len(HEAD) + len(body)
    space = bytearray(size)

    def drain() -> None:
        left = size
        while left:
            left -= far.recv_into(space, left)

    def join() -> None:
        near.sendall(HEAD + body)
        drain()

    def sendmsg() -> None:
        sent = near.sendmsg((HEAD, body))
        assert sent == size, "the socket is too small for this comparison"
        drain()

    def twice() -> None:
        near.sendall(HEAD)
        near.sendall(body)
        drain()

    return {"join, send": join, "sendmsg": sendmsg, "send, send": twice}


def main() -> None:
    print(f"{'body':32}{'way':12}{'us':>8}{'ratio':>8}")
    for kind, pair in (("unix", socket.socketpair), ("tcp", connected)):
        near, far = pair()
        with closing(near), closing(far):
            for kibibytes in KIBIBYTES:
                base = 0.0
                for way, work in ways(near, far, bytes(1024 * kibibytes)).items():
                    us = nanoseconds(work) / 1e3
                    base = base or us
                    label = f"{kibibytes} KiB, {kind}"
                    print(f"{label:32}{way:12}{us:8.2f}{us / base:8.2f}")


if __name__ == "__main__":
    main()
