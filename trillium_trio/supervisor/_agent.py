"""The worker's end of the control socket: where its listeners come from, and who ends it.

.. code-block:: text

    worker                       supervisor
    hello {pid, version}     ->
    listen {specs}           ->
                             <-  the sockets, or why there are none
    ready {delay, drain, ..} ->
    stats {figures}          ->                    each second, from the event loop; or every other
                             <-  drain {delay}     as the first signal
    draining                 ->
                             <-  cut               as the second
                             <-  report {id}
    answer {id, text}        ->
                             <-  status {id, ..}   for the admin page
    answer {id, status}      ->
                             <-  metrics {id}
    answer {id, metrics}     ->
                             <-  stacks            log them: the process is about to be ended
    drained {clean, ...}     ->
                             <-  end of file       drain; after "cut": exit

A thread reads, so that no blocked event loop keeps the process alive for ever. It also answers,
and waits until the supervisor has read that. Nothing else that is written waits: figures are left
out if the supervisor does not read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import os
import select
import socket
import sys
import threading
import traceback
from functools import partial
from typing import TYPE_CHECKING, Final, final

import trio

from .._log import SafeLogger
from ..handlers import Metrics, ProcessSource
from ..listeners import Lines, Share, bound_to_grant, receive_grant, shared_specs
from ..server import Server, ServerHandle, leave_terminal_signals
from ._figures import figures_of
from ._protocol import VERSION, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Agent"]

logger = SafeLogger("trillium_trio.supervisor")

_STATS_SECONDS: Final = 1.0
# For the last message. A supervisor that was stopped does not delay the end for longer.
_LAST_SECONDS: Final = 2.0


@final
class Agent:
    """The control socket of a worker.

    Args:
      control: The descriptor of the socket.
      loads: That of the page that balances connections; None: there is none.
      cell: The cell of this process in it.
      exit_now: Ends the process.

    Raises:
      OSError: They are no such descriptors.
    """

    def __init__(
        self,
        control: int,
        loads: int | None = None,
        cell: int = 0,
        *,
        exit_now: Callable[[], object],
    ) -> None:
        self._sock = socket.socket(fileno=control)
        self._sock.set_inheritable(False)
        self._lines = Lines(self._sock)
        self._lock = threading.Lock()
        self._unsent = b""
        self._is_obeying = False
        self._is_closed = False
        self._exit_now = exit_now
        self._share: Share | None = None
        if loads is not None:
            self._share = Share(loads, cell)
            os.close(loads)
        leave_terminal_signals()
        # SIGABRT of the supervisor: the stacks of all threads, even if this one is stuck in C.
        faulthandler.enable()
        self._send("hello", pid=os.getpid(), version=VERSION)
        threading.Thread(target=self._outlive_no_one, name="hang-up", daemon=True).start()

    def with_shared_sockets(self, server: Server) -> Server:
        """Return a server like this one that listens on the supervisor's sockets.

        Raises:
          BindError: An address cannot be bound.
          ConfigError: The environment names no inherited sockets.
          EOFError: The supervisor is gone.
        """
        binds = server.config.binds()
        self._send("listen", specs=shared_specs(binds))
        grant = receive_grant(self._lines)
        listeners = tuple(bound_to_grant(binds, grant, self._share))
        config = dataclasses.replace(server.config, listeners=listeners, swansong=server.swansong)
        return Server(server.handler, config)

    def report_ready(self, server: Server) -> None:
        """Tell the supervisor that the server accepts: it drains the previous one."""
        config = server.config
        drain = {} if config.drain_timeout is None else {"drain": config.drain_timeout}
        # Twice, for work that is cut and for lifespans, and a second for their cancellation.
        cleanup = 2 * config.cleanup_timeout + 1.0
        self._send("ready", delay=config.drain_delay, cleanup=cleanup, **drain)

    def obey(self, server: Server) -> None:
        """Do what the supervisor says, from now on, in a thread.

        Args:
          server: What it stops.
        """
        self._is_obeying = True
        threading.Thread(target=self._obey, args=(server,), name="control", daemon=True).start()

    async def attend(self, server: Server) -> None:
        """Send figures each second, or every other one, and say when the drain begins.

        Cancellation:
          Ends that.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat, server)
            await server.swansong.shutting_down()
            self._send("draining")

    def report_end(self, server: Server) -> None:
        """Say how the drain went, when the server is over."""
        report = server.block()
        self._send("stats", figures=figures_of(server))
        self._send(
            "drained",
            clean=report.is_clean,
            finished=report.finished,
            cancelled=report.cancelled.guard_count,
            duration=report.duration,
            drain=_source_of(server).status_now(stacks=False)["drain"],
            metrics=_metrics_of(server),
        )
        self._flush(_LAST_SECONDS)

    def close(self) -> None:
        """Close it, unless a thread reads from it: that goes on to the end of the process."""
        if not self._is_obeying:
            self._is_closed = True
            self._sock.close()

    async def _beat(self, server: Server) -> None:
        lag = 0.0
        said: object = None
        while True:
            unready = _source_of(server).unready()
            figures = figures_of(server, lag=lag)
            if (now := (figures["totals"], figures["now"], unready)) != said:
                said = now
                self._send("stats", figures=figures, unready=unready)
            else:
                # Nothing new: every other second is enough, and half the work for the supervisor.
                said = None
            due = trio.current_time() + _STATS_SECONDS
            await trio.sleep_until(due)
            lag = trio.current_time() - due

    def _obey(self, server: Server) -> None:
        is_cut = False
        while line := self._lines.read():
            match decode(line):
                case {"kind": "drain", **fields}:
                    server.has_drain_delay = bool(fields.get("delay"))
                    server.shut_down()
                case {"kind": "cut"}:
                    server.swansong.cancel("second signal")
                    is_cut = True
                    logger.warning("cutting what is in progress, as the supervisor says")
                case {"kind": "report", "id": number}:
                    self._answer(number, "text", lambda: _report_of(server))
                case {"kind": "status", "id": number, **fields}:
                    ask = partial(_source_of(server).status_now, stacks=bool(fields.get("stacks")))
                    self._answer(number, "status", ask)
                case {"kind": "metrics", "id": number}:
                    self._answer(number, "metrics", lambda: _metrics_of(server))
                case {"kind": "stacks"}:
                    report = server.swansong.guard_report(stacks=True)
                    logger.critical("the supervisor ends this process: %s", report)
                    logger.critical("%s", _threads())
        if is_cut:
            self._exit_now()
        if server.swansong.is_running:
            logger.warning("the supervisor is gone: draining")
            # The socket is closed with its last holder, so there may be no successor.
            server.has_drain_delay = False
            server.shut_down()

    def _outlive_no_one(self) -> None:
        """End with the supervisor, however long the application takes to be imported."""
        poll = select.poll()
        # Nothing but the hang-up, which is always reported.
        poll.register(self._sock.fileno(), 0)
        poll.poll()
        if not (self._is_obeying or self._is_closed):
            self._exit_now()

    def _answer(self, number: object, name: str, ask: Callable[[], object]) -> None:
        """Answer, and wait until the supervisor has read it or is gone."""
        try:
            fields = {name: ask()}
        except Exception:  # this thread is the only one that hears of the stop
            logger.exception("cannot answer the supervisor")
            fields = {}
        self._send("answer", id=number, **fields)
        self._flush()

    def _flush(self, seconds: float | None = None) -> None:
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLOUT)
        timeout = None if seconds is None else seconds * 1000
        while self._unsent and (events := poll.poll(timeout)) and not events[0][1] & select.POLLHUP:
            self._send_rest()

    def _send(self, kind: str, **fields: object) -> None:
        """Send a message without waiting. A supervisor that is gone is noticed by reading."""
        with self._lock:
            if kind != "stats" or not self._unsent:
                self._unsent += encode(kind, **fields)
        self._send_rest()

    def _send_rest(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            sent = self._sock.send(self._unsent, socket.MSG_DONTWAIT)
            self._unsent = self._unsent[sent:]

    def __repr__(self) -> str:
        return f"<Agent {self._share!r}>"


def _report_of(server: Server) -> str:
    return f"{server.swansong.guard_report(stacks=True)}\n{server.connections}"


def _source_of(server: Server) -> ProcessSource:
    return ProcessSource(server.swansong, [ServerHandle(server)])


def _metrics_of(server: Server) -> dict[str, object] | None:
    """Return what its `Metrics` has measured; None: it has none."""
    metrics = server.shared_state(Metrics)
    return None if metrics is None else metrics.figures().as_json()


def _threads() -> str:
    """Return the stacks of all threads."""
    names = {each.ident: each.name for each in threading.enumerate()}
    return "\n".join(
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    )
