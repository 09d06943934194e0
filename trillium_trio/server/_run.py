"""The entry points around `Server.serve`: run it, spawn it, or serve while a block runs."""

from __future__ import annotations

import atexit
import queue
import sys
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from .._log import SafeLogger, kind_of
from ..exceptions import MisuseError
from ._collector import relaxed_collector
from ._signals import SignalLadder, hooked_signals, is_main_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ..swansong import DrainReport
    from ._handle import ServerHandle
    from ._server import Server

__all__ = ["run", "serving", "spawn"]

logger = SafeLogger("trillium_trio.server")

# The interpreter's exit must not wait for ever.
_EXIT_DRAIN_SECONDS = 30.0
# What `serving` raises, not in a group. Cancelled is trio's, GeneratorExit is for a dropped block.
_FAILURES = (Exception, KeyboardInterrupt, SystemExit)


def run(server: Server) -> DrainReport:
    """Serve under ``trio.run`` until the drain is over; see `Config.run`."""
    # A running loop means that asyncio is imported; importing it here would take 25 ms.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        raise MisuseError(
            "run() would block the asyncio loop of this thread: use spawn() to serve in another"
        )

    async def serve() -> None:
        await server.serve(task_status=_Status(_announce))

    with relaxed_collector():
        trio.run(serve)
    return server.block()


def _announce(handle: ServerHandle) -> None:
    """Print to standard error where a server listens, unless logging is set up: it is logged."""
    if not handle.is_running or logger.logger.hasHandlers():
        return
    lines = [f"listening on {each}" for each in handle.listeners]
    if signals := hooked_signals():
        lines.append(f"{', '.join(signals)}: the first drains, the second cuts, the third kills")
    print(*lines, sep="\n", file=sys.stderr, flush=True)


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[ServerHandle]:
    """Serve while a block runs; see `Config.serving`."""
    # The first is raised after the nursery, which would wrap it in a group.
    failures: list[BaseException] = []
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[ServerHandle]) -> None:
            status = _Status(task_status.started)
            try:
                await server.serve(task_status=status)
            except _FAILURES as error:
                if not status.is_started:
                    raise
                failures.append(error)
                nursery.cancel_scope.cancel(reason="the server has failed")

        try:
            yield await nursery.start(serve)
        except _FAILURES as error:  # raised below
            failures.append(error)
            server.stop_at_once(f"left with {kind_of(error)}")
        else:
            server.stop()
    for later in failures[1:]:
        logger.error("%r also failed", server, exc_info=later)
    if failures:
        raise failures[0]


def spawn(server: Server) -> ServerHandle:
    """Serve in a daemon thread; see `Config.spawn`."""
    if trio.lowlevel.in_trio_run():
        raise MisuseError("spawn() would block this trio run: use nursery.start(server.serve)")
    hooks = server.config.signals
    ladder = None
    if hooks or (hooks is None and is_main_thread()):
        ladder = SignalLadder(server.swansong, lambda: server.is_over, lambda: server.connections)
        ladder.hook()
    start: queue.SimpleQueue[ServerHandle | BaseException] = queue.SimpleQueue()
    thread = threading.Thread(
        target=_run_thread, args=(server, ladder, start), name=f"{server!r}", daemon=True
    )
    thread.start()
    outcome = start.get()
    if isinstance(outcome, BaseException):
        if ladder is not None:
            ladder.unhook()
        thread.join()
        raise outcome
    return outcome


def _run_thread(
    server: Server,
    ladder: SignalLadder | None,
    start: queue.SimpleQueue[ServerHandle | BaseException],
) -> None:
    status = _Status(start.put)

    def drain_at_exit() -> None:
        _drain_at_exit(server, thread)

    thread = threading.current_thread()
    atexit.register(drain_at_exit)
    try:
        trio.run(server.serve_without_signals, status, ladder)
    except BaseException as error:  # raised by spawn()
        if status.is_started:
            logger.critical("%r has failed", server, exc_info=error)
        else:
            start.put(error)
    finally:
        atexit.unregister(drain_at_exit)


def _drain_at_exit(server: Server, thread: threading.Thread) -> None:
    timeout = server.config.drain_timeout
    server.stop()
    thread.join(_EXIT_DRAIN_SECONDS if timeout is None else server.config.drain_delay + timeout)
    if thread.is_alive():
        server.stop_at_once("the interpreter is exiting")
        thread.join(server.config.cleanup_timeout + 1.0)


class _Status(trio.TaskStatus["ServerHandle"]):
    """A task status that passes the server handle to a function."""

    def __init__(self, notify: Callable[[ServerHandle], None]) -> None:
        self._notify = notify
        self.is_started = False

    def started(self, value: ServerHandle | None = None) -> None:
        assert value is not None, "serve() passes a handle"
        self.is_started = True
        self._notify(value)
