"""Every setting of a server, as one value."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, final

from .._util import check_count, check_number
from ..exceptions import ConfigError
from ..http import HttpConfig
from ..listeners import Bind, EnvBind, FdBind, PreboundBind, TlsBind, UnixBind, parse_bind
from ..swansong import Swansong
from ._environment import default_bind
from ._run import run, serving, spawn
from ._server import Server

if TYPE_CHECKING:
    import socket
    import ssl
    from contextlib import AbstractAsyncContextManager

    import trio

    from ..conn import HandlerLike
    from ..swansong import DrainReport
    from ._handle import ServerHandle

__all__ = ["Config", "config"]

_MAX_PORT = 65_535
# What the rest of the process, upstream connections among it, needs of the descriptors too.
_SHARE_OF_DESCRIPTORS = 0.75
_MAX_CONNECTIONS = 10_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A server's settings. Frozen: each ``with_...`` and ``bind_...`` returns a new one.

    Attributes:
      host: Where to listen if `listeners` is empty; a path means a unix socket.
        Default: ``HOST`` of the environment, then ``localhost``.
      port: The port for it. Default: ``PORT``, then 8080.
      listeners: What to listen on, recorded by ``bind_...`` and bound when serving starts.
        Default: one listener from host, port and environment.
      signals: Whether SIGINT, SIGTERM and SIGQUIT drain the server. Default: where that is this
        server's business: as the main task of ``trio.run``, or by `run` and `spawn`, in the main
        thread; nested in a nursery they are its owner's.
      swansong: Stops this server, and all others that share it. Default: one of its own.
      nodelay: Send small packets at once (TCP_NODELAY). Default: True.
      max_connections: Beyond it a new connection is answered 503. Default: 75 % of the soft limit
        of open files; 10,000 where there is none. Unit: connections. Prevents: running out of
        descriptors.
      drain_delay: How long to keep accepting after the stop, while load balancers learn of it.
        Default: 0. Unit: seconds. Prevents: refused connections during a rolling restart.
      keepalive_grace: How long a connection that was active less than this ago may still send one
        request after the stop. Default: 0.5. Unit: seconds. Prevents: requests lost that cross the
        close on the wire.
      drain_timeout: How long to wait for requests then, before they are cut. Default: None: as long
        as they take, reporting. Unit: seconds.
      cleanup_timeout: How long all lifespans together may take to end. Default: 5. Unit: seconds.
        Prevents: a process that does not end.
      report_interval: How often a drain in progress logs what it waits for. Default: 5.
        Unit: seconds.
      shared_state: Values that every conn finds by ``shared_state(type)``.
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
        check_number("Config.cleanup_timeout", self.cleanup_timeout, least=0.0)
        check_number("Config.report_interval", self.report_interval, least=0.001)
        _check_type("shared_state", self.shared_state, tuple)
        _check_type("http", self.http, HttpConfig)

    # -- fields --------------------------------------------------------------------------------

    def with_host(self, host: str | None) -> Self:
        """Return a copy with this `host`."""
        return replace(self, host=host)

    def with_port(self, port: int | None) -> Self:
        """Return a copy with this `port`; 0 means any free one."""
        return replace(self, port=port)

    def with_address(self, host: str, port: int) -> Self:
        """Return a copy with this `host` and `port`."""
        return replace(self, host=host, port=port)

    def with_listeners(self, listeners: tuple[Bind, ...]) -> Self:
        """Return a copy with these `listeners` in place of those recorded so far."""
        return replace(self, listeners=listeners)

    def with_signals(self, signals: bool = True) -> Self:
        """Return a copy that hooks signals, also where it would not by default."""
        return replace(self, signals=signals)

    def without_signals(self) -> Self:
        """Return a copy that leaves signals alone."""
        return replace(self, signals=False)

    def with_swansong(self, swansong: Swansong | None) -> Self:
        """Return a copy with this `swansong`, which several servers may share."""
        return replace(self, swansong=swansong)

    def with_nodelay(self, nodelay: bool = True) -> Self:
        """Return a copy with this `nodelay`."""
        return replace(self, nodelay=nodelay)

    def with_max_connections(self, max_connections: int | None) -> Self:
        """Return a copy with this `max_connections`."""
        return replace(self, max_connections=max_connections)

    def with_drain_delay(self, drain_delay: float) -> Self:
        """Return a copy with this `drain_delay`."""
        return replace(self, drain_delay=drain_delay)

    def with_keepalive_grace(self, keepalive_grace: float) -> Self:
        """Return a copy with this `keepalive_grace`."""
        return replace(self, keepalive_grace=keepalive_grace)

    def with_drain_timeout(self, drain_timeout: float | None) -> Self:
        """Return a copy with this `drain_timeout`."""
        return replace(self, drain_timeout=drain_timeout)

    def with_cleanup_timeout(self, cleanup_timeout: float) -> Self:
        """Return a copy with this `cleanup_timeout`."""
        return replace(self, cleanup_timeout=cleanup_timeout)

    def with_report_interval(self, report_interval: float) -> Self:
        """Return a copy with this `report_interval`."""
        return replace(self, report_interval=report_interval)

    def with_shared_state(self, value: object) -> Self:
        """Return a copy with one more value in `shared_state`."""
        return replace(self, shared_state=(*self.shared_state, value))

    def with_http(self, http: HttpConfig) -> Self:
        """Return a copy with these limits and timeouts."""
        return replace(self, http=http)

    # -- listeners -----------------------------------------------------------------------------

    def bind_tcp(self, address: str | int) -> Self:
        """Return a copy that also listens on ``"host:port"``, or a port on all interfaces.

        Raises:
          ConfigError: It is no address.
        """
        return self._bind(parse_bind(address))

    def bind_unix(self, path: str, *, mode: int | None = None) -> Self:
        """Return a copy that also listens on a unix socket, with these permission bits."""
        return self._bind(UnixBind(path, mode))

    def bind_tls(self, address: str | int, ssl_context: ssl.SSLContext) -> Self:
        """Return a copy that also listens on ``"host:port"`` with TLS.

        Raises:
          ConfigError: It is no address.
        """
        inner = parse_bind(address)
        assert not isinstance(inner, TlsBind), "no text means TLS"
        return self._bind(TlsBind(inner, ssl_context))

    def bind_fd(self, fd: int) -> Self:
        """Return a copy that also accepts from this inherited listening socket."""
        return self._bind(FdBind(fd))

    def bind_env(self) -> Self:
        """Return a copy that also accepts from the sockets in ``LISTEN_FDS`` or ``LISTEN_FD``."""
        return self._bind(EnvBind())

    def bind_listener(
        self, listener: trio.abc.Listener[trio.abc.Stream] | socket.socket, *, name: str = ""
    ) -> Self:
        """Return a copy that also accepts from this listener; it is closed with the server."""
        return self._bind(PreboundBind(listener, name))

    def _bind(self, bind: Bind) -> Self:
        return replace(self, listeners=(*self.listeners, bind))

    # -- what is derived -----------------------------------------------------------------------

    def binds(self) -> tuple[Bind, ...]:
        """What to listen on, the environment asked where the configuration is silent.

        Raises:
          ConfigError: The environment says something that makes no sense.
        """
        return self.listeners or (default_bind(self.host, self.port),)

    def connection_limit(self) -> int:
        """`max_connections`, or what the process's limit of open files allows now."""
        if self.max_connections is not None:
            return self.max_connections
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return _MAX_CONNECTIONS
        return max(1, int(soft * _SHARE_OF_DESCRIPTORS))

    # -- serving -------------------------------------------------------------------------------

    def server(self, handler: HandlerLike) -> Server:
        """Return a server; nothing happens until it serves.

        Raises:
          TypeError: It is no handler.
        """
        return Server(handler, self)

    def run(self, handler: HandlerLike) -> DrainReport:
        """Serve under ``trio.run`` until the drain is over; return how it went.

        Raises:
          Exception: What ended the server, bare.
        """
        return run(self.server(handler))

    def spawn(self, handler: HandlerLike) -> ServerHandle:
        """Serve in a daemon thread; return once it is ready.

        Raises:
          MisuseError: Called inside a trio run: use ``nursery.start(server.serve)``.
          Exception: What kept the server from becoming ready, bare.
        """
        return spawn(self.server(handler))

    def serving(self, handler: HandlerLike) -> AbstractAsyncContextManager[ServerHandle]:
        """Serve while an ``async with`` block runs; leaving it drains, by an exception cancels.

        Raises:
          Exception: What the block, or else the server, raised; bare.

        Cancellation:
          Abrupt: handlers are cancelled and lifespans left under the cancellation.
        """
        return serving(self.server(handler))


def config() -> Config:
    """Return the default configuration, to chain ``with_...`` onto."""
    return Config()


def _check_type(field: str, value: object, kind: type | object) -> None:
    if not isinstance(value, kind):  # type: ignore[arg-type]  # unions are fine at run time
        expected = getattr(kind, "__name__", None) or str(kind)
        raise ConfigError(f"Config.{field} must be {expected}, not {value!r}")
