"""One exchange as HTTP/1 frames it: the request's body, the response's head and body."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from ..codec import (
    LAST_CHUNK,
    BodyFraming,
    connection_options,
    render_chunk,
    render_head,
    render_interim,
    render_last_chunk,
    render_whole,
    response_framing,
)
from ..conn import Outcome, Sent, Upgrade
from ..exceptions import BadRequest, ClientDisconnected, MisuseError, UpgradeRequired
from ..http import Body
from ._errors import BodyLengthError
from ._exchange import Exchange, Phase
from ._outbound import OpenFile, as_piece, close_body, open_body
from ._wire import Wake

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from ..http import Headers
    from ._connection import Connection
    from ._http1_inbound import Inbound

__all__ = ["Http1Exchange"]

# Methods whose responses have a body that is not sent, or none at all.
_WITHOUT_BODY = frozenset({"HEAD", "CONNECT"})
# Bound once: before Python 3.12, to look a member up on its class takes 0.07 us.
_QUEUED, _COMPLETE = Phase.QUEUED, Outcome.COMPLETE
# Up to this size a body is joined to its head: copying costs less than a second system call.
_JOIN_BYTES = 65_536


@final
class Http1Exchange(Exchange):
    """A request whose head has been read.

    Its `mark` is what `Wire.sent` is before the first byte of the body, with all framing added.
    """

    __slots__ = ()

    carrier: Connection
    inbound: Inbound

    def send_plain(self) -> bool:
        """See `Exchange`.

        Plain is a body in memory, in answer to a request that has been read, on a connection that
        goes on, with nothing to do afterwards. It is sent in one piece, and without a
        coroutine, or with the row if one is open: this connection is about to wait for its next
        request.
        """
        carrier, head = self.carrier, self.head
        service, wire = carrier.service, carrier.wire
        if (
            not self.inbound.is_complete
            or wire.buffer
            or not head.keep_alive
            or head.version == "1.0"
            or head.method in _WITHOUT_BODY
            or not service.swansong.is_running
        ):
            return False
        try:
            plain = self.conn.plain_response()
        except Exception:
            return False  # `send` raises it again, and its caller handles it
        if plain is None:
            return False
        status, fields, body = plain
        payload = render_whole(status, fields, body, service.date_line(), service.server_line)
        if service.after_send is not None:
            self.sent = Sent(status, len(body))
        outbox = service.outbox
        if outbox.is_open and wire.transport.sends_at_once:
            self.rest = payload
            self.phase = _QUEUED
            outbox.add(self, len(payload))
            return True
        return self._send_whole(payload)

    def send_queued(self) -> None:
        """Send the response, its turn in the row having come; see `Queued`.

        If all of it was taken, the exchange is over. Else it goes back to the connection's task.
        """
        assert self.rest is not None
        if self._send_whole(self.rest):
            if self._held is None:
                self.carrier.exchange = None
            else:
                self.phase = Phase.SENT  # and its handler continues
            return
        self.phase = Phase.SENDING
        if self._held is None:
            self.carrier.wire.transport.wake(Wake.UNSENT)
        else:
            # The connection's task is in the handler, whatever that waits for.
            self.is_settled = False
            self.beside = trio.Event()
            self.carrier.service.info.start_soon(self._send_beside, self.beside)

    async def _send_beside(self, sent: trio.Event) -> None:
        """Send what the row left, while the handler continues.

        Cancellation:
          The response is incomplete.
        """
        rest = self.rest
        assert rest is not None
        try:
            await self.carrier.wire.send(rest)
            self.note_end(Outcome.COMPLETE)
            self.phase = Phase.SENT
        except ClientDisconnected as error:
            self.log(error)
            self._keeps = False
            self.phase = Phase.SENT
        finally:
            sent.set()

    async def send_interim(self, status: int, fields: Headers) -> None:
        """See `Exchange`.

        Cancellation:
          Part of it may have been sent: the connection can only be aborted.
        """
        if self.phase is not Phase.HANDLER:
            raise MisuseError("the response has been sent")
        # RFC 9110, 15.2: a client of HTTP/1.0 would take it for the response.
        if self.head.version == "1.1":
            await self.carrier.wire.send(render_interim(status, fields))

    def _send_whole(self, payload: bytes | memoryview) -> bool:
        """Send and release the guard if all of it was taken; else keep the rest for `send`."""
        carrier = self.carrier
        try:
            sent = carrier.wire.transport.send_nowait(payload)
        except (ClientDisconnected, OSError):
            sent = 0  # `send` raises it again, and its caller handles it
        if sent == len(payload):
            if carrier.service.after_send is not None:
                # `note_end`, inlined for the same reason as below.
                done = self.sent
                done.outcome = _COMPLETE
                done.duration = carrier.service.now() - self.conn.start_time
                self.release()
            elif self._guard is not None:
                # `release`, inlined because nearly every request does this.
                guard, self._guard = self._guard, None
                guard.release()
            return True
        if carrier.service.after_send is not None:
            # The wire counts only what follows.
            self.mark = carrier.wire.sent + len(payload) - sent - self.sent.body_bytes
        self.rest = memoryview(payload)[sent:]
        return False

    async def send(self) -> bool:
        """See `Exchange`.

        Cancellation:
          The response is incomplete.
        """
        if self.rest is not None:
            self.phase = Phase.SENDING
            await self.carrier.wire.send(self.rest)
            return True
        conn, wire = self.conn, self.carrier.wire
        if conn.is_upgrade:
            return await self._upgrade()
        body = conn.raw_body
        data: bytes | None
        if type(body) is bytes:
            data, is_text = body, False
        elif type(body) is str:
            data, is_text = body.encode(), True
        else:
            whole = Body.of(body)
            data, is_text = whole.data, whole.is_text
        if data is not None:
            payload, framing, close = self._render(len(data), is_text=is_text)
            self.phase = Phase.SENDING
            if framing is BodyFraming.NONE:
                await wire.send(payload)
            elif len(data) <= _JOIN_BYTES:
                await wire.send(payload + data)
            else:
                await wire.send(payload)
                await wire.send(data)
            return not close
        async with open_body(whole) as (length, pieces):
            payload, framing, close = self._render(length, is_text=False)
            self.phase = Phase.SENDING
            self.needs_reset = framing is BodyFraming.CLOSE
            await wire.send(payload)
            if framing is not BodyFraming.NONE:
                await self._stream(whole, pieces, framing, length)
            self.needs_reset = False
        return not close

    def _render(self, length: int | None, *, is_text: bool) -> tuple[bytes, BodyFraming, bool]:
        """Decide framing and persistence (RFC 9112, 6.3 and 9.3) and render the head."""
        service, conn, head = self.carrier.service, self.conn, self.head
        status = 200 if conn.status is None else conn.status
        framing = response_framing(
            method=head.method, status=status, version=head.version, length=length
        )
        close = (
            not head.keep_alive
            or not service.swansong.is_running
            or framing is BodyFraming.CLOSE
            or not self.inbound.is_discardable()
            # After a 2xx to CONNECT, the client would read what follows as the tunnel's bytes.
            or (framing is BodyFraming.NONE and head.method == "CONNECT" and not conn.is_upgrade)
        )
        headers = conn.raw_headers
        if is_text and (headers is None or "content-type" not in headers):
            headers = conn.response_headers
            headers.set("content-type", "text/plain; charset=utf-8")
        if not close and headers is not None and "connection" in headers:
            close = "close" in connection_options(headers.get_all("connection"))
        payload = render_head(
            status,
            headers,
            date_line=service.date_line(),
            server_line=service.server_line,
            framing=framing,
            length=length,
            close=close,
            version=head.version,
            method=head.method,
        )
        self.begin(status)
        self.mark = self.carrier.wire.sent + len(payload)
        # From here on, a 100 Continue would end up inside or after the response.
        self.inbound.invites = False
        return payload, framing, close

    async def _stream(
        self,
        body: Body,
        pieces: AsyncIterable[bytes | bytearray | memoryview],
        framing: BodyFraming,
        length: int | None,
    ) -> None:
        wire = self.carrier.wire
        send = wire.send
        sent = 0
        if (
            framing is BodyFraming.LENGTH
            and length
            and isinstance(pieces, OpenFile)
            and wire.transport.sends_files
        ):
            sent = await self._send_files(pieces)
            if sent == length:
                return
            # It has become shorter, or can only be read: reading the rest shows which.
        async for given in pieces:
            piece = given if type(given) is bytes else as_piece(body, given)
            sent += len(piece)
            if framing is BodyFraming.CHUNKED:
                if piece:  # an empty chunk would end the body
                    chunk = render_chunk(piece)
                    await send(chunk)
                    self.mark += len(chunk) - len(piece)
            elif length is not None and sent > length:
                # The sent part may look complete; only a reset shows that it is not.
                self.needs_reset = True
                raise BodyLengthError(sent, length)
            else:
                await send(piece)
        if framing is BodyFraming.CHUNKED:
            last = self._last_chunk()
            await send(last)
            self.mark += len(last)
        elif length is not None and sent < length:
            raise BodyLengthError(sent, length)

    def count_body(self) -> int:
        """See `Exchange`."""
        # Negative if the head was not sent whole.
        return max(0, self.carrier.wire.sent - self.mark)

    async def _send_files(self, opened: OpenFile) -> int:
        """Send the parts of a file without reading them, as far as that goes; return how much."""
        wire, parts = self.carrier.wire, opened.parts
        sent = 0
        while parts:
            part = parts[0]
            if isinstance(part, bytes):
                await wire.send(part)
                taken = len(part)
            else:
                taken = await wire.send_file(opened.file, part.start, len(part))
            opened.advance(taken)
            sent += taken
            if taken < len(part):
                break
        return sent

    def _last_chunk(self) -> bytes:
        """Return the end of a chunked body, with the trailers that the client accepts."""
        trailers = self.conn.raw_trailers
        if trailers is None or not len(trailers):
            return LAST_CHUNK
        options = connection_options(self.head.headers.get_all("te"))
        return render_last_chunk(trailers) if "trailers" in options else LAST_CHUNK

    async def _upgrade(self) -> bool:
        """Pass the transport to the handler (RFC 9110, 7.8); no HTTP follows."""
        conn, wire, handler = self.conn, self.carrier.wire, self.carrier.service.handler
        self._check_upgrade()
        await close_body(conn.raw_body)  # it will not be sent
        # The new protocol would read an unread rest of the request as its own bytes.
        await self.inbound.skip()
        upgrade = Upgrade(conn, transport=wire.transport, leftover=wire.buffer)
        if self._held is None and not handler.has_upgrade(upgrade):
            raise MisuseError("no handler takes the upgrade: has_upgrade() is False for each")
        payload, _, _ = self._render(None, is_text=False)
        self.phase = Phase.SENDING
        await wire.send(payload)
        self.phase = Phase.UPGRADED
        wire.buffer = b""
        if self._held is not None:
            self.upgraded = upgrade.leftover  # the handler that runs takes the transport
        else:
            await handler.upgrade(upgrade)
        return False

    def _check_upgrade(self) -> None:
        """Check that the client has asked for an upgrade, to the protocol that the handler names.

        Raises:
          UpgradeRequired: It has not, and the handler has named a protocol.
          BadRequest: It has not, and the handler has named none.
        """
        head, headers = self.head, self.conn.raw_headers
        if head.method == "CONNECT":
            return  # a tunnel has no protocol to name
        named = headers.get_all("upgrade") if headers is not None else []
        offered = connection_options(head.headers.get_all("upgrade"))
        if head.wants_upgrade and offered and connection_options(named) <= offered:
            return
        if named:
            protocols = ", ".join(named)
            raise UpgradeRequired(protocols, f"the request does not offer {protocols}")
        raise BadRequest("the request does not ask for an upgrade")
