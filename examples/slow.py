"""A server that needs five seconds for each answer, so that you can watch a drain.

Run it, type ``curl localhost:8080`` in a second terminal, and press Ctrl-C in the first before the
answer arrives: the answer still arrives, and only then does the process end.
"""

import trio

import trillium_trio as tt


async def slow(conn: tt.Conn) -> tt.Conn:
    await trio.sleep(5)
    return conn.ok("worth waiting for\n")


if __name__ == "__main__":
    tt.config().run(slow)
