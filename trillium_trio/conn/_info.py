"""The server as handlers see it before serving begins: settings, shared state, tasks to start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, TypeVarTuple, final

from ._counts import ConnectionCounts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..http import HttpConfig, TypeMap
    from ..swansong import Swansong
    from ..transport import Listener

__all__ = ["Info", "ServerSettings", "Starter"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ServerSettings(Protocol):
    """The part of `trillium_trio.Config` that handlers can read.

    A protocol, because the assembled configuration belongs to a higher layer.
    """

    @property
    def http(self) -> HttpConfig:
        """Limits and timeouts of HTTP."""

    @property
    def drain_delay(self) -> float:
        """Seconds that the server keeps accepting after the stop."""

    @property
    def drain_timeout(self) -> float | None:
        """Seconds that a drain waits for guards; None: for ever."""

    @property
    def drain_spread(self) -> float:
        """Seconds in which connections that owe nothing are told of the stop."""

    @property
    def cleanup_timeout(self) -> float:
        """Seconds allowed for clean-up."""


class Starter(Protocol):
    """Starts tasks in the server's nurseries."""

    def start_background(
        self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        """Start guarded work, which a drain waits for."""

    def start_service(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        """Start unguarded work, which is cancelled once the connections are gone."""


@final
class Info:
    """The server as its handlers see it in `Handler.init` and `Handler.lifespan`.

    Attributes:
      config: The server's `trillium_trio.Config`.
      swansong: The server's own node, the same as `Conn.swansong`.
      listeners: The bound listeners, in the order of the configuration.
    """

    __slots__ = ("_counts", "_shared", "_starter", "config", "listeners", "swansong")

    def __init__(
        self,
        *,
        config: ServerSettings,
        swansong: Swansong,
        listeners: tuple[Listener, ...],
        shared: TypeMap,
        starter: Starter,
        counts: Callable[[], ConnectionCounts] = ConnectionCounts,
    ) -> None:
        self.config: ServerSettings = config
        self.swansong: Swansong = swansong
        self.listeners: tuple[Listener, ...] = listeners
        self._shared = shared
        self._starter = starter
        self._counts = counts

    @property
    def connections(self) -> ConnectionCounts:
        """How many connections the server has now, and how many it has accepted so far."""
        return self._counts()

    def insert_shared_state(self, value: T) -> T | None:
        """Store a value that every conn finds with ``shared_state(type(value))``.

        Returns:
          The value of the same type that it replaces, or None.
        """
        return self._shared.insert(value)

    def shared_state(self, type_: type[T]) -> T | None:
        """Return the shared value of exactly this type, or None."""
        return self._shared.get(type_)

    def start_soon(self, fn: Callable[[*Ts], Awaitable[object]], *args: *Ts) -> None:
        """Start guarded background work: a drain waits for it.

        If called before the server is ready, the work starts when it is. An exception that it
        raises is logged with the function's name, and ends nothing else.
        """
        self._starter.start_background(fn, args)

    def start_service(self, fn: Callable[[*Ts], Awaitable[object]], *args: *Ts) -> None:
        """Start an unguarded service: cancelled once the connections are gone, before clean-up.

        If called before the server is ready, it starts when the server is. An exception that it
        raises ends the server with that exception.
        """
        self._starter.start_service(fn, args)

    def __repr__(self) -> str:
        return f"<Info {', '.join(listener.name for listener in self.listeners)}>"
