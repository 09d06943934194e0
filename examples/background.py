"""Background work: the request is answered at once, and a drain waits for the work.

``conn.start_soon`` starts a task in the server's nursery. The task is guarded, so a drain waits for
it as it waits for a request, even if the client has disconnected.
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
