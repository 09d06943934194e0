"""The contract of a transport: a byte stream, its facts, and the wake."""

from __future__ import annotations

import errno
import select
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, BinaryIO, ClassVar, final

from .._util import byte_view
from ._listener import host_and_port

if TYPE_CHECKING:
    import ssl

    from ._listener import Listener
    from ._poller import Poller

# The peer, or the route to it, is gone. ENOTCONN is the error of shutdown(2) after a reset.
_GONE = frozenset(
    {
        errno.ECONNRESET,
        errno.EPIPE,
        errno.ECONNABORTED,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
    }
)


@final
class Woken(Exception):
    """`Transport.wake` has ended a wait for the peer. Control flow, not an error.

    Attributes:
      reason: The argument of `Transport.wake`.
    """

    def __init__(self, reason: object) -> None:
        super().__init__(reason)
        self.reason = reason


class Transport(ABC):
    """A byte stream to one peer.

    One task owns a transport and closes it. One task may receive while another sends; two
    simultaneous receives, or sends, are an error (`trio.BusyResourceError`). Call all methods in
    the thread of the trio run that accepted it.

    Methods raise `ClientDisconnected`, with the original error as ``__cause__``, when the peer has
    disconnected or the transport was closed; any other `OSError` passes through.

    Attributes:
      listener: The facts of the listener that accepted it.
      expects_proxy: A header of the PROXY protocol has to come first, and was not read yet.
      wake_reason: The reason of the last `wake`, until `clear_wake`. Waits raise while it is set.
    """

    __slots__ = (
        "_address",
        "_server_address",
        "_woken_by",
        "expects_proxy",
        "listener",
        "wake_reason",
    )

    sends_at_once: ClassVar[bool] = True
    """Whether `send_nowait` is of use: it takes what there is room for."""

    sends_files: ClassVar[bool] = False
    """Whether `send_file` may be called: the bytes are sent unchanged."""

    def __init__(self, listener: Listener, address: object = None) -> None:
        """Store the facts.

        Args:
          listener: The facts of the listener.
          address: The peer's address, as ``accept`` of a socket gave it.
        """
        self.listener: Listener = listener
        self.wake_reason: object | None = None
        self._woken_by: object | None = None
        self._address = address
        self._server_address: tuple[str, int] | None = None
        self.expects_proxy: bool = listener.proxy_protocol is not None

    @property
    def peer(self) -> str:
        """The peer for log lines: ``127.0.0.1:5555``, ``[::1]:5555``, or the listener's kind."""
        match self._address:
            case (str(host), int(port), *_):
                return host_and_port(unmapped(host), port)
            case _:
                return self.listener.kind

    @property
    def peer_ip(self) -> str | None:
        """The peer's IP address; an IPv4 address mapped into IPv6 is shown as IPv4."""
        address = self._address
        if type(address) is tuple and len(address) == 2 and type(address[0]) is str:
            return address[0]  # of IPv4, which is the usual case
        match address:
            case (str(host), int(), *_):
                return unmapped(host)
            case _:
                return None

    @property
    def peer_address(self) -> tuple[str, int] | None:
        """The peer's IP address, as in `peer_ip`, and its port; None on a unix socket."""
        address = self._address
        if type(address) is tuple and len(address) == 2 and type(address[0]) is str:
            return address  # of IPv4, which is the usual case
        match address:
            case (str(host), int(port), *_):
                return unmapped(host), port
            case _:
                return None

    @property
    def server_address(self) -> tuple[str, int] | str:
        """The address that the client has connected to: the listener's, unless a proxy names it."""
        return self._server_address or self.listener.address

    def introduce(
        self, peer_address: tuple[str, int] | None, server_address: tuple[str, int] | None
    ) -> None:
        """Take the addresses that a proxy has named (PROXY protocol); None changes nothing."""
        self.expects_proxy = False
        if peer_address is not None:
            self._address = peer_address
        self._server_address = server_address

    @property
    def is_secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.listener.is_tls

    @property
    def alpn(self) -> str | None:
        """The protocol that TLS negotiated (RFC 7301), once the handshake is done."""
        return None

    @property
    def tls(self) -> ssl.SSLObject | ssl.SSLSocket | None:
        """The TLS object of an encrypted connection, for its facts, once the handshake is done."""
        return None

    @property
    def is_silent(self) -> bool:
        """Whether nothing is known to have been received yet. Only TLS needs this."""
        return False

    def join(self, poller: Poller) -> None:  # noqa: B027 (nothing is right for most)
        """Wait at a poller from now on, when it is worth it. Only sockets do."""

    async def handshake(self) -> None:  # noqa: B027 (nothing is right for most)
        """Do what must happen before the first byte: the TLS handshake; nothing on plaintext.

        Raises:
          HandshakeError: It failed.
          ClientDisconnected: The peer disconnected, or the handshake of a wrapped stream failed.
          Woken: `wake` was called, or had been. Over a socket, a later call continues it.

        Cancellation:
          Leaves a transport that can only be aborted.
        """

    @abstractmethod
    async def receive_some(self, max_bytes: int = 65536) -> bytes:
        """Wait for bytes and return them; ``b""`` is the end of the input.

        The end of the input may be a half-close: sending may still work.

        Args:
          max_bytes: Return at most this many bytes.

        Raises:
          Woken: `wake` was called, or had been. Nothing was received.

        Cancellation:
          Nothing is lost.
        """

    @abstractmethod
    def receive_nowait(self, max_bytes: int = 65536) -> bytes | None:
        """Return bytes that are available now, ``b""`` at the end of the input, else ``None``.

        A transport that cannot know without waiting also returns ``None``.
        """

    @abstractmethod
    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        """Send what fits without waiting; return how many bytes were accepted, perhaps 0.

        Counts bytes, even of a view of wider items. TLS may already have encrypted part of what was
        not accepted: the next send must begin with the first byte that was not accepted.
        """

    @abstractmethod
    async def send_some(self, data: bytes | bytearray | memoryview) -> int:
        """Wait until the peer accepts some of ``data``; return how many bytes, at least 1.

        Args:
          data: The bytes to send; not empty.

        Raises:
          Woken: `wake` was called, or had been. A socket has accepted nothing. TLS or a wrapped
            stream may have accepted a part, so it can only be closed.

        Cancellation:
          As for `Woken`.
        """

    async def send_file(self, file: BinaryIO, offset: int, count: int) -> int:
        """Wait until the peer accepts some of a file, without copying it through user space.

        Only if `sends_files`.

        Args:
          file: A regular file.
          offset: Where to begin, in bytes.
          count: Send at most this many bytes.

        Returns:
          How many bytes were accepted; 0 if the file has none at ``offset``, or has to be read.

        Raises:
          Woken: `wake` was called, or had been. Nothing was sent.

        Cancellation:
          A piece that is being read is sent first.
        """
        raise NotImplementedError  # not abstract: most kinds cannot, see `sends_files`

    @final
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all data, however long the peer takes.

        Raises:
          Woken: As for `send_some`.

        Cancellation:
          A part may have been sent, so the transport can only be closed.
        """
        view = byte_view(data)
        while view:
            view = view[await self.send_some(view) :]

    @abstractmethod
    async def send_eof(self) -> None:
        """Half-close: send EOF. Receiving continues.

        Does nothing on a stream that cannot be half-closed. With TLS it sends ``close_notify``
        (RFC 8446, 6.1) before the end of the stream below; bytes that the peer still sends are
        received and discarded: `receive_some` waits for their end.

        Raises:
          Woken: `wake` was called, or had been, and this had to wait.

        Cancellation:
          EOF may or may not be sent.
        """

    @abstractmethod
    def abort(self) -> None:
        """Close so that the peer sees a reset, if the transport's kind can. Idempotent.

        Current waits raise `ClientDisconnected`. `aclose` must still be called.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close. Idempotent; a disconnected peer is not an error.

        Only for the task that owns the transport. Current waits raise `ClientDisconnected`.

        Cancellation:
          The transport is closed in any case. Sockets take no checkpoint here.
        """

    @abstractmethod
    def is_disconnected_now(self) -> bool:
        """Whether a reset or hang-up has been seen. The end of the input alone does not count."""

    @final
    def wake(self, reason: object) -> None:
        """End current waits, and every later one until `clear_wake`, with ``Woken(reason)``.

        Level-triggered: a wait that starts later raises too, even if there are bytes to read.
        Nothing is cancelled and the transport stays usable. A later reason replaces this one.
        """
        assert reason is not None, "None means that there was no wake"
        self.wake_reason = self._woken_by = reason
        self._end_waits()

    def clear_wake(self) -> None:
        """Clear the wake, so that new waits wait. One that was already woken still raises."""
        self.wake_reason = None

    @abstractmethod
    def _end_waits(self) -> None:
        """Make current waits raise `ClientDisconnected` if closed, and `Woken` otherwise."""

    def __repr__(self) -> str:
        woken = "" if self.wake_reason is None else f" woken by {self.wake_reason!r}"
        return f"<{type(self).__name__} {self.peer} on {self.listener.name}{woken}>"


def is_gone(exc: OSError) -> bool:
    """Whether the error means that the peer, or the route to it, is gone."""
    return exc.errno in _GONE


def has_hung_up(fd: int) -> bool:
    """Whether a reset, or the end of both directions, was seen on this descriptor.

    poll(2) always reports these two, reads nothing, and does not clear the error as SO_ERROR would.
    The peer's FIN alone does not count: it would be POLLRDHUP.
    """
    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(0))


def unmapped(host: str) -> str:
    """Show an IPv4 address that was mapped into IPv6 as IPv4 (RFC 4291, 2.5.5.2)."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host
