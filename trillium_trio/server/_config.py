"""`Config`: a server's settings, with methods to change them and to serve with them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, final

from ..http import Networks
from ..listeners import EnvBind, FdBind, PreboundBind, ProxyBind, TlsBind, UnixBind, parse_bind
from ._run import run, serving, spawn
from ._server import Server
from ._settings import Settings

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterable
    from contextlib import AbstractAsyncContextManager

    import trio

    from ..conn import HandlerLike
    from ..http import HttpConfig
    from ..listeners import AddressBind, Bind
    from ..swansong import DrainReport, Swansong
    from ._handle import ServerHandle

__all__ = ["Config", "config"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Settings):
    """A server's settings. Frozen: each ``with_...`` and ``bind_...`` returns a new one.

    The fields are those of `Settings`.
    """

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
        """Return a copy that hooks signals, even where it would not by default."""
        return replace(self, signals=signals)

    def without_signals(self) -> Self:
        """Return a copy that leaves signals alone."""
        return replace(self, signals=False)

    def with_swansong(self, swansong: Swansong | None) -> Self:
        """Return a copy with this `swansong`, which several servers can share."""
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

    def with_drain_spread(self, drain_spread: float) -> Self:
        """Return a copy with this `drain_spread`."""
        return replace(self, drain_spread=drain_spread)

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

    def bind_tcp(self, address: str | int, *, proxy_protocol: Iterable[str] = ()) -> Self:
        """Return a copy that also listens on ``"host:port"``, or a port on all interfaces.

        Args:
          address: See `parse_bind`.
          proxy_protocol: The networks of the proxies whose connections begin with a header of the
            PROXY protocol, such as ``["10.0.0.0/8"]``; ``"unix"`` for a unix socket, ``"*"`` for
            every peer. Peers that are not in them are turned away. Default: there is no header.

        Raises:
          ConfigError: The address or a network is invalid.
        """
        return self._bind(parse_bind(address), proxy_protocol)

    def bind_unix(
        self,
        path: str | os.PathLike[str],
        *,
        mode: int | None = None,
        proxy_protocol: Iterable[str] = (),
    ) -> Self:
        """Return a copy that also listens on a unix socket, with these permission bits.

        Args:
          path: Of the socket's file.
          mode: Permission bits, such as ``0o660``. Default: as the umask says.
          proxy_protocol: As for `bind_tcp`.

        Raises:
          ConfigError: A network is invalid.
        """
        return self._bind(UnixBind(os.fspath(path), mode), proxy_protocol)

    def bind_tls(
        self,
        address: str | int,
        ssl_context: ssl.SSLContext,
        *,
        proxy_protocol: Iterable[str] = (),
    ) -> Self:
        """Return a copy that also listens on ``"host:port"`` with TLS.

        Args:
          address: As for `bind_tcp`.
          ssl_context: A server-side context. It is changed to refuse renegotiation.
          proxy_protocol: As for `bind_tcp`; the header precedes TLS.

        Raises:
          ConfigError: The address or a network is invalid.
        """
        return self._bind(parse_bind(address), proxy_protocol, ssl_context)

    def bind_fd(self, fd: int, *, proxy_protocol: Iterable[str] = ()) -> Self:
        """Return a copy that also accepts from this inherited listening socket.

        Args:
          fd: Its number.
          proxy_protocol: As for `bind_tcp`.

        Raises:
          ConfigError: A network is invalid.
        """
        return self._bind(FdBind(fd), proxy_protocol)

    def bind_env(self, *, proxy_protocol: Iterable[str] = ()) -> Self:
        """Return a copy that also accepts from the sockets in ``LISTEN_FDS`` or ``LISTEN_FD``.

        Args:
          proxy_protocol: As for `bind_tcp`.

        Raises:
          ConfigError: A network is invalid.
        """
        return self._bind(EnvBind(), proxy_protocol)

    def bind_listener(
        self,
        listener: trio.abc.Listener[trio.abc.Stream] | socket.socket,
        *,
        name: str = "",
        proxy_protocol: Iterable[str] = (),
    ) -> Self:
        """Return a copy that also accepts from this listener; the server closes it.

        Args:
          listener: A listening socket, or any trio listener.
          name: For the log. Default: its address.
          proxy_protocol: As for `bind_tcp`.

        Raises:
          ConfigError: A network is invalid.
        """
        return self._bind(PreboundBind(listener, name), proxy_protocol)

    def _bind(
        self,
        address: AddressBind,
        proxy_protocol: Iterable[str],
        ssl_context: ssl.SSLContext | None = None,
    ) -> Self:
        trust = Networks(proxy_protocol, setting="proxy_protocol")
        inner = ProxyBind(address, trust) if trust else address
        bind = inner if ssl_context is None else TlsBind(inner, ssl_context)
        return replace(self, listeners=(*self.listeners, bind))

    # -- serving -------------------------------------------------------------------------------

    def server(self, handler: HandlerLike) -> Server:
        """Return a server. It does nothing until `Server.serve`.

        Raises:
          TypeError: ``handler`` is not a handler.
        """
        return Server(handler, self)

    def run(self, handler: HandlerLike) -> DrainReport:
        """Serve under ``trio.run`` until the drain is over; return how it went.

        Raises:
          MisuseError: An asyncio loop is running in this thread: use `spawn`.
          Exception: What ended the server, not in a group.
        """
        return run(self.server(handler))

    def spawn(self, handler: HandlerLike) -> ServerHandle:
        """Serve in a daemon thread; return once it is ready.

        It blocks an asyncio loop of the calling thread until then;
        ``await asyncio.to_thread(config.spawn, handler)`` does not, and hooks no signals.

        Raises:
          MisuseError: Called inside a trio run: use ``nursery.start(server.serve)``.
          Exception: What kept the server from becoming ready, not in a group.
        """
        return spawn(self.server(handler))

    def serving(self, handler: HandlerLike) -> AbstractAsyncContextManager[ServerHandle]:
        """Serve while an ``async with`` block runs. Its end drains; an exception cancels.

        Raises:
          Exception: What the block, or else the server, raised; not in a group.

        Cancellation:
          Abrupt: handlers are cancelled, and lifespans exit under the cancellation.
        """
        return serving(self.server(handler))


def config() -> Config:
    """Return the default configuration; chain ``with_...`` calls to change it."""
    return Config()
