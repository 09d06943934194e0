"""A server as the main task of a trio program. There it handles the signals itself."""

import trio

import trillium_trio as tt


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello\n")


if __name__ == "__main__":
    server = tt.config().server(hello)
    trio.run(server.serve)
    print(server.handle.block())
