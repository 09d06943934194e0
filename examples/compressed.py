"""A page, a list, and lines that arrive one by one: all compressed, for clients that accept it.

Run it, then try ``curl -N --compressed localhost:8080/lines``, and ``/list`` with ``-v``.
"""

import json
from collections.abc import AsyncIterator

import trio

import trillium_trio as tt
from trillium_trio.handlers import Compression, Router


async def front(conn: tt.Conn) -> tt.Conn:
    page = "<!doctype html><title>Tea</title>" + "<p>Tea, and more tea.</p>" * 100
    return conn.ok(page).with_response_header("content-type", "text/html; charset=utf-8")


async def everything(conn: tt.Conn) -> tt.Conn:
    body = json.dumps([{"id": number, "name": f"tea {number}"} for number in range(1000)])
    return conn.ok(body.encode()).with_response_header("content-type", "application/json")


async def lines(conn: tt.Conn) -> tt.Conn:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(5):
            yield json.dumps({"id": number, "name": f"tea {number}"}).encode() + b"\n"
            await trio.sleep(0.2)

    return conn.ok(pieces()).with_response_header("content-type", "application/x-ndjson")


async def token(conn: tt.Conn) -> tt.Conn:
    # A secret beside what the client has sent: compressed, its length would tell about it.
    conn.with_response_header("cache-control", "no-store, no-transform")
    return conn.ok(f"secret {conn.swansong!r} for {conn.querystring * 100}\n")


app = (
    Compression(),
    Router().get("/", front).get("/list", everything).get("/lines", lines).get("/token", token),
)

if __name__ == "__main__":
    tt.config().run(app)
