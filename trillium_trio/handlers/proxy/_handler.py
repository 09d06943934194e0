"""The handler: it passes requests on to upstreams."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, final

from ..._util import check_count, check_number
from ...conn import Handler
from ...exceptions import ConfigError, NotImplementedByServer
from ._health import check_for_ever
from ._passage import Passage, Settings
from ._pool import Dialler, Pool, require_httpcore2
from ._target import Target
from ._tunnel import Tunnel
from ._upstream import Balancer, Upstream

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    import trio

    from ...conn import Conn, Info, Upgrade
    from ._fields import ForwardedKind
    from ._upstream import Balance

__all__ = ["Proxy"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH = re.compile(r"/[!-~]*")
_BALANCES = ("round_robin", "least_busy")
_FORWARDED = ("x-forwarded", "forwarded", "none")


@final
class Proxy(Handler):
    """Passes each request on to an upstream, and its answer back: a reverse proxy.

    Bodies are streamed both ways, each piece when the other side has taken the one before. Fields
    that are about one connection stay behind (RFC 9110, 7.6.1). Below a mount, the upstream sees
    the rest of the path. An upstream that cannot be reached is left out for a while, and the next
    one is asked; only what is safe is sent again (RFC 9110, 9.2.2). It halts, whatever the answer.

    If nothing can be passed on the client gets a 502, a 503 if no connection was free, or a 504 if
    the upstream was too slow, and the log gets the reason. A response that breaks off is severed,
    so that the client notices.

    HTTP/1.1 to the upstream. Needs the extra ``proxy``.

    Args:
      upstreams: One URL or several: ``http://host:port/base``, or ``https``. Their path is put in
        front of that of each request, which cannot lead out of it: a ``..`` is a 400.
      balance: Of several upstreams: ``"round_robin"``, each in turn, or ``"least_busy"``, the one
        with the fewest requests of this proxy. Default: ``"round_robin"``.
      preserve_host: Whether the upstream sees the Host that the client has asked for, rather than
        its own. Default: False.
      strip_prefix: Whether the prefix of a mount is left out. It is told as X-Forwarded-Prefix.
        Default: True.
      forwarded: What tells the upstream about the client: ``"x-forwarded"``: X-Forwarded-For,
        X-Forwarded-Proto and X-Forwarded-Host; ``"forwarded"``: Forwarded (RFC 7239); or
        ``"none"``. What a client writes there never arrives, unless a `Forwarded` in front trusts
        it. Default: ``"x-forwarded"``.
      via: Our name in Via (RFC 9110, 7.6.3); empty: no Via. Default: ``"trillium-trio"``.
      upgrades: Protocols that may be switched to; others are not passed on. Default: WebSocket.
        Prevents: ``h2c`` and its like, whose requests no handler in front would see.
      health_path: Checked at each upstream; one that answers 400 or more is left out until it
        answers otherwise. It is not below the upstream's path. Default: no checks.
      health_interval: Between two checks, and for one to be answered. Default: 5. Unit: seconds.
      leave_out: How long an upstream that cannot be reached is not asked. If all are left out they
        are asked all the same. Default: 5. Unit: seconds. Prevents: requests that wait for an
        upstream that is gone.
      max_connections: To each upstream, upgraded ones included. Default: 100. Prevents: an upstream
        with more requests at once than it can bear.
      queue_timeout: For a connection to be free; beyond it 503. Default: 5. Unit: seconds.
        Prevents: clients that wait while an upstream is stuck.
      connect_timeout: For a connection and its TLS handshake; beyond it the next upstream, or 504.
        Default: 5. Unit: seconds. Prevents: requests that wait for a machine that is off.
      answer_timeout: From the end of the request to the head of the answer; beyond it 504.
        Default: 60. Unit: seconds. Prevents: requests held by an upstream that is stuck.
      piece_timeout: Between two pieces of the answer, and for the upstream to take a piece of the
        request. Default: 60. Unit: seconds. Prevents: the same.
      upgrade_timeout: Without a byte either way on an upgraded connection; closes. Default: 300.
        Unit: seconds. Prevents: connections whose ends are gone.
      keep_alive: How long an idle connection to an upstream is kept; 0: not at all. Default: 4,
        which is less than the 5 of many servers. Unit: seconds. Prevents: requests sent just as the
        upstream closes.
      max_body_bytes: Of a request; beyond it 413. Default: `HttpConfig.max_body_bytes`.
        Unit: bytes.
      tls: For upstreams with https. Default: the authorities that the system trusts.
      connect: Opens the byte stream to an upstream: an async function of host and port, such as one
        that opens a unix socket. Default: `trio.open_tcp_stream`.

    Raises:
      ConfigError: A setting is wrong; the message names it.
      ImportError: The extra is missing.
    """

    def __init__(
        self,
        upstreams: str | Iterable[str],
        *,
        balance: Balance = "round_robin",
        preserve_host: bool = False,
        strip_prefix: bool = True,
        forwarded: ForwardedKind = "x-forwarded",
        via: str = "trillium-trio",
        upgrades: Iterable[str] = ("websocket",),
        health_path: str | None = None,
        health_interval: float = 5.0,
        leave_out: float = 5.0,
        max_connections: int = 100,
        queue_timeout: float = 5.0,
        connect_timeout: float = 5.0,
        answer_timeout: float = 60.0,
        piece_timeout: float = 60.0,
        upgrade_timeout: float = 300.0,
        keep_alive: float = 4.0,
        max_body_bytes: int | None = None,
        tls: ssl.SSLContext | None = None,
        connect: Callable[[str, int], Awaitable[trio.abc.Stream]] | None = None,
    ) -> None:
        require_httpcore2()
        for name, value in (
            ("leave_out", leave_out),
            ("queue_timeout", queue_timeout),
            ("connect_timeout", connect_timeout),
            ("answer_timeout", answer_timeout),
            ("piece_timeout", piece_timeout),
            ("upgrade_timeout", upgrade_timeout),
            ("keep_alive", keep_alive),
        ):
            check_number(f"Proxy.{name}", value, least=0.0)
        check_number("Proxy.health_interval", health_interval, least=0.01)
        check_count("Proxy.max_connections", max_connections, least=1)
        if max_body_bytes is not None:
            check_count("Proxy.max_body_bytes", max_body_bytes, least=0)
        if health_path is not None and _PATH.fullmatch(health_path) is None:
            raise ConfigError(f"Proxy.health_path is the path of a URL, not {health_path!r}")
        if balance not in _BALANCES:
            raise ConfigError(f"Proxy.balance must be one of {_BALANCES}, not {balance!r}")
        if forwarded not in _FORWARDED:
            raise ConfigError(f"Proxy.forwarded must be one of {_FORWARDED}, not {forwarded!r}")
        if via and _TOKEN.fullmatch(via) is None:
            raise ConfigError(f"Proxy.via must be a token (RFC 9110, 5.6.2), not {via!r}")
        urls = (upstreams,) if isinstance(upstreams, str) else tuple(upstreams)
        if not urls:
            raise ConfigError("Proxy needs at least one upstream")
        made = []
        for target in map(Target.parse, urls):
            dialler = Dialler(
                target,
                connect=connect,
                tls=tls,
                timeout=connect_timeout,
                piece_timeout=piece_timeout,
            )
            pool = Pool(
                dialler,
                max_connections=max_connections,
                queue_timeout=queue_timeout,
                idle_timeout=keep_alive,
            )
            made.append(Upstream(target, dialler=dialler, pool=pool))
        self._balancer = Balancer(made, balance)
        self._health_path = health_path
        self._health_interval = health_interval
        self._settings = Settings(
            preserve_host=preserve_host,
            strip_prefix=strip_prefix,
            forwarded=forwarded,
            via=via,
            upgrades=frozenset(each.lower() for each in upgrades),
            answer_timeout=answer_timeout,
            piece_timeout=piece_timeout,
            upgrade_timeout=upgrade_timeout,
            leave_out=leave_out,
            max_body_bytes=max_body_bytes,
        )

    async def init(self, info: Info) -> None:
        """Start the health checks.

        Cancellation:
          None: it does not wait.
        """
        if self._health_path is not None:
            for upstream in self._balancer.upstreams:
                info.start_service(
                    check_for_ever, upstream, self._health_path, self._health_interval
                )

    @asynccontextmanager
    async def lifespan(self, info: Info) -> AsyncIterator[None]:
        """Close the connections to the upstreams after the last request."""
        try:
            yield
        finally:
            for upstream in self._balancer.upstreams:
                await upstream.pool.aclose()

    async def run(self, conn: Conn) -> Conn:
        """Pass the request on, and make the answer the response.

        Raises:
          HttpError: No upstream has answered (502, 503, 504), or the request cannot be passed on.
          ClientDisconnected: The client has left.

        Cancellation:
          The connection to the upstream is closed.
        """
        if conn.method == "CONNECT":
            raise NotImplementedByServer("CONNECT, which a reverse proxy does not take")
        return await Passage(conn, self._settings, self).run(self._balancer.order())

    def has_upgrade(self, upgrade: Upgrade) -> bool:
        """Take the transports whose upstream has switched protocols."""
        tunnel = upgrade.state(Tunnel)
        return tunnel is not None and tunnel.owner is self

    async def upgrade(self, upgrade: Upgrade) -> None:
        """Copy both ways until both sides have ended.

        Cancellation:
          At the deadline of a drain. Both connections are closed.
        """
        tunnel = upgrade.state(Tunnel)
        assert tunnel is not None, "has_upgrade was asked first"
        await tunnel.run(upgrade)

    @property
    def name(self) -> str:
        """Proxy and the upstreams."""
        return f"Proxy({', '.join(str(each.target) for each in self._balancer.upstreams)})"
