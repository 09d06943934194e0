"""The escalation ladder: SIGINT, SIGTERM and SIGQUIT, counted alike.

.. code-block:: text

    first     shut_down()    drain; if a drain is already in progress: log what it waits for
    second    cancel()       cut what is in progress; clean-up still runs, bounded
    third     the signal's default action, which ends even a wedged process

The handlers are plain signal handlers: they count without an event loop, so that three signals
count even if the loop is blocked. They do only what is signal-safe; the loop logs later.

SIGUSR1 logs what is in progress at any time, unless the application handles it itself.

A terminal sends SIGINT and SIGQUIT to a whole group of processes. Where a supervisor decides, its
workers leave them to it: they are started with both blocked, so that none can end them before
`leave_terminal_signals` has installed a handler that does nothing. It is not SIG_IGN, which the
processes that a worker starts would inherit.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, final

import trio

from .._log import SafeLogger
from ..exceptions import MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

    from ..swansong import Swansong

__all__ = [
    "SignalLadder",
    "hooked_signals",
    "is_main_thread",
    "leave_terminal_signals",
    "terminal_signals_blocked",
]

logger = SafeLogger("trillium_trio.server")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
_OF_TERMINALS = (signal.SIGINT, signal.SIGQUIT)
_REPORT = signal.SIGUSR1
_Previous: TypeAlias = "Callable[[int, FrameType | None], object] | int | None"


def is_main_thread() -> bool:
    """Whether signals can be hooked here."""
    return threading.current_thread() is threading.main_thread()


def hooked_signals() -> list[str]:
    """Return the names of the signals that a server has hooked now."""
    hooked = (each for each in _SIGNALS if _ladder_of(signal.getsignal(each)) is not None)
    return [each.name for each in hooked]


@contextmanager
def terminal_signals_blocked() -> Iterator[None]:
    """Start a worker: it has SIGINT and SIGQUIT blocked until it calls `leave_terminal_signals`.

    They are blocked in this thread, which must be the one that starts the process.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_terminal_signals() -> None:
    """Let SIGINT and SIGQUIT do nothing in this process, also when a server hooks the others."""
    for number in _OF_TERMINALS:
        signal.signal(number, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_TERMINALS)


def _leave(number: int, frame: FrameType | None) -> None:
    """Do nothing: the supervisor has got the signal as well."""


def _ladder_of(handler: _Previous) -> SignalLadder | None:
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, SignalLadder) else None


@final
class SignalLadder:
    """Hooks the signals while a server serves; a context manager for the main thread.

    Args:
      swansong: What the first signal stops and the second cancels.
      is_over: Whether the server has ended. From then on each signal goes to the previous handler:
        a server in another thread cannot unhook.
      connections: Returns the connections for the report.
      at_last: Called at the third signal, before its default action; signal-safe.
    """

    def __init__(
        self,
        swansong: Swansong,
        is_over: Callable[[], bool],
        connections: Callable[[], object],
        at_last: Callable[[], object] | None = None,
    ) -> None:
        self._swansong = swansong
        self._is_over = is_over
        self._connections = connections
        self._at_last = at_last
        self._count = 0
        self._token: trio.lowlevel.TrioToken | None = None
        self._previous: dict[int, _Previous] = {}
        self._ours: dict[int, Callable[[int, FrameType | None], None]] = {
            **dict.fromkeys(_SIGNALS, self._handle),
            _REPORT: self._report,
        }

    def attach(self) -> None:
        """Log in the current trio run from now on, not in the signal handler."""
        self._token = trio.lowlevel.current_trio_token()

    def hook(self) -> None:
        """Install our signal handlers.

        Raises:
          MisuseError: Another server has hooked them, or this is not the main thread.
        """
        if not is_main_thread():
            raise MisuseError(
                "signals can only be hooked in the main thread; use without_signals() here"
            )
        previous = {number: signal.getsignal(number) for number in self._ours}
        for handler in previous.values():
            ladder = _ladder_of(handler)
            if ladder is not None and not ladder._is_over():
                raise MisuseError(
                    "another server has hooked the signals; use without_signals() for all but one"
                )
        report = previous[_REPORT]
        if report is not signal.SIG_DFL and _ladder_of(report) is None:
            # The application's. That of a server that is over would end the process.
            del previous[_REPORT]
        for number, handler in previous.items():
            if handler is signal.SIG_IGN:
                # As under nohup, or in the background of a shell without job control.
                logger.info("%s stays ignored", signal.Signals(number).name)
            elif handler is _leave:
                pass
            elif handler is not None:  # None: not installed from Python, so it cannot be restored
                self._previous[number] = handler
                signal.signal(number, self._ours[number])

    def unhook(self) -> None:
        """Restore the previous handlers."""
        # Do not clear `_previous`: a handler installed on top of ours may still call it.
        for number, handler in self._previous.items():
            # Ours, or the default action that the second signal restored.
            if signal.getsignal(number) in (self._ours[number], signal.SIG_DFL):
                signal.signal(number, handler)

    def __enter__(self) -> SignalLadder:
        self.hook()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.unhook()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_over():
            self._call_previous(number, frame)
            return
        self._count += 1
        name = signal.Signals(number).name
        if self._count == 1:
            if self._swansong.is_running:
                self._swansong.shut_down()
                self._log("%s: draining; a second signal cuts what is in progress", name)
            else:
                self._log("%s: already draining; a second signal cuts what is in progress", name)
        elif self._count > 2 and self._at_last is not None:
            self._at_last()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        else:
            if self._at_last is None:
                for hooked in self._previous.keys() & set(_SIGNALS):
                    signal.signal(hooked, signal.SIG_DFL)
            self._swansong.cancel(f"second signal, {name}")
            self._log("%s: cutting what is in progress; a third signal kills", name)

    def _report(self, number: int, frame: FrameType | None) -> None:
        if self._is_over():
            self._call_previous(number, frame)
        else:
            self._soon(self._report_now)

    def _call_previous(self, number: int, frame: FrameType | None) -> None:
        previous = self._previous[number]
        if callable(previous):
            previous(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _log(self, message: str, name: str) -> None:
        self._soon(self._log_now, message, name)

    def _soon(self, fn: Callable[..., None], *args: str) -> None:
        if self._token is None:
            return
        try:
            self._token.run_sync_soon(fn, *args)
        except trio.RunFinishedError:
            pass

    def _log_now(self, message: str, name: str) -> None:
        logger.warning(message, name)
        report = self._swansong.guard_report()
        if report.entries:
            logger.warning("%s", report)

    def _report_now(self) -> None:
        logger.warning("%s", self._swansong.guard_report(stacks=True))
        logger.warning("%s", self._connections())

    def __repr__(self) -> str:
        return f"<SignalLadder {self._count} signals>"
