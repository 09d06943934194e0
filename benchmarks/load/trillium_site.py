"""Compression and sessions in front of our router. Run as ``... trillium_site PORT``."""

from __future__ import annotations

import sys

import trillium_trio as tt
from benchmarks.load.payload import DOCUMENT, KEY
from trillium_trio.handlers import Compression, Router, Sessions


async def document(conn: tt.Conn) -> tt.Conn:
    return conn.ok(DOCUMENT).with_response_header("content-type", "application/json")


async def count(conn: tt.Conn) -> tt.Conn:
    session = Sessions.of(conn)
    session["n"] = session.get("n", 0) + 1
    return conn.ok(str(session["n"]))


router = Router().get("/", "the front page").get("/document", document).get("/count", count)

if __name__ == "__main__":
    config = tt.config().with_address("127.0.0.1", int(sys.argv[1]))
    config.run((Compression(), Sessions(key=KEY), router))
