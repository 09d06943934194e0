"""A custom protocol after ``101 Switching Protocols``: it sends what it receives, in capitals.

The upgraded connection stays guarded: at the stop it is notified, and the drain waits for its end.
"""

import trillium_trio as tt


class Shout(tt.Handler):
    """Accepts ``Upgrade: shout``, and shouts until the client closes or the server stops."""

    async def run(self, conn: tt.Conn) -> tt.Conn:
        """Switch protocols, or say which one is required."""
        if conn.request_headers.get("upgrade") != "shout":
            raise tt.UpgradeRequired("shout")
        conn.response_headers["upgrade"] = "shout"
        return conn.with_response_header("connection", "upgrade").upgrade()

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        """Take the connections that `run` has switched."""
        return upgrade.request_headers.get("upgrade") == "shout"

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        """Talk; when this returns, the server closes the connection."""
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
