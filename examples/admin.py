"""A service with an admin page, which shows what a drain waits for until it is over.

Open http://127.0.0.1:8081/, run ``curl http://localhost:8080/ &`` a few times, and press Ctrl-C.
"""

import trio

import trillium_trio as tt
from trillium_trio.handlers import Admin, Metrics


async def slow(conn: tt.Conn) -> tt.Conn:
    await trio.sleep(10)
    return conn.ok("worth waiting for\n")


async def main(port: int = 8081) -> tt.DrainReport:
    metrics = Metrics()
    # Without its own swansong's stop: it ends with the block, after the other.
    beside = tt.config().bind_tcp(f"127.0.0.1:{port}").without_signals()
    config = tt.config().with_signals().with_drain_timeout(30)
    async with config.serving((metrics, slow)) as server:
        admin = Admin(server.swansong, servers=[server], metrics=metrics, title="slow")
        async with beside.serving(admin) as shown:
            print(f"admin page at {shown.url}", flush=True)
            return await server


if __name__ == "__main__":
    print(trio.run(main))
