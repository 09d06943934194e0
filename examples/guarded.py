"""An API that is guarded: tokens, rates, so many requests at once, ids in the log, a time limit.

Try ``curl -i -H 'authorization: Bearer letmein' http://localhost:8080/``, some of them at once.
"""

import logging
import os

import trio

import trillium_trio as tt
from trillium_trio.handlers import (
    BearerAuth,
    Concurrency,
    ConnId,
    ConnIdFilter,
    Health,
    RateLimit,
    Timeout,
)

log = logging.getLogger("guarded")


async def report(conn: tt.Conn) -> tt.Conn:
    log.info("%s wants a report", BearerAuth.of(conn))
    await trio.sleep(float(conn.querystring or 0))
    return conn.ok(f"a report for {BearerAuth.of(conn)}, request {ConnId.of(conn)}\n")


tokens = BearerAuth({os.environ.get("API_TOKEN", "letmein"): "ada"})
app = (
    ConnId(),
    Health(),  # in front of what refuses
    RateLimit(20, per=10),
    tokens,
    Concurrency(2, max_waiting=10, max_wait=3),
    Timeout(report, seconds=1),
)

if __name__ == "__main__":
    handler = logging.StreamHandler()
    handler.addFilter(ConnIdFilter())
    handler.setFormatter(logging.Formatter("%(conn_id)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    tt.config().run(app)
