"""From one version of the supervisor to the next: the sockets, and the moment.

.. code-block:: text

    old                                        new, started by it
    plan {workers}, sockets          ->
                                               binds nothing that it was given, starts its workers
                                     <-  ready once all of them are
    totals                           ->
    drains, without delay                      is the supervisor
    totals, end of file              ->        may be upgraded in turn

If the new one ends, or is not ready in time, it is killed and the old one goes on.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final, final

import trio

from .._log import SafeLogger
from ..handlers import Figures
from ..listeners import Lines
from ._protocol import LineBuffer, decode, encode
from ._signals import describe_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._crew import Crew
    from ._process import ChildProcess

__all__ = ["Predecessor", "Successor"]

logger = SafeLogger("trillium_trio.supervisor")

# For the start of a Python, beside that of its workers.
_START_SECONDS: Final = 10.0


@final
class Successor:
    """Starts the next supervisor and waits until it is ready.

    Args:
      crew: Whose sockets are handed over.
      start: Starts its process.
      on_ready: Called with its process id when it is ready.
      count: Returns how many workers it is to have.
    """

    def __init__(
        self,
        crew: Crew,
        start: Callable[[], ChildProcess],
        on_ready: Callable[[int], None],
        count: Callable[[], int],
    ) -> None:
        self._crew = crew
        self._start = start
        self._on_ready = on_ready
        self._count = count
        self._process: ChildProcess | None = None
        self._sent: dict[str, object] = {}
        self._sent_metrics = Figures()

    async def hand_over(self) -> str:
        """Hand over; return why there is no successor, empty if there is: then the stop has come.

        Cancellation:
          The new process is killed.
        """
        try:
            process = self._start()
        except OSError as error:
            return f"cannot start a process: {error}"
        logger.info("upgrade: starting process %d", process.pid)
        failure = ""
        try:
            process.send(encode("plan", workers=self._count()))
            self._crew.sockets.hand_over(process.sock)
            with trio.move_on_after(self._crew.config.start_timeout + _START_SECONDS) as limit:
                # Its last words may be read after its end.
                if not await _is_ready(process) or process.has_ended:
                    failure = describe_status(await process.wait())
            if limit.cancelled_caught:
                failure = f"process {process.pid} is not ready in time"
        except OSError as error:
            failure = f"cannot hand over: {error}"
        except BaseException:
            await self._give_up(process)
            raise
        if failure:
            await self._give_up(process)
            return failure
        self._process = process
        self._tell_totals()
        self._on_ready(process.pid)
        logger.info("upgrade: process %d has taken over", process.pid)
        self._crew.is_sharing = True
        self._crew.swansong.shut_down()
        return ""

    def say_goodbye(self) -> None:
        """Tell the successor what was counted since."""
        if self._process is not None:
            self._tell_totals()

    def _tell_totals(self) -> None:
        assert self._process is not None
        now = self._crew.figures()["totals"]
        metrics = self._crew.metrics.now().totals()
        more = metrics.minus(self._sent_metrics).as_json()
        self._process.send_all(encode("totals", totals=now, less=self._sent, metrics=more))
        self._sent = now if isinstance(now, dict) else {}
        self._sent_metrics = metrics

    async def _give_up(self, process: ChildProcess) -> None:
        process.kill()
        # A killed process ends within a moment.
        with trio.move_on_after(_START_SECONDS, shield=True):
            await process.wait()
        process.close()


async def _is_ready(process: ChildProcess) -> bool:
    lines = LineBuffer()
    while data := await process.receive():
        if any(decode(line).get("kind") == "ready" for line in lines.feed(data)):
            return True
    return False


@final
class Predecessor:
    """The supervisor that this one takes over from.

    Args:
      fd: The descriptor of the socket to it.
    """

    def __init__(self, fd: int) -> None:
        self._sock = socket.socket(fileno=fd)
        self._sock.set_inheritable(False)
        self.is_gone = False

    def take_over(self, crew: Crew) -> int | None:
        """Take its sockets; return how many workers it has, if it says so.

        Raises:
          OSError: It does not send them, or there are too few free descriptors.
          EOFError: It is gone.
        """
        self._sock.settimeout(_START_SECONDS)
        lines = Lines(self._sock)
        plan = decode(lines.read())
        crew.sockets.take_over(lines)
        self._sock.setblocking(False)
        workers = plan.get("workers")
        return workers if isinstance(workers, int) and workers > 0 else None

    def report_ready(self) -> None:
        """Have it drain."""
        with contextlib.suppress(OSError):
            self._sock.send(encode("ready"))

    async def follow(self, crew: Crew) -> None:
        """Count what it has counted, until it is gone.

        Cancellation:
          Ends that.
        """
        lines = LineBuffer()
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                data = self._sock.recv(65_536)
            except ConnectionError:
                data = b""
            if not data:
                break
            for line in lines.feed(data):
                match decode(line):
                    case {"kind": "totals", "totals": dict(totals), "less": dict(less), **more}:
                        crew.totals.take_over(totals)
                        crew.totals.take_over(_negative(less))
                        crew.metrics.take_over(more.get("metrics"))
        self.is_gone = True
        logger.info("upgrade: the previous supervisor is gone")


def _negative(totals: dict[str, object]) -> dict[str, object]:
    """Return what undoes these totals."""
    result: dict[str, object] = {}
    for name, value in totals.items():
        if isinstance(value, dict):
            result[name] = _negative(value)
        elif isinstance(value, list):
            result[name] = [-each for each in value]
        elif isinstance(value, int | float):
            result[name] = -value
    return result
