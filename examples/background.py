"""Work that outlives its request: answered at once, done later, and never lost in a drain.

``conn.start_soon`` starts it in the server's nursery. It is guarded, so a drain waits for it like
for a request, also if the client has long gone.
"""

import logging

import trio

import trillium_trio as tt

logger = logging.getLogger("mail")


async def send_mail(address: str) -> None:
    await trio.sleep(2)
    logger.warning("mail sent to %s", address)


async def sign_up(conn: tt.Conn) -> tt.Conn:
    address = await conn.request_body.text(max_bytes=200)
    conn.start_soon(send_mail, address)
    return conn.with_status(202).with_body("you will get a mail\n").halt()


if __name__ == "__main__":
    tt.config().run(sign_up)
