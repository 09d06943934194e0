"""One WebSocket: the application's messages, on a `WebSocketConn`."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, final

import trio

from .._log import app_name, is_caused_by
from .._util import as_bytes
from ..conn import Upgrade
from ..exceptions import ClientDisconnected, MisuseError, WebSocketClosed
from ..handlers import code_of
from ._errors import SendError, translated
from ._http import HttpCycle

if TYPE_CHECKING:
    from ..conn import Conn
    from ..handlers import Accepted, WebSocket, WebSocketConn
    from ._types import AsgiApp, Message, Scope

__all__ = ["WebSocketCycle"]

_GONE = 1006
_DENIAL = "websocket."


@final
class WebSocketCycle:
    """The two callables of one WebSocket, from the handshake to the goodbye.

    .. code-block:: text

        connect -> accept                  101, and then messages
                -> close                   403
                -> http.response.start     any other answer, sent as that to a request

    The application runs in the connection's task; the nursery around it is for what a
    `WebSocketConn` needs beside it, and for the Close at the stop.

    Args:
      conn: The request, whose handshake is acceptable.
      app: The application.
      websocket: Opens WebSockets, with the settings.
      accepted: The handshake.
    """

    def __init__(self, conn: Conn, app: AsgiApp, websocket: WebSocket, accepted: Accepted) -> None:
        self._conn = conn
        self._app = app
        self._websocket = websocket
        self._accepted = accepted
        self._has_connected = False
        self._ws: WebSocketConn | None = None
        # The answer, if it is not a WebSocket.
        self._denial: HttpCycle | None = None
        self._nursery: trio.Nursery | None = None
        # Those who receive while the handshake is not answered.
        self._waits: set[trio.CancelScope] = set()
        # Not None while the 101 is being sent.
        self._accepting: trio.Event | None = None
        # Whether our Close at the stop has been sent.
        self._was_stopped = False

    async def run(self, scope: Scope) -> None:
        """Call the application, and say goodbye.

        Raises:
          Exception: What the application has raised, or what is to be answered; the error table
            decides.

        Cancellation:
          The application is cancelled, and the peer is sent a Close if it takes it at once.
        """
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                try:
                    await self._app(scope, self.receive, self.send)
                except Exception as error:  # raised below, bare
                    failure = error
                if self._ws is not None:
                    await self._ws.say_goodbye(None if failure is None else self._code_of(failure))
            except BaseException as error:
                if self._ws is not None:
                    self._ws.cut()
                if self._denial is not None:
                    await self._denial.fail(error)
                raise
            nursery.cancel_scope.cancel()
        if failure is not None:
            await self._report(failure)
        elif self._denial is not None:
            await self._denial.finish()
        elif self._ws is None:
            raise MisuseError(f"{app_name(self._app)} has returned without an answer")

    def _code_of(self, failure: Exception) -> int | None:
        return None if is_caused_by(failure, SendError) else code_of(failure)

    async def _report(self, failure: Exception) -> None:
        if self._denial is not None:
            await self._denial.fail(failure)
        elif is_caused_by(failure, SendError):
            raise ClientDisconnected(f"{app_name(self._app)} has sent too late") from failure
        else:
            raise translated(self._app, failure)

    # -- receive -------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next message; ``websocket.disconnect`` again and again after the end.

        Cancellation:
          No message is lost.
        """
        if not self._has_connected:
            self._has_connected = True
            return {"type": "websocket.connect"}
        while (ws := self._ws) is None:
            if await self._has_ended():
                return {"type": "websocket.disconnect", "code": _GONE, "reason": ""}
        try:
            message = await ws.receive()
        except WebSocketClosed as closed:
            # Our own Close at the stop has a code, even if the peer has not answered it.
            code = ws.sent_close_code if self._was_stopped else closed.code
            return {"type": "websocket.disconnect", "code": code, "reason": closed.reason}
        if isinstance(message, str):
            return {"type": "websocket.receive", "text": message}
        return {"type": "websocket.receive", "bytes": message}

    async def _has_ended(self) -> bool:
        """Wait for the answer to the handshake; return whether there is no WebSocket to expect."""
        if self._denial is not None:
            await self._denial.receive()
            return True
        if self._accepting is not None:
            await self._accepting.wait()
            return False
        with trio.CancelScope() as scope:
            self._waits.add(scope)
            try:
                await self._conn.wait_disconnected(eof=True)
            finally:
                self._waits.discard(scope)
        return not scope.cancelled_caught

    async def _end_waits(self) -> None:
        for scope in self._waits:
            scope.cancel(reason="the handshake is answered")
        while self._waits:
            await trio.lowlevel.checkpoint()

    # -- send ----------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Take a message of the application.

        Raises:
          SendError: The connection is closed.
          MisuseError: The message is out of order.
          TypeError, ValueError: It has a value that cannot be sent.

        Cancellation:
          A message is sent whole or not at all; what ``accept`` has sent may be incomplete.
        """
        kind: str = message["type"]
        ws = self._ws
        if kind.startswith("websocket.http.response."):
            await self._deny(message)
        elif self._denial is not None:
            raise SendError("the handshake was refused")
        elif kind == "websocket.accept":
            if ws is not None:
                raise MisuseError("websocket.accept was sent before")
            await self._accept(message)
        elif kind == "websocket.close" and ws is None:
            # The application may refuse before it has received.
            await self._deny({"type": "http.response.start", "status": 403})
            await self._deny({"type": "http.response.body"})
        elif ws is None:
            raise MisuseError(f"{kind} has to follow websocket.accept")
        elif kind == "websocket.send":
            await self._send_message(ws, message)
        elif kind == "websocket.close":
            await ws.close(message.get("code", 1000), message.get("reason") or "")
        else:
            raise MisuseError(f"{kind!r} is not a message that can be sent to a WebSocket")

    async def _send_message(self, ws: WebSocketConn, message: Message) -> None:
        text, data = message.get("text"), message.get("bytes")
        if (text is None) == (data is None):
            raise ValueError("websocket.send has either text or bytes")
        if text is not None and not isinstance(text, str):
            raise TypeError(f"the text of websocket.send must be str, not {type(text).__name__}")
        try:
            await ws.send(as_bytes(message["bytes"]) if text is None else text)
        except WebSocketClosed as error:
            raise SendError("the WebSocket is closed") from error

    async def _accept(self, message: Message) -> None:
        conn, accepted, nursery = self._conn, self._accepted, self._nursery
        assert nursery is not None, "the application runs"
        fields = [(bytes(name), bytes(value)) for name, value in message.get("headers") or ()]
        if any(name.lower() == b"sec-websocket-protocol" for name, _ in fields):
            raise ValueError("the subprotocol belongs into the key subprotocol, not the headers")
        subprotocol = message.get("subprotocol")
        if subprotocol is not None:
            offered = ",".join(conn.request_headers.get_all("sec-websocket-protocol"))
            if subprotocol not in {each.strip(" \t") for each in offered.split(",")}:
                raise ValueError(f"the client has not offered the subprotocol {subprotocol!r}")
        conn.response_headers.extend_raw(fields)
        if subprotocol is not None:
            conn.response_headers.set("sec-websocket-protocol", subprotocol)
        for name, value in accepted.fields.items():
            conn.response_headers.set(name, value)
        accepting = self._accepting = trio.Event()
        try:
            # They read ahead, and what follows the 101 is for the WebSocket to read.
            await self._end_waits()
            leftover = await conn.upgrade().send_now()
            assert leftover is not None, "it was asked for"
            upgrade = Upgrade(conn, transport=conn.transport, leftover=leftover)
            self._ws = ws = self._websocket.open(upgrade, accepted, nursery)
        except ClientDisconnected as error:
            raise SendError("the handshake could not be answered") from error
        finally:
            self._accepting = None
            accepting.set()
        ws.subprotocol = subprotocol
        # Here the stop does not end receiving alone: it closes, and that ends it.
        grace, ws.stop_grace = ws.stop_grace, inf
        nursery.start_soon(self._close_at_stop, ws, grace)

    async def _close_at_stop(self, ws: WebSocketConn, grace: float) -> None:
        await ws.swansong.shutting_down()
        await trio.sleep(grace)
        self._was_stopped = ws.close_code is None and ws.sent_close_code is None
        await ws.close()

    async def _deny(self, message: Message) -> None:
        if self._ws is not None:
            raise MisuseError("the WebSocket is open: it cannot be refused")
        if self._denial is None:
            self._denial = HttpCycle(self._conn, self._app)
            await self._end_waits()
        await self._denial.send({**message, "type": message["type"].removeprefix(_DENIAL)})

    def __repr__(self) -> str:
        return f"<WebSocketCycle {self._conn!r}>"
