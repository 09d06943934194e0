"""A response without an end of its own, which ends itself when the server is told to stop.

``conn.swansong.interrupt`` ends the loop at the stop; what stands behind the loop still reaches
the client, and the drain waits for nobody. Without it the stream would last until the drain's
deadline and be cut. Try ``curl -N localhost:8080`` and Ctrl-C here.
"""

from collections.abc import AsyncIterator

import trio

import trillium_trio as tt


async def seconds() -> AsyncIterator[int]:
    count = 0
    while True:
        yield count
        await trio.sleep(1)
        count += 1


async def clock(conn: tt.Conn) -> tt.Conn:
    async def body() -> AsyncIterator[bytes]:
        async for second in conn.swansong.interrupt(seconds()):
            yield f"{second}\n".encode()
        yield b"bye\n"

    return conn.ok(body())


if __name__ == "__main__":
    tt.config().run(clock)
