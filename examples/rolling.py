"""A server that is replaced while it is busy: one of several behind a load balancer.

HOST and PORT say where it listens, LEDGER names the file to which it appends what it receives. At
the stop its readiness check fails at once, and it still accepts for TRILLIUM_DRAIN_DELAY seconds,
until the balancer has noticed. See ``docs/how-to/rolling-restart.md``.
"""

from __future__ import annotations

import os

import trio

import trillium_trio as tt
from trillium_trio.handlers import Health


class Ledger(tt.Handler):
    """Counts the POSTs, and appends the body of each to a file as one line."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.count = 0

    async def run(self, conn: tt.Conn) -> tt.Conn:
        """Take a POST; leave everything else alone."""
        if conn.method != "POST":
            return conn
        line = await conn.request_body.read()
        async with await trio.open_file(self.path, "ab") as file:
            await file.write(line + b"\n")
        self.count += 1
        return conn.ok(f"{self.count}\n")


app = (Health(), Ledger(os.environ.get("LEDGER", os.devnull)))


if __name__ == "__main__":
    delay = float(os.environ.get("TRILLIUM_DRAIN_DELAY", "0"))
    tt.config().with_drain_delay(delay).run(app)
