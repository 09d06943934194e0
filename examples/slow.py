"""A server whose answers take their time, so that a drain can be watched.

Run it, type ``curl localhost:8080`` in a second terminal, and press Ctrl-C in the first before the
answer is there: the answer still arrives, and only then does the process end.
"""

import trio

import trillium_trio as tt


async def slow(conn: tt.Conn) -> tt.Conn:
    await trio.sleep(5)
    return conn.ok("worth waiting for\n")


if __name__ == "__main__":
    tt.config().run(slow)
