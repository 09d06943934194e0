"""An edge: ids, a limit and health of its own, and everything else passed on to several upstreams.

Start two servers, say ``HOST=127.0.0.1 PORT=9000 python examples/slow.py`` and one with PORT=9001,
then this with ``UPSTREAMS='http://127.0.0.1:9000 http://127.0.0.1:9001'``. Stop one of the two and
ask on: no request fails.
"""

import logging
import os

import trillium_trio as tt
from trillium_trio.handlers import ConnId, Forwarded, Health, Proxy, RateLimit, Router

upstreams = os.environ.get("UPSTREAMS", "http://127.0.0.1:9000").split()

edge = Proxy(
    upstreams,
    balance="least_busy",
    preserve_host=True,
    max_connections=200,
    answer_timeout=30,
)
app = (
    Forwarded(["unix"]),
    ConnId(),
    Health(),
    RateLimit(100, per=10),
    Router().get("/edge", "the edge itself\n").mount("/", edge),
)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    tt.config().run(app)
