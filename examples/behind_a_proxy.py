"""Tells clients who they are, behind a proxy on the same machine that uses a unix socket.

Try it without a proxy, on a unix socket that stands for its: ``HOST=/tmp/me.sock python
examples/behind_a_proxy.py``, then ``curl --unix-socket /tmp/me.sock -H 'X-Forwarded-For: forged,
192.0.2.7' -H 'X-Forwarded-Proto: https' http://me.example/``. Over TCP nothing is believed.
"""

import trillium_trio as tt
from trillium_trio.handlers import Forwarded


async def who(conn: tt.Conn) -> tt.Conn:
    client = Forwarded.of(conn)
    by = "".join(f", by way of {proxy}" for proxy in client.chain[1:])
    return conn.ok(f"You are {client.ip}{by}, and asked for {conn.url}\n")


app = (Forwarded(["unix"]), who)

if __name__ == "__main__":
    tt.config().run(app)
