"""What carries broadcasts between processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Broker"]


class Broker(Protocol):
    """Carries broadcasts to the other processes that serve the same topics.

    `RedisBroker` is one. Messages are opaque bytes, and may come back to their sender, which knows
    them. A broker may lose some while its connection is down, and says so in the log.
    """

    async def run(self, deliver: Callable[[bytes], None]) -> None:
        """Call ``deliver`` with each message that any process publishes, until it is cancelled.

        A lost connection is its own business. An exception ends the server.

        Cancellation:
          The normal end, after the last connection of the server.
        """

    async def publish(self, message: bytes) -> None:
        """Send a message to all processes. A lost connection is no exception.

        Cancellation:
          It may have been sent.
        """
