"""Who is logged in: names and passwords in the database, the name in the session."""

import hashlib
import hmac
import secrets

from psycopg import Connection

import trillium_trio as tt
from trillium_trio.handlers import Forms, RateLimit, Router, Sessions, Templates

from .database import db


@db.prepare
def create(connection: Connection) -> None:
    connection.execute("""
        CREATE TABLE IF NOT EXISTS account (
            name text PRIMARY KEY, salt bytea NOT NULL, hash bytea NOT NULL
        )""")


def check_password(connection: Connection, name: str, password: str) -> bool:
    """Say whether this is the password of the account; the first login makes the account."""
    row = connection.execute("SELECT salt, hash FROM account WHERE name = %s", [name]).fetchone()
    if row is None:
        salt = secrets.token_bytes(16)
        connection.execute(
            "INSERT INTO account VALUES (%s, %s, %s)", [name, salt, hashed(password, salt)]
        )
        return True
    salt, known = row
    return hmac.compare_digest(hashed(password, salt), known)


def hashed(password: str, salt: bytes) -> bytes:
    """Take 50 milliseconds, so that passwords cannot be guessed from what is stored."""
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


async def ask(conn: tt.Conn) -> tt.Conn:
    return await Templates.of(conn).render("login.html", wrong=False)


async def log_in(conn: tt.Conn) -> tt.Conn:
    form = await Forms.of(conn).read()
    name, password = form.get("name", ""), form.get("password", "")
    is_possible = 0 < len(name) <= 50 and name.isprintable() and password != ""
    if not (is_possible and await db.transact(check_password, name, password)):
        conn.with_status(403)
        return await Templates.of(conn).render("login.html", wrong=True)
    session = Sessions.of(conn)
    session.renew()  # an id that somebody knew before is worth nothing
    session["user"] = name
    return conn.redirect("/", 303)


async def log_out(conn: tt.Conn) -> tt.Conn:
    Sessions.of(conn).clear()
    return conn.redirect("/", 303)


async def require_user(conn: tt.Conn) -> tt.Conn:
    """Stand in front of what is only for those who are logged in."""
    return conn if "user" in Sessions.of(conn) else conn.redirect("/login", 303)


router = (
    Router()
    .get("/login", ask)
    .post("/login", (RateLimit(20, per=60), log_in))
    .post("/logout", log_out)
)
