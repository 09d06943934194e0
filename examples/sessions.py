"""A login: ``/`` counts visits, ``POST /login`` takes a name, ``POST /logout`` ends it.

Try it with a cookie jar: ``curl -b jar -c jar -d ada http://localhost:8080/login``. Without
SESSION_KEY every restart ends all sessions; ``secrets.token_urlsafe(32)`` makes a key. Pages of
other sites cannot log anybody in or out: ``curl -d ada -H 'origin: https://evil.example' ...``.
"""

import os
import secrets

import trillium_trio as tt
from trillium_trio.handlers import Csrf, Router, Sessions


async def visit(conn: tt.Conn) -> tt.Conn:
    session = Sessions.of(conn)
    session["visits"] = session.get("visits", 0) + 1
    return conn.ok(f"{session.get('name', 'stranger')}, visit {session['visits']}\n")


async def login(conn: tt.Conn) -> tt.Conn:
    session = Sessions.of(conn)
    session.renew()  # whoever knew the old id has nothing
    session["name"] = await conn.request_body.text()
    return conn.redirect("/", 303)


async def logout(conn: tt.Conn) -> tt.Conn:
    Sessions.of(conn).clear()
    return conn.redirect("/", 303)


if __name__ == "__main__":
    key = os.environ.get("SESSION_KEY", secrets.token_urlsafe(32))
    router = Router().get("/", visit).post("/login", login).post("/logout", logout)
    tt.config().run((Csrf(), Sessions(key=key), router))
