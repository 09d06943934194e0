"""Who has joined which topic, in this process; broadcasts to them, and to other processes."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Protocol, final

import trio

from ..._log import SafeLogger
from ._message import Message, Outgoing, Version

if TYPE_CHECKING:
    from ._broker import Broker

__all__ = ["Hub", "Member"]

logger = SafeLogger("trillium_trio.channels")


class Member(Protocol):
    """A client, as broadcasts see it."""

    @property
    def version(self) -> Version:
        """The version that it speaks."""

    def offer(self, data: str | bytes) -> None:
        """Send it a message, without waiting. Must not raise."""


@final
class Hub:
    """The topics of one `Channels`, and who is in them.

    Args:
      broker: Carries broadcasts to other processes, or None.

    Attributes:
      too_slow: How many clients were disconnected because they did not read.
    """

    def __init__(self, broker: Broker | None) -> None:
        self.too_slow: int = 0
        self._broker = broker
        self._topics: dict[str, dict[Member, None]] = {}
        # What this process has published comes back to it.
        self._origin = secrets.token_hex(8)
        self._running = trio.Lock()

    @property
    def topics(self) -> dict[str, int]:
        """How many clients have joined each topic."""
        return {topic: len(members) for topic, members in self._topics.items()}

    def add(self, topic: str, member: Member) -> None:
        """Have a client get the broadcasts of a topic."""
        self._topics.setdefault(topic, {})[member] = None

    def discard(self, topic: str, member: Member) -> None:
        """Take a client out of a topic. Idempotent."""
        members = self._topics.get(topic)
        if members is not None:
            members.pop(member, None)
            if not members:
                del self._topics[topic]

    async def broadcast(
        self, topic: str, event: str, payload: object, *, without: Member | None = None
    ) -> None:
        """Send to all clients in a topic: at once to those of this process, then to the broker.

        Raises:
          TypeError, ValueError: The message cannot be encoded. Nobody gets it.

        Cancellation:
          Those of this process have it.
        """
        outgoing = Outgoing(Message(topic=topic, event=event, payload=payload))
        outgoing.encoded(Version.V2)
        self._deliver(outgoing, without)
        if self._broker is not None:
            await self._broker.publish(self._pack(outgoing.message))

    async def run(self) -> None:
        """Deliver the broadcasts of other processes until it is cancelled.

        Cancellation:
          Ends it.
        """
        assert self._broker is not None
        # Several servers may share the handler: one delivers, and the next takes over when its
        # server has ended.
        async with self._running:
            await self._broker.run(self._deliver_packed)

    def _deliver(self, outgoing: Outgoing, without: Member | None = None) -> None:
        missed = 0
        # A member that is too slow leaves while this runs.
        for member in tuple(self._topics.get(outgoing.message.topic, ())):
            if member is without:
                continue
            if outgoing.fits(member.version):
                member.offer(outgoing.encoded(member.version))
            else:
                missed += 1
        if missed:
            logger.warning(
                "%s in %s: bytes, which %d clients of version 1.0.0 cannot be sent",
                outgoing.message.event,
                outgoing.message.topic,
                missed,
            )

    def _pack(self, message: Message) -> bytes:
        """Return a broadcast as other processes get it: a line that describes it, and its body."""
        payload = message.payload
        is_bytes = isinstance(payload, bytes)
        line = json.dumps([self._origin, message.topic, message.event, is_bytes])
        body: bytes = payload if is_bytes else json.dumps(payload).encode()
        return line.encode() + b"\n" + body

    def _deliver_packed(self, packed: bytes) -> None:
        try:
            line, _, body = packed.partition(b"\n")
            origin, topic, event, is_bytes = json.loads(line)
            if not isinstance(topic, str) or not isinstance(event, str):
                raise TypeError("topic and event are not strings")
            payload = body if is_bytes else json.loads(body)
            outgoing = Outgoing(Message(topic=topic, event=event, payload=payload))
            outgoing.encoded(Version.V2)
        except (ValueError, TypeError, RecursionError) as error:
            logger.warning("the broker has carried what is not a broadcast: %s", error)
            return
        if origin != self._origin:
            self._deliver(outgoing)

    def __repr__(self) -> str:
        return f"<Hub, {len(self._topics)} topics>"
