"""The handler: a request becomes a client of channels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, final
from urllib.parse import parse_qs

from ..._util import check_count
from ...conn import Handler
from ...exceptions import ConfigError
from ..websocket import WebSocket
from ._channel import Channel
from ._client import Client
from ._hub import Hub
from ._message import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...conn import Conn, Info, Upgrade
    from ..websocket import WebSocketConn
    from ._broker import Broker

__all__ = ["Channels"]

# A client that sends more gets Close 1009.
_MAX_MESSAGE_BYTES = 64 * 1024
_OFFERED = ", ".join(version.value for version in Version)


@final
class Channels(Handler):
    """Serves topics over a WebSocket, with the protocol of Phoenix's clients.

    The npm package ``phoenix`` and its like connect to ``<endpoint>/websocket``; versions 1.0.0 and
    2.0.0 of the protocol are spoken. Presence is not part of it.

    At the stop each client gets Close 1001 after what waits to be sent, and its client library
    connects and joins again. It is sent no ``phx_close``: the library forgets a channel after it.

    Several servers of one trio run may share it; broadcasts reach the clients of all of them.

    Needs the extra ``websockets``.

    Args:
      routes: Subclasses of `Channel` by topic. A topic that ends in ``*`` stands for all that begin
        like it: ``"room:*"``. The longest that matches wins.
      broker: Carries broadcasts to other processes, such as a `RedisBroker`. Default: None, there
        are none.
      max_queue_bytes: Of messages that wait for one client, and 64 for each. Beyond it, a broadcast
        disconnects the client with Close 1013. Default: 1 MiB. Unit: bytes. Prevents: memory held
        by clients that do not read.
      max_topics: Topics that one client may have joined. Default: 100. Prevents: memory filled by
        one client.
      websocket: Makes the WebSocket; ``partial(WebSocket, origins=...)`` changes its settings.
        Default: `WebSocket` with messages of at most 64 KiB, Phoenix's own default.

    Raises:
      ConfigError: A setting is wrong; the message names it.
      ImportError: The extra is missing.
    """

    def __init__(
        self,
        routes: Mapping[str, type[Channel]],
        *,
        broker: Broker | None = None,
        max_queue_bytes: int = 1024 * 1024,
        max_topics: int = 100,
        websocket: Callable[..., WebSocket] | None = None,
    ) -> None:
        check_count("Channels.max_queue_bytes", max_queue_bytes, least=1)
        check_count("Channels.max_topics", max_topics, least=1)
        _check_routes(routes)
        self._exact = {topic: kind for topic, kind in routes.items() if not topic.endswith("*")}
        prefixes = [(topic[:-1], kind) for topic, kind in routes.items() if topic.endswith("*")]
        self._prefixes = sorted(prefixes, key=lambda each: -len(each[0]))
        self._broker = broker
        self._hub = Hub(broker)
        self._max_queue_bytes = max_queue_bytes
        self._max_topics = max_topics
        make = websocket or partial(WebSocket, max_message_bytes=_MAX_MESSAGE_BYTES)
        # A client that has a token offers it beside this one; browsers insist on an answer.
        self._websocket = make(self._serve, subprotocols=["phoenix"])

    # -- for the application ---------------------------------------------------------------------

    async def broadcast(self, topic: str, event: str, payload: object = None) -> None:
        """Send to all clients that have joined a topic, in this process and, by the broker, others.

        It does not wait for clients: each gets it in order, or is disconnected. It waits for the
        broker, as long as that allows.

        Args:
          topic: The topic.
          event: The name of what happened.
          payload: JSON, or bytes, which clients of version 1.0.0 do not get.

        Raises:
          TypeError, ValueError: The payload cannot be encoded, or topic or event is empty or longer
            than 255 bytes. Nobody gets it.

        Cancellation:
          The clients of this process have it.
        """
        await self._hub.broadcast(topic, event, payload)

    @property
    def topics(self) -> dict[str, int]:
        """How many clients of this process have joined each topic."""
        return self._hub.topics

    @property
    def too_slow(self) -> int:
        """How many clients were disconnected because they did not read."""
        return self._hub.too_slow

    # -- as a handler ----------------------------------------------------------------------------

    @property
    def inner(self) -> tuple[Handler, ...]:
        """The handler that makes its WebSockets."""
        return (self._websocket,)

    async def init(self, info: Info) -> None:
        """Start the broker with the server.

        Cancellation:
          None: it does not wait.
        """
        if self._broker is not None:
            info.start_service(self._hub.run)

    async def run(self, conn: Conn) -> Conn:
        """Make the handshake, or refuse it and halt: 400 for a version that is not spoken.

        Cancellation:
          None: it waits for nothing.
        """
        if _version(conn.querystring) is None:
            return conn.ok(f"vsn: versions {_OFFERED} are spoken\n").with_status(400)
        return await self._websocket.run(conn)

    def has_upgrade(self, upgrade: Upgrade) -> bool:
        """Take the transports whose handshake this handler has made."""
        return self._websocket.has_upgrade(upgrade)

    async def upgrade(self, upgrade: Upgrade) -> None:
        """Serve the client.

        Cancellation:
          That of `WebSocket.upgrade`.
        """
        await self._websocket.upgrade(upgrade)

    async def _serve(self, ws: WebSocketConn) -> None:
        version = _version(ws.querystring)
        assert version is not None, "the handshake has checked it"
        client = Client(
            ws,
            version,
            self._hub,
            self._find,
            max_queue_bytes=self._max_queue_bytes,
            max_topics=self._max_topics,
        )
        await client.serve()

    def _find(self, topic: str) -> type[Channel] | None:
        if (kind := self._exact.get(topic)) is not None:
            return kind
        return next((kind for prefix, kind in self._prefixes if topic.startswith(prefix)), None)

    @property
    def name(self) -> str:
        """Channels and its topics."""
        return f"Channels({', '.join((*self._exact, *(f'{each}*' for each, _ in self._prefixes)))})"


def _version(querystring: str) -> Version | None:
    """Return the version that a client asks for; the first one if it does not say."""
    try:
        [value] = parse_qs(querystring, keep_blank_values=True).get("vsn", [Version.V1.value])
        return Version(value)
    except ValueError:
        return None


def _check_routes(routes: Mapping[str, type[Channel]]) -> None:
    if not routes:
        raise ConfigError("Channels: no topics")
    for topic, kind in routes.items():
        if not topic or "*" in topic[:-1]:
            raise ConfigError(f"Channels: {topic!r}: a * stands only at the end of a topic")
        if topic == "phoenix":
            raise ConfigError("Channels: the topic 'phoenix' belongs to the protocol")
        if not (isinstance(kind, type) and issubclass(kind, Channel)):
            raise ConfigError(f"Channels: {topic!r}: {kind!r} is not a subclass of Channel")
