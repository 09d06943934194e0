"""A server as one task among others: ``nursery.start`` returns once it is ready.

The server leaves signals to the program. This program serves for a while, then drains the server.
"""

import trio

import trillium_trio as tt


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello\n")


async def main(seconds: float = 60) -> tt.DrainReport:
    server = tt.config().with_port(0).server(hello)
    async with trio.open_nursery() as nursery:
        handle: tt.ServerHandle = await nursery.start(server.serve)
        print(f"serving at {handle.url} for {seconds:g} seconds")
        await trio.sleep(seconds)
        return await handle.shut_down(timeout=10)


if __name__ == "__main__":
    print(trio.run(main))
