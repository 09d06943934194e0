"""What serving costs at least: fixed bytes for whatever arrives, nothing parsed, no timeout.

Run as ``python -m benchmarks.load.floor PORT --loop trio|uvloop``. The trio one is written the
fastest way that trio's public interface has: wait, then receive, then send without a checkpoint.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from typing import cast

import trio

from benchmarks.load.payload import HELLO

BACKLOG = 2_048
RECEIVE_BYTES = 65_536
RESPONSE = (
    b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: floor\r\n"
    b"content-type: text/plain\r\ncontent-length: %d\r\n\r\n%s" % (len(HELLO), HELLO)
)


async def serve_on_trio(listener: socket.socket) -> None:
    async with trio.open_nursery() as nursery:
        listener.setblocking(False)
        while True:
            await trio.lowlevel.wait_readable(listener)
            sock, _ = listener.accept()
            nursery.start_soon(answer_on_trio, sock)


async def answer_on_trio(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        try:
            while True:
                await trio.lowlevel.wait_readable(sock)
                if not sock.recv(RECEIVE_BYTES):
                    break
                sock.send(RESPONSE)
        except ConnectionError:
            pass  # The load generator has stopped.


class Answer(asyncio.Protocol):
    """The same for asyncio, whose protocols need no task."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: the transports of uvloop are of no class of asyncio's.
        self._write = cast("asyncio.Transport", transport).write

    def data_received(self, data: bytes) -> None:
        self._write(RESPONSE)


async def serve_on_asyncio(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(Answer, sock=listener)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--loop", choices=["trio", "uvloop"], default="trio")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port), backlog=BACKLOG)
    if options.loop == "trio":
        trio.run(serve_on_trio, listener)
        return
    # Here alone, so that the floor of trio needs nothing beside it.
    import uvloop  # noqa: PLC0415

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_on_asyncio(listener))


if __name__ == "__main__":
    main()
