"""An endless response, which ends when the server is stopped.

``conn.swansong.interrupt`` ends the loop at the stop. What the generator yields after the loop
still reaches the client. Without the interrupt, the stream would last until the drain's deadline
and then be cut. Try ``curl -N localhost:8080``, and press Ctrl-C here.
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
