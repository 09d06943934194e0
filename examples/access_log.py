"""An access log of JSON lines on standard output, and a count of what was sent.

Try ``curl http://localhost:8080/``, ``/slow`` with Ctrl-C before it answers, and ``/broken``.
"""

import trio

import trillium_trio as tt
from trillium_trio.handlers import Logger


class Count(tt.Handler):
    """Observes each request when it is over."""

    def __init__(self) -> None:
        self.sent_bytes = 0

    def after_send(self, conn: tt.Conn, sent: tt.Sent) -> None:
        """Add the bytes of one response."""
        self.sent_bytes += sent.body_bytes


async def app(conn: tt.Conn) -> tt.Conn:
    if conn.path == "/slow":
        await trio.sleep(5)
    if conn.path == "/broken":
        raise RuntimeError("this is a 500")
    return conn.ok("hello\n")


def agent(conn: tt.Conn) -> str | None:
    return conn.request_headers.get("user-agent")


if __name__ == "__main__":
    count = Count()
    tt.config().run((Logger("json", fields={"agent": agent}), count, app))
    print(f"{count.sent_bytes} bytes of bodies were sent")
