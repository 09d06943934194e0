"""One client: what it has joined, what it asks, and what it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from ..._log import SafeLogger, kind_of
from ...exceptions import WebSocketClosed
from ._channel import ChannelError
from ._message import Message, Version, decode, encode
from ._outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..websocket import WebSocketConn
    from ._channel import Channel
    from ._hub import Hub

__all__ = ["Client"]

logger = SafeLogger("trillium_trio.channels")

_TRY_AGAIN_LATER = 1013
_UNMATCHED = {"reason": "unmatched topic"}


@final
class Client:
    """One WebSocket that speaks the protocol.

    Everything it is sent goes through its outbox, so replies and broadcasts keep their order. A
    reply waits for room in it, and with it the client's next message; a broadcast does not wait:
    a client whose outbox is full is disconnected.

    Args:
      ws: The open WebSocket.
      version: Of the protocol.
      hub: Where it joins topics.
      find: Returns the class for a topic, or None.
      max_queue_bytes: Of the outbox.
      max_topics: Topics that it may have joined at a time.
    """

    def __init__(
        self,
        ws: WebSocketConn,
        version: Version,
        hub: Hub,
        find: Callable[[str], type[Channel] | None],
        *,
        max_queue_bytes: int,
        max_topics: int,
    ) -> None:
        self.ws: WebSocketConn = ws
        self.version: Version = version
        self._hub = hub
        self._find = find
        self._max_topics = max_topics
        self._joined: dict[str, Channel] = {}
        self._outbox = Outbox(max_queue_bytes)
        self._receiving = trio.CancelScope()
        self._is_too_slow = False

    async def serve(self) -> None:
        """Serve the client until it closes, is gone, is too slow, or the stop comes.

        Raises:
          BadRequest: It has sent what is not a message.

        Cancellation:
          Channels that are joined are left.
        """
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send)
            try:
                with self._receiving:
                    async for data in self.ws:
                        await self._handle(decode(data, self.version))
            except Exception as error:  # raised below, not in a group
                failure = error
            finally:
                await self._leave_all()
                # What is in it is still sent.
                self._outbox.close()
            if self._is_too_slow:
                nursery.cancel_scope.cancel()
        if self._is_too_slow:
            await self.ws.close(_TRY_AGAIN_LATER, "too slow")
        if failure is not None:
            raise failure

    # -- what it is sent -------------------------------------------------------------------------

    def offer(self, data: str | bytes) -> None:
        """See `Member`."""
        if self._is_too_slow or self._outbox.offer(data):
            return
        self._is_too_slow = True
        self._hub.too_slow += 1
        logger.info("%s: does not read what is broadcast: disconnected", self)
        for topic in self._joined:
            self._hub.discard(topic, self)
        self._receiving.cancel(reason="the client does not read")

    async def push(self, topic: str, event: str, payload: object, *, join_ref: str | None) -> None:
        """See `Membership`.

        Cancellation:
          It is sent whole or not at all.
        """
        await self._put(Message(topic=topic, event=event, payload=payload, join_ref=join_ref))

    async def broadcast(self, topic: str, event: str, payload: object, *, to_itself: bool) -> None:
        """See `Membership`.

        Cancellation:
          As `Hub.broadcast`.
        """
        await self._hub.broadcast(topic, event, payload, without=None if to_itself else self)

    async def _put(self, message: Message) -> None:
        await self._outbox.put(encode(message, self.version))

    async def _reply(self, to: Message, status: str, response: object = None) -> None:
        if to.ref is None:
            return  # it does not wait for any
        await self._put(
            Message(
                topic=to.topic,
                event="phx_reply",
                payload=response,
                ref=to.ref,
                join_ref=to.join_ref,
                status=status,
            )
        )

    async def _end(self, channel: Channel, event: str) -> None:
        """Send that a channel is over: ``phx_close`` or ``phx_error``."""
        ref = channel.join_ref
        await self._put(
            Message(topic=channel.topic, event=event, payload=None, ref=ref, join_ref=ref)
        )

    async def _send(self) -> None:
        """Send what is in the outbox until it is closed and empty.

        Cancellation:
          The rest is not sent.
        """
        try:
            while (data := await self._outbox.take()) is not None:
                await self.ws.send(data)
        except WebSocketClosed:
            # Receiving ends too. Replies must not wait for room meanwhile.
            self._outbox.close()

    # -- what it asks ----------------------------------------------------------------------------

    async def _handle(self, message: Message) -> None:
        topic, event = message.topic, message.event
        if topic == "phoenix" and event == "heartbeat":
            await self._reply(message, "ok")
        elif event == "phx_join":
            await self._join(message)
        elif (channel := self._joined.get(topic)) is None:
            if event == "phx_leave":
                # No mistake: both sides may have ended it at once.
                await self._reply(message, "ok")
            else:
                await self._reply(message, "error", _UNMATCHED)
        elif message.join_ref is not None and message.join_ref != channel.join_ref:
            pass  # of a join before this one: the client has forgotten it
        elif event == "phx_leave":
            await self._leave(topic)
            await self._reply(message, "ok")
            await self._end(channel, "phx_close")
        else:
            await self._receive(message, channel)

    async def _join(self, message: Message) -> None:
        topic = message.topic
        await self._leave(topic)  # a client that joins again has lost the first join
        kind = self._find(topic)
        if kind is None:
            await self._reply(message, "error", _UNMATCHED)
            return
        if len(self._joined) >= self._max_topics:
            await self._reply(message, "error", {"reason": "too many topics"})
            return
        join_ref = message.ref if message.join_ref is None else message.join_ref
        try:
            channel = kind(topic, join_ref, self)
            try:
                response = await channel.join(message.payload)
            except ChannelError as error:
                await self._reply(message, "error", error.response)
                return
            self._joined[topic] = channel
            # The reply comes before the broadcasts, and none is missed after it: `Outbox.put`.
            await self._reply(message, "ok", response)
            self._hub.add(topic, self)
        except Exception as error:
            self._log_failure(f"{kind.__qualname__}.join", topic, error)
            await self._leave(topic)
            await self._reply(message, "error", {"reason": "join crashed"})

    async def _receive(self, message: Message, channel: Channel) -> None:
        try:
            try:
                response = await channel.receive(message.event, message.payload)
            except ChannelError as error:
                await self._reply(message, "error", error.response)
            else:
                await self._reply(message, "ok", response)
        except Exception as error:
            self._log_failure(f"{kind_of(channel)}.receive", channel.topic, error)
            await self._leave(channel.topic)
            await self._end(channel, "phx_error")

    async def _leave(self, topic: str) -> None:
        channel = self._joined.pop(topic, None)
        if channel is None:
            return
        self._hub.discard(topic, self)
        try:
            await channel.leave()
        except Exception as error:
            self._log_failure(f"{kind_of(channel)}.leave", topic, error)

    async def _leave_all(self) -> None:
        for topic in self._joined:
            self._hub.discard(topic, self)
        interruption: BaseException | None = None
        while self._joined:
            try:
                await self._leave(next(iter(self._joined)))
            except BaseException as error:  # a cancellation, raised below: each gets its call
                interruption = error
        if interruption is not None:
            raise interruption

    def _log_failure(self, hook: str, topic: str, error: Exception) -> None:
        logger.error("%s: %s of %r failed", self, hook, topic, exc_info=error)

    def __str__(self) -> str:
        return f"{self.ws.upgrade.transport.peer}: GET {self.ws.path}"

    def __repr__(self) -> str:
        return f"<Client {self}, {len(self._joined)} topics>"
