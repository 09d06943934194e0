"""A server in memory, and its client."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self, final

from ..server import Config
from ..swansong import Swansong
from ._client import Client, Session
from ._events import EventReader
from ._listener import MemoryListener
from ._peer import RawPeer
from ._request import build_request
from ._websocket import TestWebSocket

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Unpack

    from ..conn import HandlerLike
    from ..server import ServerHandle
    from ..swansong import ShutdownCompletion
    from ._listener import WrapServer
    from ._memory import MemoryStream
    from ._request import HeadersLike, Options
    from ._response import TestResponse

__all__ = ["TestServer"]

# A handler that hangs should fail its test, not hang the whole run.
_DRAIN_SECONDS = 5.0


@final
class TestServer(Client):
    """Serves a handler in memory while an ``async with`` block runs, under any clock.

    Everything but the sockets is real: listening, connections and the drain. Each request has its
    own connection; `session` keeps one alive. The end of the block closes connections that are
    still open on the client's side, and drains; an exception cancels.

    Args:
      handler: What to serve; see `as_handler`.
      config: The settings; its listeners are replaced, and signals are not hooked. A stop of its
        swansong stops this server as well. Default: ``Config(drain_timeout=5.0)``.

    Attributes:
      config: The settings in use.
      swansong: Stops this server alone; its guards are the requests in flight.
    """

    # Not a test class, in spite of its name.
    __test__: ClassVar[bool] = False

    def __init__(self, handler: HandlerLike, config: Config | None = None) -> None:
        if config is None:
            config = Config(drain_timeout=_DRAIN_SECONDS)
        self._listener = MemoryListener()
        self.swansong: Swansong
        self.config: Config
        self.swansong, self.config = in_memory(config, self._listener)
        self._serving: AbstractAsyncContextManager[ServerHandle] = self.config.serving(handler)
        self._handle: ServerHandle | None = None
        self._opened: list[MemoryStream] = []

    @property
    def handle(self) -> ServerHandle:
        """The server's handle, inside the block."""
        assert self._handle is not None, "enter it first: async with TestServer(...) as app"
        return self._handle

    async def request(self, method: str, path: str, **options: Unpack[Options]) -> TestResponse:
        """Send a request on a new connection; see `Client.request`.

        Cancellation:
          The connection is closed; the handler continues, as for any client that disconnects.
        """
        async with Session(self._listener.connect()) as session:
            return await session.request(method, path, **options)

    def session(self, *, wrap_server: WrapServer | None = None) -> Session:
        """Open a connection for several requests; it is closed with the server at the latest.

        Args:
          wrap_server: See `MemoryListener.connect`.

        Raises:
          ConnectionRefusedError: The server no longer listens.
        """
        return Session(self._open(wrap_server))

    def connect(self, *, wrap_server: WrapServer | None = None) -> RawPeer:
        """Open a connection for raw bytes; it is closed with the server at the latest.

        Args:
          wrap_server: See `MemoryListener.connect`.

        Raises:
          ConnectionRefusedError: The server no longer listens.
        """
        return RawPeer(self._open(wrap_server))

    def events(self, path: str, **options: Unpack[Options]) -> EventReader:
        """Open a stream of server-sent events, on a connection of its own.

        Raises:
          ConnectionRefusedError: The server does not listen any more.
        """
        return EventReader(self._open(None), build_request("GET", path, **options))

    def websocket(
        self,
        path: str = "/",
        *,
        headers: HeadersLike | None = None,
        subprotocols: Sequence[str] = (),
        wrap_server: WrapServer | None = None,
    ) -> TestWebSocket:
        """Return a WebSocket, to be opened by ``async with``; see `TestWebSocket`.

        Args:
          path: The target of the handshake, with its querystring.
          headers: Fields of the handshake beside its own; ``Origin``, say.
          subprotocols: To offer, the preferred one first.
          wrap_server: See `MemoryListener.connect`.

        Raises:
          ConnectionRefusedError: The server does not listen any more.
        """
        stream = self._open(wrap_server)
        return TestWebSocket(stream, path, headers=headers, subprotocols=subprotocols)

    def shut_down(self, *, timeout: float | None = None) -> ShutdownCompletion:
        """Stop this server; see `Swansong.shut_down`. Await the result to wait for the drain."""
        return self.swansong.shut_down(timeout=timeout)

    async def __aenter__(self) -> Self:
        self._handle = await self._serving.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        for stream in self._opened:
            stream.close()
        return await self._serving.__aexit__(exc_type, exc, traceback)

    def _open(self, wrap_server: WrapServer | None) -> MemoryStream:
        stream = self._listener.connect(wrap_server=wrap_server)
        self._opened.append(stream)
        return stream

    def __repr__(self) -> str:
        return f"<TestServer {self._handle!r}>"


def in_memory(config: Config, listener: MemoryListener) -> tuple[Swansong, Config]:
    """Return the swansong that stops this server alone, and a config that listens in memory only.

    The config hooks no signals. A stop of the given config's swansong stops the server, too.
    """
    swansong = Swansong() if config.swansong is None else config.swansong.child()
    config = config.with_listeners(()).bind_listener(listener)
    return swansong, config.without_signals().with_swansong(swansong)
