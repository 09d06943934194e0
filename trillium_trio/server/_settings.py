"""Every setting of a server, as one value."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from .._util import check_count, check_number
from ..exceptions import ConfigError
from ..http import HttpConfig
from ..listeners import Bind
from ..swansong import Swansong
from ._environment import default_bind

__all__ = ["Settings"]

_MAX_PORT = 65_535
# The rest of the process needs descriptors too, for example for upstream connections.
_SHARE_OF_DESCRIPTORS = 0.75
_MAX_CONNECTIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A server's settings; `trillium_trio.Config` adds methods to change and to use them.

    Attributes:
      host: Where to listen if `listeners` is empty; a path means a unix socket.
        Default: ``HOST`` of the environment, then ``localhost``.
      port: The port for it. Default: ``PORT``, then 8080.
      listeners: What to listen on, recorded by ``bind_...`` and bound when serving starts.
        Default: one listener from host, port and environment.
      signals: Whether SIGINT, SIGTERM and SIGQUIT drain the server. Default: only in the main
        thread, and there as the main task of ``trio.run``, or by `run` and `spawn`; inside a
        nursery, signals are left to its owner.
      swansong: Stops this server, and all others that share it. Default: one of its own.
      nodelay: Send small packets at once (TCP_NODELAY). Default: True.
      max_connections: Beyond it a new connection takes the place of an idle one or is answered 503.
        Default: 75 % of the soft limit of open files; 10,000 where there is none.
        Unit: connections. Prevents: running out of descriptors.
      drain_delay: How long to keep accepting after the stop, while load balancers notice it.
        Default: 0. Unit: seconds. Prevents: refused connections during a rolling restart.
      keepalive_grace: How long a connection that was active less than this ago may still send one
        request after the stop, or at the limit of connections. Default: 0.5. Unit: seconds.
        Prevents: losing requests that cross the close on the wire.
      drain_timeout: How long to wait then for requests before they are cut. Default: None: as long
        as they take, with progress reports. Unit: seconds.
      drain_spread: The time in which idle connections and WebSockets are told of the stop, each at
        a moment of its own, once the listeners are closed. Default: 0, all at once. Unit: seconds.
        Prevents: all clients connecting to the successor in one moment.
      cleanup_timeout: How long all lifespans together may take to end. Default: 5. Unit: seconds.
        Prevents: a process that does not end.
      report_interval: How often a drain in progress logs what it waits for. Default: 5.
        Unit: seconds.
      shared_state: Values that every conn finds with ``shared_state(type)``.
      http: Limits and timeouts of HTTP.

    Raises:
      ConfigError: A value is of the wrong type or out of range; the message names the field.
    """

    host: str | None = None
    port: int | None = None
    listeners: tuple[Bind, ...] = ()
    signals: bool | None = None
    swansong: Swansong | None = None
    nodelay: bool = True
    max_connections: int | None = None
    drain_delay: float = 0.0
    keepalive_grace: float = 0.5
    drain_timeout: float | None = None
    drain_spread: float = 0.0
    cleanup_timeout: float = 5.0
    report_interval: float = 5.0
    shared_state: tuple[object, ...] = ()
    http: HttpConfig = HttpConfig()

    def __post_init__(self) -> None:
        _check_type("host", self.host, str | None)
        if self.port is not None:
            check_count("Config.port", self.port, least=0)
            if self.port > _MAX_PORT:
                raise ConfigError(f"Config.port must be at most {_MAX_PORT}, not {self.port}")
        _check_type("listeners", self.listeners, tuple)
        for each in self.listeners:
            _check_type("listeners", each, Bind)
        _check_type("signals", self.signals, bool | None)
        _check_type("swansong", self.swansong, Swansong | None)
        _check_type("nodelay", self.nodelay, bool)
        if self.max_connections is not None:
            check_count("Config.max_connections", self.max_connections, least=1)
        check_number("Config.drain_delay", self.drain_delay, least=0.0)
        check_number("Config.keepalive_grace", self.keepalive_grace, least=0.0)
        if self.drain_timeout is not None:
            check_number("Config.drain_timeout", self.drain_timeout, least=0.0)
        check_number("Config.drain_spread", self.drain_spread, least=0.0)
        check_number("Config.cleanup_timeout", self.cleanup_timeout, least=0.0)
        check_number("Config.report_interval", self.report_interval, least=0.001)
        _check_type("shared_state", self.shared_state, tuple)
        _check_type("http", self.http, HttpConfig)

    # -- what is derived -----------------------------------------------------------------------

    def binds(self) -> tuple[Bind, ...]:
        """What to listen on; by default, what the environment says.

        Raises:
          ConfigError: A value in the environment is invalid.
        """
        return self.listeners or (default_bind(self.host, self.port),)

    def connection_limit(self) -> int:
        """`max_connections`, or the default from the process's current limit of open files."""
        if self.max_connections is not None:
            return self.max_connections
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return _MAX_CONNECTIONS
        return max(1, int(soft * _SHARE_OF_DESCRIPTORS))


def _check_type(field: str, value: object, kind: type | object) -> None:
    if not isinstance(value, kind):  # type: ignore[arg-type]  # unions are fine at run time
        expected = getattr(kind, "__name__", None) or str(kind)
        raise ConfigError(f"Config.{field} must be {expected}, not {value!r}")
