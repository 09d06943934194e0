"""What an access log costs: microseconds of CPU time for each request, above one without it.

Run it with ``python benchmarks/micro/logger.py``. Whole requests, as in ``cycle.py``, in bursts of
1,000. "observed" is a handler with an empty ``after_send``. The others write to a function that
drops the line, or to ``/dev/null``, by the thread.
"""

from __future__ import annotations

import gc
import logging
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

import trio

from benchmarks.micro import cycle
from benchmarks.micro.handlers import make_service
from trillium_trio import Conn, Handler, Sent
from trillium_trio.handlers import Logger

if TYPE_CHECKING:
    from trillium_trio.conn import HandlerLike

BURSTS = 150
FORMATS = ("dev", "common", "json", "%(h)s %(t)s %(r)s %(s)s %(b)s %(L)s")


@final
class Observed(Handler):
    def after_send(self, conn: Conn, sent: Sent) -> None:
        pass


@final
class WithPeer(cycle.Eager):
    """Has an address, which most lines show."""

    def __init__(self, request: bytes, times: int) -> None:
        super().__init__(request, times)
        self._address = ("127.0.0.1", 5555)


def drop(line: str) -> None:
    pass


def standard_logger() -> logging.Logger:
    logger = logging.getLogger("benchmark")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    handler = logging.StreamHandler(open("/dev/null", "w", encoding="ascii"))  # noqa: SIM115 (to the end)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    return logger


async def main() -> None:
    handlers: dict[str, HandlerLike] = {
        "without": cycle.hello,
        "observed": (Observed(), cycle.hello),
    }
    loggers: list[Logger] = []
    for name in FORMATS:
        loggers.append(Logger(name, target="/dev/null"))
        handlers[f"{name}, dropped"] = (Logger(name, target=drop), cycle.hello)
        handlers[f"{name}, a file"] = (loggers[-1], cycle.hello)
    handlers["common, logging"] = (Logger("common", target=standard_logger()), cycle.hello)
    services = {label: make_service(handler) for label, handler in handlers.items()}
    info = next(iter(services.values())).info
    costs: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        for each in loggers:
            await stack.enter_async_context(each.lifespan(info))
        gc.disable()
        for _ in range(BURSTS):
            for label, service in services.items():
                cost = await cycle.serve(service, cycle.SMALL, WithPeer, 1_000)
                costs[label] = min(cost, costs.get(label, cost))
    base = costs["without"]
    print(f"{'log':56}{'us':>8}{'more':>8}")
    for label, cost in costs.items():
        print(f"{label:56}{cost * 1e6:8.2f}{(cost - base) * 1e6:8.2f}")


if __name__ == "__main__":
    trio.run(main)
