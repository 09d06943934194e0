"""A listener on a socket: TCP, unix, inherited or prebound."""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING, Protocol, final

import trio
from trio.lowlevel import notify_closing, wait_readable

from .._log import SafeLogger
from ..transport import SocketTransport
from ._balance import BALANCE_SECONDS
from ._bound import BoundListener
from ._errors import is_of_one_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..transport import Listener, Transport

logger = SafeLogger("trillium_trio.listeners")

# A drain must end even if clients keep connecting. The kernel's queue holds the backlog, and a few
# connections join while it is emptied; 100 ms is time for about 5,000 accepts, more than any queue
# we request.
_EXTRA_ACCEPTS = 128
_MAX_DRAIN_SECONDS = 0.1
# `tcpi_unacked` of a listening socket in TCP_INFO: eight bytes, then numbers of four.
_UNACKED = slice(24, 28)


class Wrap(Protocol):
    """Makes a transport of an accepted socket, for example a TLS one."""

    def __call__(self, sock: socket.socket, listener: Listener, address: object, /) -> Transport:
        """Take ownership of ``sock``."""


@final
class BoundSocket(BoundListener):
    """A listening stream socket."""

    __slots__ = ("_backlog", "_nodelay", "_on_close", "_sock", "_wrap")

    def __init__(
        self,
        sock: socket.socket,
        facts: Listener,
        *,
        is_owned: bool,
        backlog: int,
        nodelay: bool,
        wrap: Wrap = SocketTransport,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        """Take ownership of a listening socket.

        Args:
          sock: Made non-blocking here.
          facts: Its address, kind and name.
          is_owned: See `BoundListener`.
          backlog: How many connections its queue holds.
          nodelay: Set TCP_NODELAY on accepted sockets: a response in several writes would
            otherwise wait for the peer's delayed ACK, 40 ms.
          wrap: Makes the transports.
          on_close: Called once, before the queue is emptied and the socket closed.
        """
        super().__init__(facts, is_owned=is_owned)
        sock.setblocking(False)
        self._sock = sock
        self._backlog = backlog
        self._nodelay = nodelay and facts.kind == "tcp"
        self._wrap = wrap
        self._on_close = on_close

    async def accept(self) -> Transport:
        while not self.is_closing:
            await wait_readable(self._sock)
            if self.share is not None and self.share.has_to_wait():
                await trio.sleep(BALANCE_SECONDS)
                continue  # unless another process has taken it
            # Also None if the listener was closed after we were woken and before we ran: its
            # descriptor may have been reused by then.
            transport = self.accept_nowait()
            if transport is not None:
                return transport
        raise trio.ClosedResourceError(f"{self.facts.name} is closing")

    def accept_nowait(self) -> Transport | None:
        if self.is_closing:
            return None
        try:
            sock, address = self._sock.accept()
        except BlockingIOError:
            return None
        return self._transport(sock, address)

    def queued(self) -> int | None:
        if self.is_closing or self.facts.kind != "tcp" or sys.platform != "linux":
            return None
        try:
            info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED.stop)
        except OSError:
            return None  # another thread has closed it meanwhile
        return int.from_bytes(info[_UNACKED], sys.byteorder)

    def drain_and_close(self) -> list[Transport]:
        if not self.is_owned:
            self.close()
        if self.is_closing:
            return []
        self._begin_closing()
        # Close right after the last accept, and make the transports later: a client that is queued
        # in between is reset.
        accepted = self._empty_queue()
        self._sock.close()
        return [self._transport(sock, address) for sock, address in accepted]

    def close(self) -> None:
        if not self.is_closing:
            self._begin_closing()
            # Never shutdown(): it would also end the listener for other processes that share it.
            self._sock.close()

    def _begin_closing(self) -> None:
        self.is_closing = True
        if self.share is not None:
            self.share.close()
        # Remove a socket file first, so that later clients are refused instead of queued.
        if self._on_close is not None:
            self._on_close()
        notify_closing(self._sock)

    def _empty_queue(self) -> list[tuple[socket.socket, object]]:
        accepted: list[tuple[socket.socket, object]] = []
        # Real time, not trio's clock: this limits a step in which no task runs.
        give_up_at = time.monotonic() + _MAX_DRAIN_SECONDS
        for _ in range(self._backlog + _EXTRA_ACCEPTS):
            try:
                accepted.append(self._sock.accept())
            except BlockingIOError:
                break
            except OSError as exc:
                if is_of_one_connection(exc):
                    continue
                logger.warning("%s: connections left in the queue: %s", self.facts.name, exc)
                break
            if time.monotonic() > give_up_at:
                break
        return accepted

    def _transport(self, sock: socket.socket, address: object) -> Transport:
        if self._nodelay:
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                pass  # Some systems refuse options on a socket that was reset in the queue.
        return self._wrap(sock, self.facts, address)
