"""Our server. Run as ``python -m benchmarks.websocket.trillium_server PORT``."""

from __future__ import annotations

import sys

import trillium_trio as tt
from trillium_trio.handlers import WebSocket, WebSocketConn


async def ready(conn: tt.Conn) -> tt.Conn:
    return conn.ok("ready") if conn.path == "/" else conn


async def echo(ws: WebSocketConn) -> None:
    async for message in ws:
        await ws.send(message)


if __name__ == "__main__":
    tt.config().with_address("127.0.0.1", int(sys.argv[1])).run((ready, WebSocket(echo)))
