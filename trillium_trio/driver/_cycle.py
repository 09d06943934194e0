"""One request and its response: run, finalize, send, after_send."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, final

import trio

from ..codec import (
    LAST_CHUNK,
    BodyFraming,
    connection_options,
    render_chunk,
    render_head,
    render_whole,
    response_framing,
)
from ..conn import Conn, Upgrade
from ..exceptions import ClientDisconnected, MisuseError
from ..http import Body, Status, reason_phrase
from ._errors import BodyLengthError, judge
from ._inbound import EMPTY, InboundBody
from ._outbound import OpenFile, as_piece, close_body, open_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from ..http import RequestHead
    from ._http1 import Http1Connection
    from ._inbound import Inbound

__all__ = ["Cycle", "Phase"]

# Methods whose responses have a body that is not sent, or none at all.
_WITHOUT_BODY = frozenset({"HEAD", "CONNECT"})
# Up to this size a body is joined to its head: copying costs less than a second system call.
_JOIN_BYTES = 65_536


class Phase(enum.Enum):
    """Where a connection is; `Http1Connection` draws how they follow one another."""

    HANDSHAKE = "in the TLS handshake"
    IDLE = "idle"
    HEAD = "reading a head"
    HANDLER = "in the handler"
    SENDING = "sending a response"
    SENT = "after a response"
    UPGRADED = "upgraded"
    ENDING = "closing"


# Bound once: before Python 3.12, to look a member up on its class takes 0.07 us.
_HANDLER = Phase.HANDLER


@final
class Cycle:
    """One request through its handler and back.

    Attributes:
      head: The request.
      conn: What the handler works on.
      is_answered: The handler finished in spite of a cut: `respond` may be called, outside the
        scope that was cancelled.
    """

    __slots__ = ("_connection", "_cuts_by_reset", "_inbound", "conn", "head", "is_answered")

    def __init__(self, connection: Http1Connection, head: RequestHead, start_time: float) -> None:
        self._connection = connection
        self.head = head
        # RFC 9112, 6.3: without either field a request has no body.
        self._inbound: Inbound = (
            InboundBody(connection.wire, head, connection.service.http)
            if head.content_length or head.is_chunked
            else EMPTY
        )
        self.conn = Conn(connection.link, head, self._inbound, start_time)
        self.is_answered = False
        # Whether nothing but a reset would tell the peer that the response is not complete.
        self._cuts_by_reset = False

    async def run(self) -> bool:
        """Handle the request and respond; return whether another may follow.

        Cancellation:
          The handler is cancelled, or the response breaks off. See `sever` and `finish`.
        """
        connection, conn = self._connection, self.conn
        connection.phase = _HANDLER
        try:
            try:
                await connection.service.run(conn)
            except BaseException:
                await close_body(conn.raw_body)  # it will not be sent
                raise
        except Exception as error:  # goes through the error table
            if not await self._answer_with(error):
                await self.finish()
                return False
        if connection.cut_reason is not None:
            # The handler swallowed its cancellation: leave the scope, which stays cancelled, here;
            # the connection sends the response outside it.
            self.is_answered = True
            await trio.lowlevel.checkpoint()
        payload = self._plain_response()
        if payload is None:
            return await self.respond()
        try:
            sent = connection.transport.send_nowait(payload)
        except (ClientDisconnected, OSError):
            sent = 0  # respond() meets it again, and knows what to do
        if sent < len(payload):
            return await self.respond(memoryview(payload)[sent:])
        connection.release()
        return True

    def _plain_response(self) -> bytes | None:
        """Return the whole response if it is one of the most frequent kind.

        That is: a body in memory, in answer to a request that has been read, on a connection that
        goes on, with nothing to do before or after. It is sent in one piece, and without a
        coroutine.
        """
        connection, head = self._connection, self.head
        service = connection.service
        if (
            not self._inbound.is_complete
            or connection.wire.buffer
            or not head.keep_alive
            or head.version == "1.0"
            or head.method in _WITHOUT_BODY
            or service.before_send is not None
            or not service.swansong.is_running
        ):
            return None
        plain = self.conn.plain_response()
        if plain is None:
            return None
        status, fields, body = plain
        return render_whole(
            status, fields, body, date_line=service.date_line(), server_line=service.server_line
        )

    async def respond(self, rest: memoryview | None = None) -> bool:
        """Run ``before_send`` and send the response; return whether another request may follow.

        Args:
          rest: What the transport has not taken yet of a plain response. Default: all is to be
            done.

        Cancellation:
          The response breaks off. See `sever` and `finish`.
        """
        connection = self._connection
        keep = False
        try:
            if rest is not None:
                connection.phase = Phase.SENDING
                await connection.wire.send(rest)
                keep = True
            else:
                if connection.service.before_send is not None:
                    await self._before_send()
                keep = await self._send()
        except Exception as error:  # goes through the error table
            if connection.phase is Phase.HANDLER:
                # Nothing is sent yet: it could not be opened or rendered.
                keep = await self._answer_with(error) and await self._send_answer()
            else:
                connection.log(error)
                self.sever()
        await self.finish()
        return keep and await self._inbound.discard()

    async def finish(self) -> None:
        """Run what waits for the response to be sent, then release the guard.

        Cancellation:
          A function that was running is not run again; a later call runs those behind it.
        """
        connection = self._connection
        connection.phase = Phase.SENT
        for fn in self.conn.take_after_send():
            try:
                await fn(self.conn)
            except Exception as error:  # the response is out: nothing to answer
                connection.log(error)
        connection.release()

    def sever(self) -> None:
        """Make sure that the peer sees an incomplete response as such, if one is under way."""
        if self._cuts_by_reset:
            self._connection.transport.abort()

    async def _before_send(self) -> None:
        hook = self._connection.service.before_send
        assert hook is not None
        try:
            await hook(self.conn)
        except BaseException:
            await close_body(self.conn.raw_body)  # it will not be sent
            raise

    async def _answer_with(self, error: BaseException) -> bool:
        """Turn an exception into a response; return False if there is nobody to answer."""
        self._connection.log(error)
        if self._connection.cut_reason is not None:
            # What a cut makes a handler raise says nothing about the request: if this still is the
            # cancelled scope, leave it, for the 503.
            await trio.lowlevel.checkpoint()
        status = judge(error).status
        if status is None:
            return False
        self.conn.reset_response(status, f"{reason_phrase(status) or status}\n")
        if status == Status.CONTENT_TOO_LARGE:
            # Not to be sent again on this connection (RFC 9110, 15.5.14), whole or in part.
            self.conn.response_headers.set("connection", "close")
        return True

    async def _send_answer(self) -> bool:
        try:
            return await self._send()
        except Exception as error:  # nothing more can be tried
            self._connection.log(error)
            return False

    async def _send(self) -> bool:
        connection, conn = self._connection, self.conn
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
            connection.phase = Phase.SENDING
            if framing is BodyFraming.NONE:
                await connection.wire.send(payload)
            elif len(data) <= _JOIN_BYTES:
                await connection.wire.send(payload + data)
            else:
                await connection.wire.send(payload)
                await connection.wire.send(data)
            return not close
        async with open_body(whole) as (length, pieces):
            payload, framing, close = self._render(length, is_text=False)
            connection.phase = Phase.SENDING
            self._cuts_by_reset = framing is BodyFraming.CLOSE
            await connection.wire.send(payload)
            if framing is not BodyFraming.NONE:
                await self._stream(whole, pieces, framing, length)
            self._cuts_by_reset = False
        return not close

    def _render(self, length: int | None, *, is_text: bool) -> tuple[bytes, BodyFraming, bool]:
        """Decide framing and persistence (RFC 9112, 6.3 and 9.3) and render the head."""
        service, conn, head = self._connection.service, self.conn, self.head
        status = conn.status
        if status is None:
            status = 404 if conn.raw_body is None else 200
        framing = response_framing(
            method=head.method, status=status, version=head.version, length=length
        )
        close = (
            not head.keep_alive
            or not service.swansong.is_running
            or framing is BodyFraming.CLOSE
            or not self._inbound.is_discardable()
            # A client that reads a 2xx to its CONNECT takes what follows for a tunnel.
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
        # From here on a 100 Continue would stand inside or behind the response.
        self._inbound.invites = False
        return payload, framing, close

    async def _stream(
        self,
        body: Body,
        pieces: AsyncIterable[bytes | bytearray | memoryview],
        framing: BodyFraming,
        length: int | None,
    ) -> None:
        wire = self._connection.wire
        send = wire.send
        sent = 0
        if (
            framing is BodyFraming.LENGTH
            and length
            and isinstance(pieces, OpenFile)
            and wire.transport.sends_files
        ):
            sent = await wire.send_file(pieces.file, length)
            if sent == length:
                return
            # It has become shorter, or can only be read: reading on tells which.
            pieces.file.seek(sent)
        async for given in pieces:
            piece = given if type(given) is bytes else as_piece(body, given)
            sent += len(piece)
            if framing is BodyFraming.CHUNKED:
                if piece:  # an empty chunk would end the body
                    await send(render_chunk(piece))
            elif length is not None and sent > length:
                # What was sent may look whole; nothing but a reset tells otherwise.
                self._cuts_by_reset = True
                raise BodyLengthError(sent, length)
            else:
                await send(piece)
        if framing is BodyFraming.CHUNKED:
            await send(LAST_CHUNK)
        elif length is not None and sent < length:
            raise BodyLengthError(sent, length)

    async def _upgrade(self) -> bool:
        """Hand the transport over (RFC 9110, 7.8); nothing of HTTP follows."""
        connection, conn, handler = self._connection, self.conn, self._connection.service.handler
        await close_body(conn.raw_body)  # it will not be sent
        # What the handler has left of the request would be taken for the other protocol's.
        await self._inbound.skip()
        wire = connection.wire
        upgrade = Upgrade(conn, transport=connection.transport, leftover=wire.buffer)
        if not handler.has_upgrade(upgrade):
            raise MisuseError("no handler takes the upgrade: has_upgrade() is False of each")
        payload, _, _ = self._render(None, is_text=False)
        connection.phase = Phase.SENDING
        await wire.send(payload)
        connection.phase = Phase.UPGRADED
        wire.buffer = b""
        await handler.upgrade(upgrade)
        return False

    def __repr__(self) -> str:
        return f"<Cycle {self.head} {self._connection.phase.value}>"
