"""TLS over a transport: `ssl.SSLObject` makes the records, and the transport below moves them."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, final

import trio

from .._util import byte_view
from ..exceptions import ClientDisconnected
from ._closing import discard
from ._handshake_error import OPENING_BYTES, HandshakeError, is_http_request, reason_of
from ._transport import Transport, Woken

if TYPE_CHECKING:
    from ._poller import Poller

# The plaintext of one record (RFC 8446, 5.1), and room for what encryption adds to it. OpenSSL's
# buffers never shrink, so one record at a time passes through them: idle connections stay small.
_RECORD_BYTES = 16_384
_RECEIVE_BYTES = _RECORD_BYTES + 512
# How much is encrypted ahead of the peer, and sent in one system call.
_PIECE_BYTES = 65_536
# How much one call sends to a fast peer before other tasks run (CN-23).
_MAX_SEND_BYTES = 4 * _PIECE_BYTES
# How many records one call decrypts. A record may have as little as one byte (CN-23).
_MAX_RECORDS = 64
# How many bytes of TLS's own answers, such as refusals to renegotiate, wait for a peer to read.
_MAX_ANSWER_BYTES = 65_536


@final
class TlsTransport(Transport):
    """The server's side of TLS, over any other transport.

    .. code-block:: text

        receive_some <- SSLObject.read  <- _incoming <------------ below.receive_some
        send_some    -> SSLObject.write -> _outgoing -> _unsent -> below.send_some

    A record, once created, has to be sent in order, even if the call that created it is cancelled.
    So records wait in ``_unsent``, and the next send begins with them. Plaintext counts as accepted
    only when its records are sent: see `_settle`.

    The input ends with the peer's ``close_notify`` (RFC 8446, 6.1), and also if the peer closes
    without one, as many do: HTTP's framing shows whether a message is complete (RFC 9112, 9.8).
    Sending continues in both cases.

    Attributes:
      below: The transport of the records.
    """

    __slots__ = (
        "_alpn",
        "_failure",
        "_has_ended",
        "_incoming",
        "_is_cut",
        "_is_eof",
        "_is_ready",
        "_is_sending",
        "_opening",
        "_outgoing",
        "_owed",
        "_tls",
        "_unsent",
        "below",
    )

    def __init__(self, below: Transport, ssl_context: ssl.SSLContext) -> None:
        """Take ownership of a transport from which nothing has been received.

        Args:
          below: Closed by `aclose`.
          ssl_context: A server-side context. Its SNI callback may select another one.
        """
        super().__init__(below.listener, below._address)
        self.below: Transport = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = ssl_context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._alpn: str | None = None
        # The first bytes received, to identify them if they are not a handshake.
        self._opening = b""
        # From the end of the handshake until close_notify is sent, or something fails.
        self._is_ready = False
        self._has_ended = False
        self._is_eof = False
        # Whether the last read left part of a record.
        self._is_cut = False
        # Why nothing more can be sent or received.
        self._failure: str | None = None
        self._unsent: bytes | memoryview = b""
        # How many bytes of plaintext were encrypted and not yet returned as accepted.
        self._owed = 0
        # Whether a task waits in `_send_unsent`; no other may send before it.
        self._is_sending = False

    @property
    def is_secure(self) -> bool:
        return True

    @property
    def alpn(self) -> str | None:
        return self._alpn

    @property
    def tls(self) -> ssl.SSLObject:
        return self._tls

    @property
    def is_silent(self) -> bool:
        return not self._opening

    def join(self, poller: Poller) -> None:
        self.below.join(poller)

    # -- the handshake -------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Take the first bytes of the handshake, received already from `below`."""
        self._incoming.write(data)
        self._opening = data[:OPENING_BYTES]

    async def handshake(self) -> None:
        below = self.below
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
            except ssl.SSLError as error:
                raise await self._refuse_handshake(error) from error
            try:
                data = await below.receive_some(_RECEIVE_BYTES)
            except Woken:
                # Too late, unless something has just arrived.
                late = below.receive_nowait(_RECEIVE_BYTES)
                if late is None:
                    raise
                data = late
            if not data:
                raise ClientDisconnected("the client disconnected during the handshake")
            self._incoming.write(data)
            if len(self._opening) < OPENING_BYTES:
                self._opening = (self._opening + data)[:OPENING_BYTES]
        self._is_ready = True
        self._alpn = self._tls.selected_alpn_protocol()
        await self._flush()

    async def _refuse_handshake(self, error: ssl.SSLError) -> HandshakeError:
        """Send the alert that OpenSSL wrote; return the exception to raise."""
        is_http = is_http_request(self._opening)
        self._failure = "a plain HTTP request" if is_http else reason_of(error)
        if not is_http:
            try:
                await self._flush()
            except (ClientDisconnected, Woken):
                pass  # It has disconnected, or does not read.
        return HandshakeError(self._failure, self.below, is_http=is_http)

    # -- receiving -----------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int = 65536) -> bytes:
        if self._failure is not None:
            raise ClientDisconnected(self._failure)
        below = self.below
        if (self._is_eof or self._is_cut or self._incoming.pending) and not self._has_ended:
            # No need to wait, but a receive is a checkpoint, and a wake takes precedence.
            await trio.lowlevel.checkpoint()
            if self.wake_reason is not None:
                raise Woken(self.wake_reason)
            plain = self._decrypt(b"", max_bytes)
            if plain is not None:
                return plain
        while not self._has_ended:
            data = await below.receive_some(_RECEIVE_BYTES)
            if self._has_ended:
                break  # `send_eof` was called meanwhile.
            if not data:
                self._is_eof = True
            plain = self._decrypt(data, max_bytes)
            if plain is not None:
                return plain
        # OpenSSL decrypts nothing after its own close_notify; unread, it would cause a reset.
        await discard(below)
        return b""

    def receive_nowait(self, max_bytes: int = 65536) -> bytes | None:
        if self._has_ended:
            data = self.below.receive_nowait()
            return None if data else data
        if self._failure or self._is_eof or self._is_cut or self._incoming.pending:
            return self._decrypt(b"", max_bytes)
        data = self.below.receive_nowait(_RECEIVE_BYTES)
        if data is None:
            return None
        self._is_eof = not data
        return self._decrypt(data, max_bytes)

    # One function, because another call would cost every request.
    def _decrypt(self, data: bytes, max_bytes: int) -> bytes | None:  # noqa: C901
        """Decrypt received bytes; while they come in full pieces, receive and decrypt more.

        Returns:
          Plaintext; ``b""`` at the end of the input; None if no record is complete.
        """
        if self._failure is not None:
            raise ClientDisconnected(self._failure)
        incoming, read = self._incoming, self._tls.read
        incoming.write(data)
        self._is_cut = False
        pieces: list[bytes] = []
        try:
            while len(pieces) < _MAX_RECORDS:
                try:
                    piece = read(max_bytes)
                except ssl.SSLWantReadError:
                    if len(data) < _RECEIVE_BYTES:
                        break
                    data = self.below.receive_nowait(_RECEIVE_BYTES) or b""
                    incoming.write(data)
                    continue
                if not piece:
                    self._is_eof = True
                    break
                pieces.append(piece)
                max_bytes -= len(piece)
                if not max_bytes:
                    self._is_cut = True
                    break
                if not incoming.pending and len(data) < _RECEIVE_BYTES:
                    break
        except ssl.SSLError as error:
            failure = self._fail(error)
            # The records before it are valid; the next call raises.
            if not pieces:
                raise failure from error
        if self._outgoing.pending:
            self._answer()
        if len(pieces) == 1:
            return pieces[0]
        return b"".join(pieces) if pieces or self._is_eof else None

    def _answer(self) -> None:
        """Send TLS's own answers to received records, without waiting."""
        if not self._is_sending:
            self._push()
        if self._outgoing.pending > _MAX_ANSWER_BYTES:
            self._failure = "the client does not read the answers of TLS"

    # -- sending -------------------------------------------------------------------------------

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        if self._failure is not None:
            raise ClientDisconnected(self._failure)
        if self._unsent or self._owed:
            self._push()
            taken = self._settle()
            if taken or self._unsent:
                return taken
        if type(data) is bytes and len(data) <= _RECORD_BYTES:
            # `_send_piece`, inlined to save the call.
            records = self._encrypt(data)
            sent = self.below.send_nowait(records)
            if sent == len(records):
                return len(data)
            self._unsent = memoryview(records)[sent:]
            self._owed = len(data)
            return self._settle()
        view = byte_view(data)
        taken = 0
        while taken < min(len(view), _MAX_SEND_BYTES) and not self._unsent:
            taken += self._send_piece(view[taken : taken + _PIECE_BYTES])
        return taken

    async def send_some(self, data: bytes | bytearray | memoryview) -> int:
        if self._failure is not None:
            raise ClientDisconnected(self._failure)
        if self.wake_reason is not None:
            raise Woken(self.wake_reason)
        view = byte_view(data)
        while not (taken := self._settle()):
            if not self._unsent:
                piece = view[:_PIECE_BYTES]
                self._unsent = self._encrypt(piece)
                self._owed = len(piece)
            await self._send_unsent()
        if taken < len(view) and not self._unsent:
            taken += self.send_nowait(view[taken:])
        return taken

    def _send_piece(self, piece: bytes | memoryview) -> int:
        records = self._encrypt(piece)
        sent = self.below.send_nowait(records)
        if sent == len(records):
            return len(piece)
        self._unsent = memoryview(records)[sent:]
        self._owed = len(piece)
        return self._settle()

    def _encrypt(self, piece: bytes | memoryview) -> bytes:
        """Return the records of a piece, after TLS's own pending records."""
        write, outgoing = self._tls.write, self._outgoing
        try:
            if len(piece) <= _RECORD_BYTES:
                if piece:
                    write(piece)
                return outgoing.read()
            view = memoryview(piece)
            records = []
            for at in range(0, len(view), _RECORD_BYTES):
                write(view[at : at + _RECORD_BYTES])
                records.append(outgoing.read())
            return b"".join(records)
        except ssl.SSLError as error:
            raise self._fail(error) from error

    def _settle(self) -> int:
        """Return how many bytes of plaintext have been accepted since the last call.

        A record is longer than its plaintext, so at most as much plaintext is left as bytes of
        records. The last byte counts as accepted when the last record is sent: until then the
        caller knows that there is something to send.
        """
        left = min(self._owed, len(self._unsent))
        taken = self._owed - left
        self._owed = left
        return taken

    def _push(self) -> None:
        """Send pending records as far as possible without waiting."""
        while unsent := self._unsent or self._outgoing.read():
            self._has_sent(unsent, self.below.send_nowait(unsent))
            if self._unsent:
                break

    async def _flush(self) -> None:
        """Send all pending records."""
        self._push()
        while self._unsent:
            await self._send_unsent()
            self._push()

    async def _send_unsent(self) -> None:
        self._is_sending = True
        try:
            sent = await self.below.send_some(self._unsent)
        finally:
            self._is_sending = False
        self._has_sent(self._unsent, sent)

    def _has_sent(self, unsent: bytes | memoryview, count: int) -> None:
        self._unsent = memoryview(unsent)[count:] if count < len(unsent) else b""

    # -- the end -------------------------------------------------------------------------------

    async def send_eof(self) -> None:
        if self._failure is not None:
            raise ClientDisconnected(self._failure)
        if self._has_ended:
            return
        if self.wake_reason is not None:
            raise Woken(self.wake_reason)
        self._has_ended = True
        self._close_tls()
        await self._flush()
        await self.below.send_eof()

    def abort(self) -> None:
        self._failure = self._failure or _CLOSED
        self.below.abort()

    async def aclose(self) -> None:
        try:
            if self._failure is None:
                self._close_tls()
                self._failure = _CLOSED
                if not self._is_sending:
                    self._push()
        except (ClientDisconnected, OSError):
            pass  # It can no longer be notified.
        finally:
            await self.below.aclose()

    def is_disconnected_now(self) -> bool:
        return self._failure is not None or self.below.is_disconnected_now()

    def clear_wake(self) -> None:
        super().clear_wake()
        self.below.clear_wake()

    def _end_waits(self) -> None:
        self.below.wake(self.wake_reason)

    def _close_tls(self) -> None:
        """Write ``close_notify``, unless that was done or there is no TLS (RFC 8446, 6.1)."""
        if self._is_ready:
            self._is_ready = False
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # It also expects the peer's close_notify, which may be missing.

    def _fail(self, error: ssl.SSLError) -> ClientDisconnected:
        """Record a failure; send OpenSSL's alert if there is room; return the error to raise."""
        self._failure = reason_of(error)
        self._is_ready = False
        try:
            if not self._is_sending:
                self._push()
        except (ClientDisconnected, OSError):
            pass
        return ClientDisconnected(self._failure)


_CLOSED = "the transport is closed"
