"""A page and an API: security headers with a nonce, error pages, another origin that may call.

Open http://localhost:8080/, http://localhost:8080/nothing and http://localhost:8080/bug.
"""

import os

import trillium_trio as tt
from trillium_trio.handlers import Cors, ErrorPages, Router, SecurityHeaders

PAGE = """<!doctype html><title>A site</title><p id=time></p>
<script nonce="{}">time.textContent = new Date()</script>
"""


async def front(conn: tt.Conn) -> tt.Conn:
    page = PAGE.format(SecurityHeaders.of(conn))
    return conn.ok(page.encode()).with_response_header("content-type", "text/html; charset=utf-8")


async def bug(conn: tt.Conn) -> tt.Conn:
    stock = {"tea": 0}
    return conn.ok(f"{1 / stock['tea']}")


async def prices(conn: tt.Conn) -> tt.Conn:
    return conn.ok(b'{"tea": 3}').with_response_header("content-type", "application/json")


app = (
    SecurityHeaders(
        content_security_policy="default-src 'self'; script-src 'nonce-{nonce}'; "
        "style-src 'self' 'unsafe-inline'"
    ),
    ErrorPages(debug="DEBUG" in os.environ),
    Router()
    .get("/", front)
    .get("/bug", bug)
    .get("/prices", (Cors(["https://shop.example.com"]), prices)),
)

if __name__ == "__main__":
    tt.config().run(app)
