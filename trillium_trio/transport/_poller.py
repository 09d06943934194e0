"""One epoll for all connections of a server, read by one task."""

from __future__ import annotations

import select
import socket
from math import inf
from typing import TYPE_CHECKING, Protocol, final

import trio
from outcome import Error, Value
from trio.lowlevel import Abort, current_task, reschedule, wait_readable, wait_task_rescheduled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from outcome import Outcome
    from trio.lowlevel import Task

__all__ = ["Poller", "Registration", "Row"]

# Linux alone has it. Elsewhere every connection waits with trio, always.
_make_epoll: Callable[[], select.epoll] | None = getattr(select, "epoll", None)

# What one turn receives for before others run, up to `max_bytes` for each (CN-31). Of more that
# are ready, the kernel reports those first that it has not reported yet.
_MAX_READY = 64

# A trial every so many receives costs a single connection less than a hundredth of its speed, and
# 64 busy ones begin one every 20 milliseconds or so.
_TRIAL_AFTER = 1024
# Of a trial and of every later look: long enough for all connections to come over, and to average.
_TURNS = 16
# Ready at once, on average over these turns. Twice as many to stay after a trial as to stay on, so
# that a load in between does not go to and fro.
_TO_BEGIN = 8
_TO_GO_ON = 4
# A row of fewer answers costs more than it saves.
_TO_OPEN = 4


class Row(Protocol):
    """What the tasks that go on in one turn leave to be done at its end."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was left so far."""

    def open(self) -> None:
        """Begin: several tasks are about to run."""

    def close(self) -> None:
        """Do what they left: all of them have run. Must not raise."""


@final
class Poller:
    """Waits for many connections at once, and receives for them.

    A wait with trio costs an ``epoll_ctl`` and trio's bookkeeping for each request. The poller has
    an epoll of its own, in which idle connections stay registered:

    .. code-block:: text

        few ready at once   each task:      wait_readable(its socket) -> recv
        many                one task:       wait_readable(the epoll) -> poll -> recv, recv, recv ...
                            the others:     rescheduled with the bytes

    With few ready there is nothing to save, and the hop through a second task costs. So receives
    wait with trio, and every 1024th begins a *trial*: for 16 turns, receives wait here. They stay
    if on average 8 were ready in a turn of the trial, and as long as it is 4 in each 16 turns.
    A task that waits is never moved: it gets its bytes where it waits, and its next receive looks
    again. So for a moment both ways of waiting are in use.

    The epoll is level-triggered: what has not been read is reported again, so no event can be
    missed. If nobody waits for a socket that has an event, because its task is busy with the last
    request or waits with trio, the socket is unregistered until the next wait here.

    Args:
      row: Opened when several tasks go on in one turn, closed when all of them have run.

    Attributes:
      direct: How many receives are to wait with trio before some wait here; infinite while `run`
        does not run. Receives count it down.
    """

    __slots__ = (
        "_epoll",
        "_is_open",
        "_least",
        "_ready",
        "_registered",
        "_row",
        "_turns",
        "direct",
    )

    def __init__(self, row: Row) -> None:
        self._row = row
        self.direct: float = inf
        # Made by the first trial: few servers need one, and a descriptor may be hard to come by.
        self._epoll: select.epoll | None = None
        self._is_open = trio.Event()
        self._registered: dict[int, Registration] = {}
        # In this trial or look.
        self._turns = 0
        self._ready = 0
        self._least = _TO_BEGIN

    async def run(self) -> None:
        """Receive for those who wait here, for ever; return at once where there is no epoll.

        Cancellation:
          Ends it. No byte is lost; tasks that wait here wait with trio from then on.
        """
        if _make_epoll is None:
            return
        self.direct = _TRIAL_AFTER
        try:
            await self._is_open.wait()
            assert self._epoll is not None
            while True:
                await wait_readable(self._epoll.fileno())
                ready = self._receive(self._epoll)
                self._look(ready)
                if ready >= _TO_OPEN:
                    await self._let_run()
        finally:
            self._end()

    def register(self, registration: Registration) -> None:
        """Have the epoll report a socket.

        Raises:
          BlockingIOError: There is no room for it in the system. Wait with trio.
        """
        assert _make_epoll is not None, "direct is infinite while the poller does not run"
        try:
            if self._epoll is None:
                self._epoll = _make_epoll()
                self._is_open.set()
            self._epoll.register(registration.fd, select.EPOLLIN)
        except OSError as error:
            self.direct = _TRIAL_AFTER
            raise BlockingIOError from error
        self._registered[registration.fd] = registration

    def unregister(self, registration: Registration) -> None:
        """Have the epoll report a socket no more."""
        assert self._epoll is not None
        del self._registered[registration.fd]
        self._epoll.unregister(registration.fd)

    def _receive(self, epoll: select.epoll) -> int:
        """Receive for whoever is ready, but no more than is fair; return how many went on."""
        registered = self._registered
        ready = 0
        # No other task runs between the poll and the last receive: no descriptor that was reported
        # can have been closed, and its number given to another socket.
        for fd, events in epoll.poll(0, _MAX_READY):
            registration = registered[fd]
            task = registration.task
            if task is None:
                registration.end()
                continue
            received: Outcome[bytes]
            try:
                received = Value(registration.sock.recv(registration.max_bytes))
            except BlockingIOError:
                if events & select.EPOLLERR:
                    discard_notice(registration.sock)
                continue
            except OSError as error:
                received = Error(error)
            registration.task = None
            reschedule(task, received)
            ready += 1
        return ready

    async def _let_run(self) -> None:
        """Let the tasks that were rescheduled run, all of them, with the row open."""
        row = self._row
        row.open()
        try:
            await trio.lowlevel.checkpoint()
            if row.is_empty:
                # trio runs every other turn in reverse, so perhaps none has run yet.
                await trio.lowlevel.checkpoint()
        finally:
            row.close()

    def _look(self, ready: int) -> None:
        """Count a turn; decide where receives wait from now on."""
        if self.direct > 0:
            return  # Only those come here that began to wait before.
        self._turns += 1
        self._ready += ready
        if self._turns == _TURNS:
            if self._ready < self._least * _TURNS:
                self.direct = _TRIAL_AFTER
                self._least = _TO_BEGIN
            else:
                self._least = _TO_GO_ON
            self._turns = self._ready = 0

    def _end(self) -> None:
        self.direct = inf
        for registration in list(self._registered.values()):
            registration.end()
            registration.interrupt(BlockingIOError())
        if self._epoll is not None:
            self._epoll.close()

    def __repr__(self) -> str:
        return f"<Poller {len(self._registered)} registered, {self.direct} to wait with trio>"


