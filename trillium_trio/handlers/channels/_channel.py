"""One client in one topic: what an application subclasses."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Protocol

from ...exceptions import TrilliumError

if TYPE_CHECKING:
    from ..websocket import WebSocketConn

__all__ = ["Channel", "ChannelError", "Membership"]

# Phoenix's client offers its token as a subprotocol, beside "phoenix".
_TOKEN_PREFIX = "base64url.bearer.phx."  # noqa: S105 (no secret)


class ChannelError(TrilliumError):
    """Raise it in `Channel.join` or `Channel.receive` to refuse: the client's reply is an error.

    Args:
      reason: The client gets ``{"reason": reason}``.
      response: What it gets instead, if there is more to say.
    """

    def __init__(self, reason: str, response: object = None) -> None:
        super().__init__(reason)
        self.response: object = {"reason": reason} if response is None else response


class Membership(Protocol):
    """What a channel asks of the client that has joined."""

    @property
    def ws(self) -> WebSocketConn:
        """The client's WebSocket."""

    async def push(self, topic: str, event: str, payload: object, *, join_ref: str | None) -> None:
        """Send to this client."""

    async def broadcast(self, topic: str, event: str, payload: object, *, to_itself: bool) -> None:
        """Send to all that have joined."""


class Channel:
    """One client in one topic; subclass it, and give the class to `Channels`.

    An object is created for each join, and lives until the client leaves or is gone. Its methods
    run one after the other, in the connection's task, with those of the client's other topics and
    the answers to its heartbeats: Phoenix's client gives a connection up after 30 seconds without
    an answer, and a message after 10. `trillium_trio.Conn.start_soon` and nurseries of the
    application are for longer work.

    Attributes:
      topic: The topic that was joined.
      join_ref: The client's number for the join; it drops what belongs to an earlier one.
      ws: The client's WebSocket: its request, its state, its swansong. Do not send on it.
    """

    def __init__(self, topic: str, join_ref: str | None, membership: Membership) -> None:
        self.topic: str = topic
        self.join_ref: str | None = join_ref
        self.ws: WebSocketConn = membership.ws
        self._membership = membership

    # -- what an application overrides -----------------------------------------------------------

    async def join(self, payload: Any) -> object:  # Any: what JSON holds is open
        """Let the client in; the result is its reply, JSON or None.

        It gets the broadcasts that come after the reply.

        Raises:
          ChannelError: To refuse. Any other exception refuses too, and is logged.

        Cancellation:
          At the deadline of a drain, or because the client does not read.
        """

    async def receive(self, event: str, payload: Any) -> object:
        """Act on a message of the client; the result is its reply, JSON, bytes or None.

        Args:
          event: The client's name for what happened.
          payload: JSON, or bytes.

        Raises:
          ChannelError: The reply is an error. After any other exception, which is logged, the
            client is told that the channel has failed, and joins again.

        Cancellation:
          At the deadline of a drain, or because the client does not read.
        """
        raise ChannelError("unknown event")

    async def leave(self) -> None:
        """Clean up, once for each `join` that returned, however it ended: left, gone, failed, stop.

        The client is no longer in the topic.

        Cancellation:
          At the deadline of a drain; then it runs up to its first wait.
        """

    # -- what it may call ------------------------------------------------------------------------

    async def push(self, event: str, payload: object = None) -> None:
        """Send to this client. Waits while too much waits for it already.

        Args:
          event: The name of what happened.
          payload: JSON, or bytes for clients of version 2.

        Raises:
          TypeError, ValueError: The message cannot be encoded.

        Cancellation:
          It is sent whole or not at all.
        """
        await self._membership.push(self.topic, event, payload, join_ref=self.join_ref)

    async def broadcast(self, event: str, payload: object = None) -> None:
        """Send to all clients in the topic, this one included; see `Channels.broadcast`.

        Raises:
          TypeError, ValueError: As `Channels.broadcast`.

        Cancellation:
          As `Channels.broadcast`.
        """
        await self._membership.broadcast(self.topic, event, payload, to_itself=True)

    async def broadcast_from(self, event: str, payload: object = None) -> None:
        """Send to all other clients in the topic; see `Channels.broadcast`.

        Raises:
          TypeError, ValueError: As `Channels.broadcast`.

        Cancellation:
          As `Channels.broadcast`.
        """
        await self._membership.broadcast(self.topic, event, payload, to_itself=False)

    @property
    def auth_token(self) -> str | None:
        """The ``authToken`` of Phoenix's client, or None. It is untrusted: verify it in `join`."""
        for value in self.ws.request_headers.get_all("sec-websocket-protocol"):
            for offered in value.split(","):
                prefix, found, encoded = offered.strip(" \t").partition(_TOKEN_PREFIX)
                if found and not prefix:
                    return _from_base64(encoded)
        return None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.topic} of {self.ws.peer_ip}>"


def _from_base64(text: str) -> str | None:
    # The client leaves the padding out; it encodes each character as one byte.
    padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    try:
        return base64.b64decode(padded, validate=True).decode("latin-1")
    except binascii.Error:
        return None
