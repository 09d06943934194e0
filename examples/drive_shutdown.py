"""Control the shutdown yourself, from ordinary synchronous code.

The server runs in a thread. ``spawn`` returns once it is ready; ``shut_down().block()`` blocks the
calling thread until everything in progress is done.
"""

from urllib.request import urlopen

import trillium_trio as tt


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello\n")


def main() -> tt.DrainReport:
    handle = tt.config().with_port(0).without_signals().spawn(hello)
    with urlopen(handle.url) as response:  # noqa: S310  # our own server
        print(response.read().decode(), end="")
    return handle.shut_down().block()


if __name__ == "__main__":
    print(main())
