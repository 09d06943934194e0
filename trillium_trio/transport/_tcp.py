"""The fast transport: a non-blocking socket; trio only waits for it."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, BinaryIO, ClassVar, final

import trio
from anyio.to_thread import run_sync
from trio.lowlevel import notify_closing, wait_readable, wait_writable

from ..exceptions import ClientDisconnected
from ._poller import Registration, discard_notice
from ._transport import Transport, Woken, has_hung_up, is_gone

if TYPE_CHECKING:
    from ._listener import Listener
    from ._poller import Poller

# SO_LINGER on, with 0 seconds: close(2) drops unsent bytes and sends RST.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@final
class SocketTransport(Transport):
    """A connected TCP or unix stream socket, without `trio.SocketStream` in between.

    To receive, it waits first, then reads: a server almost always has to wait for the next request,
    and a failed attempt costs a system call. To send, it tries at once, and waits only if that
    would block.

    It waits to receive with trio, or at a poller that says when (see `Poller`); to send, with trio.

    The wake is `trio.lowlevel.notify_closing`: it wakes both waits of a descriptor with
    `trio.ClosedResourceError`, cancels nothing, and the socket can be waited for again. At the
    poller the same is done to whoever waits there.
    """

    __slots__ = ("_is_closed", "_is_receiving", "_poller", "_registration", "_sock")

    sends_files: ClassVar[bool] = hasattr(os, "sendfile")

    def __init__(self, sock: socket.socket, listener: Listener, address: object = None) -> None:
        """Take ownership of a connected socket.

        Args:
          sock: Made non-blocking here; closed by `aclose`.
          listener: The facts of the listener.
          address: The peer's address, as ``accept`` gave it. Default: none is shown.
        """
        super().__init__(listener, address)
        sock.setblocking(False)
        self._sock = sock
        self._is_closed = False
        # trio sees two receives only if both wait with it.
        self._is_receiving = False
        self._poller: Poller | None = None
        self._registration: Registration | None = None

    def join(self, poller: Poller) -> None:
        self._poller = poller

    async def receive_some(self, max_bytes: int = 65536) -> bytes:
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving from this transport")
        poller = self._poller
        self._is_receiving = True
        try:
            # The hot path of every request: one wait, one recv, no call in between.
            while self.wake_reason is None and not self._is_closed:
                try:
                    if poller is not None:
                        if poller.direct <= 0:
                            return await self._registered(poller).receive(max_bytes)
                        poller.direct -= 1
                    await wait_readable(self._sock)
                    return self._sock.recv(max_bytes)
                except trio.ClosedResourceError as exc:
                    raise self._end_of_wait() from exc
                except BlockingIOError:
                    # Woken for nothing, which trio and the kernel both may do: wait again.
                    discard_notice(self._sock)
                except OSError as exc:
                    self._translate(exc)
                    raise
            raise self._end_of_wait()
        finally:
            self._is_receiving = False

    def receive_nowait(self, max_bytes: int = 65536) -> bytes | None:
        try:
            return self._sock.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError as exc:
            self._translate(exc)
            raise

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            self._translate(exc)
            raise

    async def send_some(self, data: bytes | bytearray | memoryview) -> int:
        while self.wake_reason is None and not self._is_closed:
            try:
                await wait_writable(self._sock)
            except trio.ClosedResourceError as exc:
                raise self._end_of_wait() from exc
            sent = self.send_nowait(data)
            if sent:
                return sent
        raise self._end_of_wait()

    async def send_file(self, file: BinaryIO, offset: int, count: int) -> int:
        while self.wake_reason is None and not self._is_closed:
            try:
                await wait_writable(self._sock)
                # In a thread, because it waits for the disk; it never waits for the peer.
                return await run_sync(
                    os.sendfile, self._sock.fileno(), file.fileno(), offset, count
                )
            except trio.ClosedResourceError as exc:
                raise self._end_of_wait() from exc
            except BlockingIOError:
                pass  # As in receive_some.
            except OSError as exc:
                if exc.errno == errno.EINVAL:
                    return 0  # Some file systems lack what this needs.
                self._translate(exc)
                raise
        raise self._end_of_wait()

    async def send_eof(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as exc:
            self._translate(exc)
            raise

    def abort(self) -> None:
        if not self._is_closed:
            try:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            except OSError:
                pass  # Some systems refuse options on a socket that was reset: it is gone anyway.
            self._close()

    async def aclose(self) -> None:
        self._close()

    def is_disconnected_now(self) -> bool:
        return self._is_closed or has_hung_up(self._sock.fileno())

    def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            # First: a wait on a descriptor that is closed under it would never end, and the next
            # socket gets its number.
            self._interrupt()
            if self._registration is not None:
                self._registration.end()
            self._sock.close()

    def _end_waits(self) -> None:
        if not self._is_closed:
            self._interrupt()

    def _interrupt(self) -> None:
        if self._registration is not None:
            self._registration.interrupt(trio.ClosedResourceError())
        notify_closing(self._sock)

    def _registered(self, poller: Poller) -> Registration:
        if self._registration is None:
            self._registration = Registration(poller, self._sock)
        return self._registration

    def _end_of_wait(self) -> ClientDisconnected | Woken:
        """Return the exception of a wait that a close or a wake has ended or prevented."""
        if self._is_closed:
            return ClientDisconnected("the transport is closed")
        return Woken(self._woken_by)

    def _translate(self, exc: OSError) -> None:
        """Raise `ClientDisconnected` if the peer is gone, or if we closed (EBADF)."""
        if self._is_closed or is_gone(exc):
            raise ClientDisconnected(exc.strerror) from exc
