"""Requests, and what the shop has sold, as numbers for Prometheus.

Try ``curl -X POST http://localhost:8080/orders/book``, then ``curl http://localhost:8080/metrics``.
"""

import trillium_trio as tt
from trillium_trio.handlers import Metrics, Params, Router

metrics = Metrics()
orders = metrics.counter("shop_orders", "Orders taken.", labels=["kind"])


async def order(conn: tt.Conn) -> tt.Conn:
    kind = Params.of(conn)["kind"]
    # A client can send anything: what is no kind must not become a label.
    orders.add(kind=kind if kind in {"book", "record"} else "other")
    return conn.ok("ordered\n")


app = (metrics, Router().post("/orders/{kind}", order).get("/metrics", metrics.page))

if __name__ == "__main__":
    tt.config().run(app)
