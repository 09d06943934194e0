"""What all connections of one server share."""

from __future__ import annotations

import time
from functools import partial
from math import inf
from typing import TYPE_CHECKING, final

import trio

from ..codec import HeadLimits
from ..conn import Handler, Sequence, leaves, run_handler
from ..http import DateCache
from ._watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..conn import Info
    from ._http1 import Http1Connection

__all__ = ["Service"]


@final
class Service:
    """A handler and everything that is needed to serve it over a connection.

    Attributes:
      connections: Those that are open; each adds and removes itself.
      is_draining: Whether connections should end as soon as they owe nothing.
      drain_time: When the listeners were closed and the connections told, on trio's clock;
        ``inf`` before.
      on_exit: Called with the KeyboardInterrupt or SystemExit that a handler raised.
      on_idle: Called when the last connection has ended.
    """

    __slots__ = (
        "before_send",
        "connections",
        "dates",
        "drain_time",
        "handler",
        "head_limits",
        "http",
        "info",
        "is_draining",
        "keepalive_grace",
        "now",
        "on_exit",
        "on_idle",
        "run",
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
    ) -> None:
        self.handler = handler
        # A sequence holds its handlers to the contract by itself.
        is_sequence = isinstance(handler, Sequence)
        self.run = handler.run if is_sequence else partial(run_handler, handler)
        # Skipped whole when no handler has anything to do before sending.
        hooks = [leaf for leaf in leaves(handler) if leaf.overrides("before_send")]
        self.before_send = Sequence(hooks).before_send if hooks else None
        self.info = info
        # As `info` has them; every request asks for them.
        self.http = http = info.config.http
        self.swansong = info.swansong
        self.keepalive_grace = keepalive_grace
        self.on_exit = on_exit
        self.on_idle = on_idle
        self.connections: set[Http1Connection] = set()
        self.is_draining = False
        self.drain_time = inf
        # The clock itself, for what looks at it several times per request.
        self.now = trio.lowlevel.current_clock().current_time
        self.watchdog = Watchdog()
        self.dates = DateCache()
        self.server_line = (
            b"server: " + http.server_header.encode("latin-1") + b"\r\n"
            if http.server_header
            else b""
        )
        self.head_limits = HeadLimits(
            max_head_bytes=http.max_head_bytes,
            max_headers=http.max_headers,
            max_target_bytes=http.max_target_bytes,
        )

    def date_line(self) -> bytes:
        """The Date field of a response sent now, from the system's clock."""
        return self.dates.line(time.time())

    def begin_drain(self, now: float) -> None:
        """Tell every connection, once, that nothing new is wanted."""
        self.is_draining = True
        self.drain_time = now
        for connection in self.connections:
            connection.notice()

    def __repr__(self) -> str:
        return f"<Service {self.handler.name}, {len(self.connections)} connections>"
