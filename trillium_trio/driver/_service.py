"""What all connections of one server share."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Protocol, final

import trio

from ..codec import HeadLimits
from ..conn import Handler, Sequence, handler_name, leaves, walk_handlers
from ..http import http_date
from ..transport import Poller
from ._outbox import Outbox
from ._watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ..conn import Conn, Info, Sent
    from ..http import HttpConfig
    from ..swansong import Swansong

__all__ = ["Served", "Service"]


class Served(Protocol):
    """A connection, as the server sees it.

    Attributes:
      idle_since: When it was accepted, or its last exchange was over, on trio's clock.
      served: How many requests have begun on it.
    """

    idle_since: float
    served: int

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request, with no byte of it received."""

    @property
    def is_closing(self) -> bool:
        """Whether nothing is left to send: it waits for the peer to close."""

    @property
    def is_leaving(self) -> bool:
        """Whether it was evicted and no request has come since."""

    def evict(self) -> None:
        """Close an idle or closing connection, unless a request has come."""

    def notice(self) -> None:
        """Ask the connection to end."""

    def cut(self, reason: str, *, linger: float) -> None:
        """End the connection now; one that is already closing, in at most ``linger`` seconds."""


@final
class Service:
    """A handler and everything that is needed to serve it over a connection.

    Attributes:
      connections: The open connections; each adds and removes itself.
      is_draining: Whether connections should end as soon as they have no request in progress.
      drain_time: When the listeners were closed and the connections notified, on trio's clock;
        ``inf`` before.
      evicted: How many idle ones have closed to make room for new ones.
      ended: How many have ended.
      served: How many requests there were on those that have ended.
      on_exit: Called with the KeyboardInterrupt or SystemExit that a handler raised.
      on_idle: Called when the last connection has ended.
    """

    __slots__ = (
        "_date_line",
        "_date_until",
        "after_send",
        "before_send",
        "connections",
        "drain_time",
        "ended",
        "evicted",
        "handler",
        "head_limits",
        "http",
        "info",
        "is_draining",
        "keepalive_grace",
        "now",
        "on_exit",
        "on_idle",
        "outbox",
        "poller",
        "served",
        "server_line",
        "swansong",
        "watchdog",
    )

    def __init__(
        self,
        handler: Handler,
        *,
        info: Info,
        keepalive_grace: float,
        on_exit: Callable[[BaseException], None],
        on_idle: Callable[[], None],
        connections: set[Served] | None = None,
    ) -> None:
        self.handler: Handler = handler
        # Skipped entirely if no handler overrides it.
        hooks = [leaf for leaf in leaves(handler) if leaf.overrides("before_send")]
        self.before_send: Callable[[Conn], Coroutine[object, object, Conn]] | None = (
            Sequence(hooks).before_send if hooks else None
        )
        observers = [leaf for leaf in leaves(handler) if leaf.overrides("after_send")]
        self.after_send: Callable[[Conn, Sent], None] | None = (
            Sequence(observers).after_send if observers else None
        )
        self.info: Info = info
        # Copied from `info`, because every request uses them.
        http = info.config.http
        self.http: HttpConfig = http
        self.swansong: Swansong = info.swansong
        self.keepalive_grace: float = keepalive_grace
        self.on_exit: Callable[[BaseException], None] = on_exit
        self.on_idle: Callable[[], None] = on_idle
        self.connections: set[Served] = set() if connections is None else connections
        self.is_draining: bool = False
        self.drain_time: float = inf
        self.evicted: int = 0
        self.ended: int = 0
        self.served: int = 0
        # The clock's method, because every request calls it several times.
        self.now: Callable[[], float] = trio.lowlevel.current_clock().current_time
        self.watchdog: Watchdog = Watchdog()
        self.outbox: Outbox = Outbox()
        self.poller: Poller = Poller(self.outbox)
        self._date_line = b""
        self._date_until = -inf
        self.server_line: bytes = (
            b"server: " + http.server_header.encode("latin-1") + b"\r\n"
            if http.server_header
            else b""
        )
        self.head_limits: HeadLimits = HeadLimits(
            max_head_bytes=http.max_head_bytes,
            max_headers=http.max_headers,
            max_target_bytes=http.max_target_bytes,
            takes_connect=any(each.takes_connect for each in walk_handlers(handler)),
        )

    def date_line(self) -> bytes:
        """Return the Date field line of a response sent now, by the system's clock."""
        now = time.time()
        # Rendered once per second; the clock may also be set back.
        if not self._date_until - 1 <= now < self._date_until:
            self._date_line = b"date: %b\r\n" % http_date(now)
            self._date_until = now // 1 + 1
        return self._date_line

    def begin_drain(self, now: float) -> None:
        """Have connections end as soon as they have no request in progress."""
        self.is_draining = True
        self.drain_time = now

    def notify(self) -> None:
        """Notify every connection, once, of the drain."""
        for connection in self.connections:
            connection.notice()

    def __repr__(self) -> str:
        return f"<Service {handler_name(self.handler)}, {len(self.connections)} connections>"
