"""The handler: an ASGI application among other handlers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, final

from .._log import app_name
from ..codec import connection_options
from ..conn import Handler, checked_root_path
from ..handlers import Refused, WebSocket
from ._errors import refuse_asyncio_only
from ._http import HttpCycle
from ._lifespan import Lifespan
from ._scope import ConnectionFacts, http_scope, websocket_scope
from ._websocket import WebSocketCycle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ..conn import Conn, Info
    from ._types import AsgiApp

__all__ = ["Asgi"]


@final
class Asgi(Handler):
    """Serves an ASGI 3 application: HTTP, WebSocket and lifespan.

    The application runs in the connection's own task, and its response is sent while it runs. It
    answers every request, so it comes last. ``before_send`` of the handlers in front of it runs
    when it sends the first part of its body.

    The stop reaches it as ``scope["extensions"]["trillium.shutdown"]``, which is the server's
    `Swansong`; as a Close 1001 of each WebSocket, and the ``websocket.disconnect`` that follows;
    and as ``lifespan.shutdown``, after the last request. Until the deadline of the drain it can go
    on sending.

    Args:
      app: The application. It has to run on trio, as do those written for anyio.
      root_path: The path below which a proxy has mounted the server (WSGI's SCRIPT_NAME). Requests
        may come with or without it. Below a router's mount, that is added for each request.
      websocket: Settings of its WebSockets, by name, as `trillium_trio.handlers.WebSocket` takes
        them: ``{"max_message_bytes": 65536}``. Here the default of ``origins`` is ``"*"``, because
        applications check it themselves. They need the extra ``websockets``.

    Raises:
      ConfigError: The application is known to run on asyncio only; or a setting is wrong.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        root_path: str = "",
        websocket: Mapping[str, Any] | None = None,  # Any: each setting has its own type
    ) -> None:
        refuse_asyncio_only(app)
        self._app = app
        self._root_path = checked_root_path(root_path)
        self._websocket: WebSocket | ImportError
        try:
            self._websocket = WebSocket(_never_called, **{"origins": "*", **(websocket or {})})
        except ImportError as error:
            # Raised where one is asked for: most applications have none.
            self._websocket = error
        self._state: dict[str, Any] | None = None  # Any: the application's

    @property
    def inner(self) -> tuple[Handler, ...]:
        """The handler that makes its WebSockets."""
        return (self._websocket,) if isinstance(self._websocket, WebSocket) else ()

    @asynccontextmanager
    async def lifespan(self, info: Info) -> AsyncIterator[None]:
        """Run the application's lifespan.

        Raises:
          LifespanFailed: It has said so.
          Exception: Its own.
        """
        lifespan = Lifespan(self._app, info.swansong)
        async with lifespan.running():
            self._state = lifespan.state
            yield

    async def run(self, conn: Conn) -> Conn:
        """Call the application, and send what it sends.

        Cancellation:
          The application is cancelled. Its response may be incomplete.
        """
        facts = conn.link.facts
        if not isinstance(facts, ConnectionFacts):
            facts = conn.link.facts = ConnectionFacts(conn)
            # One task serves all requests of a connection.
            conn.isolate()
        if conn.head.wants_upgrade and _wants_websocket(conn):
            await self._run_websocket(conn, facts)
            return conn.halt()
        cycle = HttpCycle(conn, self._app)
        scope = http_scope(conn, facts, self._root_path, self._state)
        try:
            await self._app(scope, cycle.receive, cycle.send)
        except BaseException as error:
            await cycle.fail(error)
        else:
            if not cycle.is_complete:
                await cycle.finish()
        return conn.halt()

    async def _run_websocket(self, conn: Conn, facts: ConnectionFacts) -> None:
        websocket = self._websocket
        if isinstance(websocket, ImportError):
            raise websocket
        answer = websocket.agree(conn)
        if isinstance(answer, Refused):
            for name, value in answer.fields.items():
                conn.response_headers.set(name, value)
            conn.with_status(answer.status).with_body(f"{answer.reason}\n")
            return
        scope = websocket_scope(conn, facts, self._root_path, self._state)
        await WebSocketCycle(conn, self._app, websocket, answer).run(scope)

    @property
    def name(self) -> str:
        """Asgi and the application's name."""
        return f"Asgi({app_name(self._app)})"


def _wants_websocket(conn: Conn) -> bool:
    headers = conn.request_headers
    return "websocket" in connection_options(headers.get_all("upgrade"))


async def _never_called(_: object) -> None:
    raise AssertionError("the application opens its WebSockets itself")
