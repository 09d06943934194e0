"""What `Metrics` costs: microseconds of CPU time for each request, above one without it.

Run it with ``python benchmarks/micro/metrics.py``. Whole requests, as in ``cycle.py``, in bursts of
1,000. "observed" is a handler with an empty ``run`` and ``after_send``.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

import trio

from benchmarks.micro import cycle
from benchmarks.micro.handlers import make_service
from benchmarks.micro.timing import print_rows
from trillium_trio import Conn, Handler, Sent
from trillium_trio.handlers import Metrics

if TYPE_CHECKING:
    from trillium_trio.conn import HandlerLike

BURSTS = 150


@final
class Observed(Handler):
    async def run(self, conn: Conn) -> Conn:
        return conn

    def after_send(self, conn: Conn, sent: Sent) -> None:
        pass


async def main() -> None:
    handlers: dict[str, HandlerLike] = {
        "without": cycle.hello,
        "observed": (Observed(), cycle.hello),
        "Metrics": (Metrics(), cycle.hello),
    }
    services = {label: make_service(handler) for label, handler in handlers.items()}
    costs: dict[str, float] = {}
    gc.disable()
    for _ in range(BURSTS):
        for label, service in services.items():
            cost = await cycle.serve(service, cycle.SMALL, cycle.Eager, 1_000)
            costs[label] = min(cost, costs.get(label, cost))
    base = costs["without"]
    print(f"{'requests':48}{'us':>10}{'more':>9}")
    for label, cost in costs.items():
        print(f"{label:48}{cost * 1e6:10.2f}{(cost - base) * 1e6:9.2f}")
    print()
    metrics = Metrics()
    plain = metrics.counter("plain", "Plain.")
    labelled = metrics.counter("labelled", "Labelled.", labels=["kind"])
    sizes = metrics.histogram("sizes", "Sizes.", bounds=range(1, 15))
    print_rows(
        {
            "a counter": plain.add,
            "a counter with a label": lambda: labelled.add(kind="book"),
            "a histogram": lambda: sizes.observe(7),
        }
    )


if __name__ == "__main__":
    trio.run(main)
