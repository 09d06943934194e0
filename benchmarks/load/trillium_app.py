"""Our router-like application, beside `starlette_app`: three handlers and JSON."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass

import trillium_trio as tt


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the handlers behind `authenticate` see it."""

    name: str


async def served_by(conn: tt.Conn) -> tt.Conn:
    return conn.with_response_header("served-by", "benchmark")


async def authenticate(conn: tt.Conn) -> tt.Conn:
    return conn.with_state(Caller(conn.request_headers.get("user-agent") or "nobody"))


async def article(conn: tt.Conn, ident: str) -> tt.Conn:
    return conn.ok(f"article {ident}")


async def user(conn: tt.Conn, ident: str) -> tt.Conn:
    caller = conn.state(Caller)
    assert caller is not None
    body = json.dumps({"id": int(ident), "by": caller.name}, separators=(",", ":"))
    return conn.ok(body).with_response_header("content-type", "application/json")


PATTERNS = [
    (re.compile(r"/articles/([^/]+)"), article),
    (re.compile(r"/users/([^/]+)"), user),
]


async def route(conn: tt.Conn) -> tt.Conn:
    for pattern, handler in PATTERNS:
        if match := pattern.fullmatch(conn.path):
            return await handler(conn, match[1])
    return conn.ok("the front page") if conn.path == "/" else conn


if __name__ == "__main__":
    config = tt.config().with_address("127.0.0.1", int(sys.argv[1]))
    config.run((served_by, authenticate, route))
