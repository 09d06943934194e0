"""A protocol of its own behind ``101 Switching Protocols``: what comes in goes out in capitals.

The upgraded connection stays guarded: a drain tells it by the swansong and waits for its goodbye.
"""

import trillium_trio as tt


async def send_all(transport: tt.Transport, data: bytes) -> None:
    while data:
        data = data[await transport.send_some(data) :]


class Shout(tt.Handler):
    """Agrees to ``Upgrade: shout``, and shouts until the client or the server has enough."""

    async def run(self, conn: tt.Conn) -> tt.Conn:
        """Switch protocols, or say which one is required."""
        conn.response_headers["upgrade"] = "shout"
        if conn.request_headers.get("upgrade") != "shout":
            return conn.with_status(426).halt()
        return conn.with_response_header("connection", "upgrade").upgrade()

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        """Take the transports that `run` has switched."""
        return upgrade.request_headers.get("upgrade") == "shout"

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        """Talk; the connection closes the transport afterwards."""
        data = upgrade.leftover
        while True:
            await send_all(upgrade.transport, data.upper())
            with upgrade.swansong.interrupt() as notice:
                data = await upgrade.transport.receive_some()
            if notice.cancelled_caught:
                await send_all(upgrade.transport, b"BYE\n")
            if notice.cancelled_caught or not data:
                return


if __name__ == "__main__":
    tt.config().run(Shout())
