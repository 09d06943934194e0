"""Serve while a block runs: its end drains the server, an exception cancels it."""

import trio

import trillium_trio as tt


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello\n")


async def fetch(port: int) -> str:
    async with await trio.open_tcp_stream("localhost", port) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b"".join([chunk async for chunk in stream]).decode()


async def main() -> str:
    async with tt.config().with_port(0).serving(hello) as handle:
        answer = await fetch(handle.port)
    # Now it has drained: no connection, task or socket is left.
    return f"{answer}{handle}\n"


if __name__ == "__main__":
    print(trio.run(main), end="")
