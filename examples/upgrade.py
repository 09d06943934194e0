"""A protocol of its own behind ``101 Switching Protocols``: what comes in goes out in capitals.

The upgraded connection stays guarded: a drain tells it by the swansong and waits for its goodbye.
"""

import trillium_trio as tt


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
            await upgrade.transport.send_all(data.upper())
            with upgrade.swansong.interrupt() as notice:
                data = await upgrade.transport.receive_some()
            if notice.cancelled_caught:
                await upgrade.transport.send_all(b"BYE\n")
            if notice.cancelled_caught or not data:
                return


if __name__ == "__main__":
    tt.config().run(Shout())
