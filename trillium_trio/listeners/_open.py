"""From bind specifications to bound listeners: all of them, or none."""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

import trio

from ..exceptions import ConfigError
from ..transport import Listener, SocketTransport
from ._bind import EnvBind, FdBind, PreboundBind, ProxyBind, TcpBind, TlsBind, UnixBind
from ._inherited import adopt_fd, check_listening, facts_of, inherited_fds
from ._prebound import BoundStream
from ._socket import BoundSocket
from ._tcp import bind_tcp
from ._tls import tls_wrap
from ._unix import bind_unix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..http import Networks
    from ._bind import AddressBind, Bind
    from ._bound import BoundListener

# What the kernel may queue while we are busy, and what a drain then answers. Linux limits it to
# net.core.somaxconn, 4096 by default.
DEFAULT_BACKLOG = 1024


async def open_listeners(
    binds: Iterable[Bind], *, backlog: int = DEFAULT_BACKLOG, nodelay: bool = True
) -> list[BoundListener]:
    """Open listeners in the given order; several for a name with several addresses.

    Takes ownership of inherited and prebound listeners, even if it fails.

    Args:
      binds: Where to listen.
      backlog: How many connections the kernel may queue, per listener that we create.
      nodelay: Whether TCP connections get TCP_NODELAY.

    Raises:
      BindError: One could not be opened. Those already opened are closed.
      ConfigError: A specification is invalid here; likewise.

    Cancellation:
      Listeners already opened are closed.
    """
    opening = _Opening(backlog, nodelay)
    try:
        for bind in binds:
            await opening.open(bind)
    except BaseException:
        for listener in opening.opened:
            listener.close()
        raise
    return opening.opened


class _Opening:
    """The listeners opened so far, and the settings for them."""

    def __init__(self, backlog: int, nodelay: bool) -> None:
        self.opened: list[BoundListener] = []
        self._backlog = backlog
        self._nodelay = nodelay

    async def open(self, bind: Bind, tls: ssl.SSLContext | None = None) -> None:
        match bind:
            case TcpBind(host, port):
                for sock in await bind_tcp(host, port, backlog=self._backlog):
                    self._add(sock, tls, is_owned=True)
            case UnixBind(path, mode):
                sock, file = bind_unix(path, mode, backlog=self._backlog)
                facts = Listener(kind="unix", address=path, is_tls=tls is not None)
                self._add(sock, tls, is_owned=True, facts=facts, on_close=file.remove)
            case FdBind(fd, name):
                self._add(adopt_fd(fd), tls, name=name)
            case EnvBind():
                for fd, name in inherited_fds():
                    self._add(adopt_fd(fd), tls, name=name)
            case PreboundBind(listener, name, is_owned, share):
                self._add_prebound(listener, tls, name, is_owned=is_owned)
                self.opened[-1].share = share
            case ProxyBind(inner, trust):
                await self._open_for_proxies(inner, tls, trust)
            case TlsBind(inner, ssl_context):
                # Renegotiation has been attacked (CVE-2009-3555), and HTTP does not need it.
                ssl_context.options |= ssl.OP_NO_RENEGOTIATION
                await self.open(inner, ssl_context)
            case _:
                assert_never(bind)

    async def _open_for_proxies(
        self, inner: AddressBind, tls: ssl.SSLContext | None, trust: Networks
    ) -> None:
        if isinstance(inner, PreboundBind) and isinstance(inner.listener, trio.SSLListener):
            raise ConfigError(f"{inner.listener!r} has TLS, which a proxy's header has to precede")
        known = len(self.opened)
        await self.open(inner, tls)
        for listener in self.opened[known:]:
            listener.facts = replace(listener.facts, proxy_protocol=trust)

    def _add_prebound(
        self,
        listener: trio.abc.Listener[trio.abc.Stream] | socket.socket,
        tls: ssl.SSLContext | None,
        name: str,
        *,
        is_owned: bool,
    ) -> None:
        if isinstance(listener, socket.socket):
            check_listening(listener, name or "a prebound socket")
            self._add(listener, tls, name=name, is_owned=is_owned)
        elif isinstance(listener, trio.SocketListener):
            # Duplicate its descriptor, so that connections use `SocketTransport`. The original can
            # still be asked for its address until we close both.
            sock = socket.socket(fileno=os.dup(listener.socket.fileno()))
            self._add(sock, tls, name=name, on_close=listener.socket.close)
        elif tls is not None and isinstance(listener, trio.SSLListener):
            raise ConfigError(f"{listener!r} already has TLS")
        else:
            self.opened.append(BoundStream(listener, name, tls))

    def _add(
        self,
        sock: socket.socket,
        tls: ssl.SSLContext | None,
        *,
        is_owned: bool = False,
        name: str = "",
        facts: Listener | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.opened.append(
            BoundSocket(
                sock,
                facts or facts_of(sock, is_tls=tls is not None, name=name),
                is_owned=is_owned,
                backlog=self._backlog,
                nodelay=self._nodelay,
                wrap=SocketTransport if tls is None else tls_wrap(tls),
                on_close=on_close,
            )
        )
