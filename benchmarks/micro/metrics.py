"""What `Metrics` and `Tracing` cost: microseconds of CPU time for each request, above one without.

Run it with ``python benchmarks/micro/metrics.py``. Whole requests, as in ``cycle.py``, in bursts of
1,000. "observed" is a handler with an empty ``run`` and ``after_send``. The spans of the SDK go to
a processor that drops them; the last row is the SDK alone, for one span with as many attributes.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

import trio
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from benchmarks.micro import cycle
from benchmarks.micro.handlers import make_service
from benchmarks.micro.timing import print_rows
from trillium_trio import Conn, Handler, Sent
from trillium_trio.handlers import Metrics, Tracing

if TYPE_CHECKING:
    from trillium_trio.conn import HandlerLike

BURSTS = 150


ATTRIBUTES = {f"attribute.{n}": "value" for n in range(6)}


def provider(sampler: Sampler) -> TracerProvider:
    made = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    made.add_span_processor(SpanProcessor())
    return made


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
        "Tracing, without an SDK": (Tracing(flush_timeout=0), cycle.hello),
        "Tracing, not sampled": (Tracing(provider=provider(ALWAYS_OFF)), cycle.hello),
        "Tracing, every request": (Tracing(provider=provider(ALWAYS_ON)), cycle.hello),
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
    tracer = provider(ALWAYS_ON).get_tracer("alone")

    def span() -> None:
        made = tracer.start_span("GET", context=Context(), attributes=ATTRIBUTES)
        made.set_attributes({"http.response.status_code": 200})
        made.end()

    print_rows(
        {
            "a counter": plain.add,
            "a counter with a label": lambda: labelled.add(kind="book"),
            "a histogram": lambda: sizes.observe(7),
            "a span of the SDK": span,
        }
    )


if __name__ == "__main__":
    trio.run(main)
