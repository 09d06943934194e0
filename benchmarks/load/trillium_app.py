"""The application of `starlette_app` for our router: two handlers, three routes and JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import trillium_trio as tt
from trillium_trio.handlers import Params, Router


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the handlers behind `authenticate` see it."""

    name: str


async def served_by(conn: tt.Conn) -> tt.Conn:
    return conn.with_response_header("served-by", "benchmark")


async def authenticate(conn: tt.Conn) -> tt.Conn:
    return conn.with_state(Caller(conn.request_headers.get("user-agent") or "nobody"))


async def article(conn: tt.Conn) -> tt.Conn:
    return conn.ok(f"article {Params.of(conn)['ident']}")


async def user(conn: tt.Conn) -> tt.Conn:
    caller = conn.state(Caller)
    assert caller is not None
    ident = int(Params.of(conn)["ident"])
    body = json.dumps({"id": ident, "by": caller.name}, separators=(",", ":"))
    return conn.ok(body).with_response_header("content-type", "application/json")


router = Router(
    ("GET", "/articles/{ident}", article),
    ("GET", "/users/{ident}", user),
    ("GET", "/", "the front page"),
)


if __name__ == "__main__":
    config = tt.config().with_address("127.0.0.1", int(sys.argv[1]))
    config.run((served_by, authenticate, router))
