"""The measured process: servers come and go in it. Run as a module; see its options.

It is told what to do by lines on a socket that it inherits, and answers each with one JSON object:

.. code-block:: text

    start   {"plain": PORT, "tls": PORT, "spawned": PORT}   two servers serve, under one swansong
    stop    a sample                                        both have drained
    rest    a sample                                        idle worker threads have ended too
    trace   {"growth": [...]}                               since the last one, by tracemalloc

One server runs in a nursery of the one trio run that lasts as long as the process, the other in a
thread and trio run of its own. Clients are another process, so that what is counted is a server's.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import socket
import tempfile
import threading
import tracemalloc
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, final

import trio

import trillium_trio as tt
from benchmarks.endurance.app import FILE_BYTES, App
from benchmarks.endurance.trend import Sample
from benchmarks.process import PAGE_BYTES
from tests.unit.transport._tls import server_context

if TYPE_CHECKING:
    from collections.abc import Mapping

# Short, so that even a soak of two minutes meets each of them many times.
HTTP = tt.HttpConfig(
    head_timeout=1.0,
    body_timeout=1.0,
    write_timeout=1.0,
    handshake_timeout=1.0,
    idle_timeout=5.0,
    linger_timeout=0.5,
)
# Longer than any timeout, so that only what never ends is cut.
DRAIN_SECONDS = 3.0

# trio keeps a worker thread for ten idle seconds.
_THREAD_IDLE_SECONDS = 10.5
_POLL_SECONDS = 0.01
# A frame more than the one that allocates says who called it.
_TRACED_FRAMES = 4
_SHOWN_GROWTHS = 12


@final
class Process:
    """Two servers at a time, one pair after another.

    Args:
      app: What both serve.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        # For good: a pair that is dropped must leave nothing in it.
        self._root = tt.Swansong(name="soak")
        self._tls = server_context()
        self._open = AsyncExitStack()
        self._handles: list[tt.ServerHandle] = []
        self._snapshot: tracemalloc.Snapshot | None = None

    async def answer(self, command: str) -> Mapping[str, object]:
        """Do what the line says; return the answer.

        Cancellation:
          As of `Config.serving`.
        """
        match command:
            case "start":
                return await self._start()
            case "stop":
                cut = await self._stop()
                return await self._sample(cut)
            case "rest":
                await trio.sleep(_THREAD_IDLE_SECONDS)
                return await self._sample(0)
            case "trace":
                return {"growth": self._growth()}
        raise ValueError(command)

    async def _start(self) -> Mapping[str, object]:
        pair = self._root.child()
        config = tt.config().with_swansong(pair).with_http(HTTP).with_drain_timeout(DRAIN_SECONDS)
        config = config.without_signals().bind_tcp("127.0.0.1:0")
        ours = config.bind_tls("127.0.0.1:0", self._tls).serving(self._app)
        handle = await self._open.enter_async_context(ours)
        spawned = await trio.to_thread.run_sync(config.spawn, self._app)
        self._handles = [handle, spawned]
        ports = [each.address[1] for each in handle.listeners]
        return {"plain": ports[0], "tls": ports[1], "spawned": spawned.port}

    async def _stop(self) -> int:
        """Drain both; return how many requests were cut."""
        handles, self._handles = self._handles, []
        handles[0].shut_down()
        reports = [await each for each in handles]
        await self._open.aclose()
        return sum(each.cancelled.guard_count for each in reports)

    async def _sample(self, cut: int) -> Mapping[str, object]:
        # The thread of a spawned server ends a moment after the server is over.
        while any(each.name.startswith("<Server") for each in threading.enumerate()):
            await trio.sleep(_POLL_SECONDS)
        for _ in range(3):
            gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        sample = Sample(
            cut=cut,
            descriptors=len(os.listdir("/proc/self/fd")),
            threads=threading.active_count(),
            tasks=trio.lowlevel.current_statistics().tasks_living,
            guards=self._root.guard_count,
            resident_kib=pages * PAGE_BYTES // 1024,
            objects=len(gc.get_objects()),
        )
        return asdict(sample)

    def _growth(self) -> list[str]:
        """What has been allocated since the last call and is still there, largest first."""
        before, self._snapshot = self._snapshot, tracemalloc.take_snapshot()
        if before is None:
            return []
        found = self._snapshot.compare_to(before, "traceback")
        grown = sorted(found, key=lambda each: each.size_diff, reverse=True)
        return [
            f"{each.size_diff:+,} bytes, {each.count_diff:+,} blocks\n"
            + "\n".join(each.traceback.format(most_recent_first=True))
            for each in grown[:_SHOWN_GROWTHS]
        ]


async def main(descriptor: int, process: Process) -> None:
    async with trio.SocketStream(
        trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor))
    ) as stream:
        # One command at a time, so that one receive is one line.
        async for line in stream:
            answer = await process.answer(line.decode().strip())
            await stream.send_all(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve, again and again.")
    parser.add_argument("--control", type=int, required=True, help="the descriptor of the socket")
    # What goes wrong is provoked; to log it costs as much as to serve. It is rendered and dropped.
    parser.add_argument("--log", default=os.devnull, help="the file for the log (default: none)")
    parser.add_argument("--trace", action="store_true", help="keep account of allocations")
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, filename=options.log, format="%(asctime)s %(levelname)s %(message)s"
    )
    if options.trace:
        tracemalloc.start(_TRACED_FRAMES)
    with tempfile.NamedTemporaryFile() as served:
        served.truncate(FILE_BYTES)
        trio.run(main, options.control, Process(App(Path(served.name))))
