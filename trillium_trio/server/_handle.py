"""The handle to a server, for the code that started it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, final

from ..conn import Readiness
from ..exceptions import MisuseError

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    from ..conn import ConnectionCounts
    from ..swansong import DrainReport, ShutdownCompletion, Swansong
    from ..transport import Listener
    from ._drain import DrainProgress
    from ._settings import Settings

__all__ = ["Served", "ServerHandle"]

T = TypeVar("T")


class Served(Protocol):
    """What a handle needs of its server."""

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The bound listeners."""

    @property
    def swansong(self) -> Swansong:
        """The configured swansong."""

    @property
    def connections(self) -> ConnectionCounts:
        """The connections now, and how many were accepted, evicted or refused so far."""

    @property
    def config(self) -> Settings:
        """The settings."""

    @property
    def drain(self) -> DrainProgress | None:
        """How far the drain is; None before the stop."""

    @property
    def is_running(self) -> bool:
        """Whether it is ready and its ``serve()`` is not over."""

    def shared_state(self, type_: type[T]) -> T | None:
        """Return the shared value of exactly this type, or None."""

    def stop(self) -> None:
        """Stop this server alone."""

    def stop_at_once(self, reason: str) -> None:
        """Stop this server alone, and cut all work in progress."""

    async def wait(self) -> DrainReport:
        """Wait until ``serve()`` is over.

        Cancellation:
          Ends the wait.
        """

    def block(self, timeout: float | None = None) -> DrainReport:
        """Block this thread until ``serve()`` is over."""


@final
class ServerHandle:
    """A handle to a server: where it listens, how to stop it, how to wait for it.

    Thread-safe. Dropping it has no effect. ``await handle`` and `block` wait until this server's
    ``serve()`` is over, and return how its drain went.
    """

    __slots__ = ("_server",)

    def __init__(self, server: Served) -> None:
        self._server = server

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The bound listeners, in the order of the configuration."""
        return self._server.listeners

    @property
    def url(self) -> str:
        """The URL of the first listener.

        Raises:
          MisuseError: The server was never bound.
        """
        return self._first.url

    @property
    def port(self) -> int:
        """The port of the first TCP listener.

        Raises:
          MisuseError: There is no TCP listener.
        """
        for listener in self.listeners:
            if not isinstance(listener.address, str):
                return listener.address[1]
        raise MisuseError("the server has no TCP listener")

    @property
    def swansong(self) -> Swansong:
        """The configured swansong, which other servers can share."""
        return self._server.swansong

    @property
    def is_running(self) -> bool:
        """Whether it is ready and its ``serve()`` is not over; True while it drains."""
        return self._server.is_running

    @property
    def connections(self) -> ConnectionCounts:
        """How many connections there are now, and how many were accepted so far."""
        return self._server.connections

    @property
    def config(self) -> Settings:
        """The settings that are in force."""
        return self._server.config

    @property
    def drain(self) -> DrainProgress | None:
        """How far the drain is, what it waits for, and for how long; None before the stop."""
        return self._server.drain

    @property
    def readiness(self) -> Readiness:
        """Withdraws the server from its load balancer, and brings it back.

        Raises:
          MisuseError: The server was never bound.
        """
        readiness = self._server.shared_state(Readiness)
        if readiness is None:
            raise MisuseError("the server was never bound")
        return readiness

    def shut_down(self, *, timeout: float | None = None) -> ShutdownCompletion:
        """Stop this server and all that share its swansong; see `Swansong.shut_down`."""
        return self.swansong.shut_down(timeout=timeout)

    def cancel(self, reason: str | None = None) -> ShutdownCompletion:
        """Cancel this server and all that share its swansong; see `Swansong.cancel`."""
        return self.swansong.cancel(reason)

    def shared_state(self, type_: type[T]) -> T | None:
        """Return the server's shared value of exactly this type, or None."""
        return self._server.shared_state(type_)

    def __await__(self) -> Generator[object, None, DrainReport]:
        """Wait, in any trio run, until ``serve()`` is over."""
        return self._server.wait().__await__()

    def block(self, timeout: float | None = None) -> DrainReport:
        """Block this thread until ``serve()`` is over.

        Raises:
          TimeoutError: It took longer than ``timeout`` seconds.
          RuntimeError: Called inside a trio run.
        """
        return self._server.block(timeout)

    def __enter__(self) -> ServerHandle:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            self._server.stop()
        else:
            self._server.stop_at_once("the block of its handle raised")
        self.block()

    @property
    def _first(self) -> Listener:
        if not self.listeners:
            raise MisuseError("the server was never bound")
        return self.listeners[0]

    def __repr__(self) -> str:
        state = "running" if self.is_running else "not running"
        return f"<ServerHandle {', '.join(each.name for each in self.listeners)} {state}>"
