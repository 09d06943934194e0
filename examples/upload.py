"""Request bodies: whole and as JSON, or piece by piece.

``curl -T file localhost:8080/digest`` sends one; limits answer 413 and stalled clients 408, each
without a line of code here.
"""

import hashlib

import trillium_trio as tt


async def add(conn: tt.Conn) -> tt.Conn:
    if conn.path != "/add":
        return conn
    match await conn.request_body.json(max_bytes=10_000):
        case [int() | float() as left, int() | float() as right]:
            return conn.ok(f"{left + right}\n")
    raise tt.BadRequest("expected two numbers")


async def digest(conn: tt.Conn) -> tt.Conn:
    if conn.path != "/digest":
        return conn
    sha256 = hashlib.sha256()
    async for piece in conn.request_body:
        sha256.update(piece)
    return conn.ok(f"{sha256.hexdigest()}\n")


app = (add, digest)

if __name__ == "__main__":
    tt.config().run(app)