@final
class Registration:
    """One socket's place at the poller, kept for as long as the socket is open.

    Attributes:
      sock: Non-blocking.
      fd: Its descriptor.
      task: Who waits; None if nobody does.
      max_bytes: What it wants at most.
    """

    __slots__ = ("_is_registered", "_poller", "fd", "max_bytes", "sock", "task")

    def __init__(self, poller: Poller, sock: socket.socket) -> None:
        self.sock: socket.socket = sock
        self.fd: int = sock.fileno()
        self.task: Task | None = None
        self.max_bytes: int = 0
        self._poller = poller
        self._is_registered = False

    def receive(self, max_bytes: int) -> Awaitable[bytes]:
        """Wait for bytes, or the end of the input. One at a time, and while the poller runs.

        Raises:
          BlockingIOError: The poller has ended, or has no room. Nothing was received.
          OSError: As ``recv`` raises it.
          Exception: What `interrupt` was called with. Nothing was received.

        Cancellation:
          No byte is lost.
        """
        if not self._is_registered:
            self._poller.register(self)
            self._is_registered = True
        self.max_bytes = max_bytes
        self.task = current_task()
        return wait_task_rescheduled(self._abort)  # noqa: ASYNC105 (the caller awaits: a frame less)

    def interrupt(self, error: Exception) -> None:
        """Make the wait raise, if there is one that has not got its bytes yet."""
        task, self.task = self.task, None
        if task is not None:
            reschedule(task, Error(error))

    def end(self) -> None:
        """Take the socket out of the epoll. To be called before it is closed; idempotent."""
        if self._is_registered:
            self._is_registered = False
            self._poller.unregister(self)

    def _abort(self, _: object) -> Abort:
        self.task = None
        return Abort.SUCCEEDED


def discard_notice(sock: socket.socket) -> None:
    """Take one notice off a socket's error queue: until it is empty, every wait ends at once.

    Nothing of ours puts any there; an option that the listener's socket came with may
    (``IP_RECVERR``, ``SO_TIMESTAMPING``), and connections inherit it.
    """
    # Unix sockets have no such queue, and would take the flag for none.
    if sock.family != socket.AF_UNIX and hasattr(socket, "MSG_ERRQUEUE"):
        try:
            sock.recvmsg(1, 0, socket.MSG_ERRQUEUE)
        except OSError:
            pass
