"""What a conn needs of its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    import trio

    from ..transport import Transport
    from ._info import Info

__all__ = ["Link"]


class Link(Protocol):
    """What a conn needs of its connection."""

    @property
    def info(self) -> Info:
        """The server."""

    @property
    def transport(self) -> Transport:
        """The transport to the peer."""

    async def is_disconnected(self, *, eof: bool) -> bool:
        """Return whether the peer has disconnected, without waiting.

        Cancellation:
          Changes nothing.
        """

    def cancel_on_disconnect(self, *, eof: bool) -> AbstractAsyncContextManager[trio.CancelScope]:
        """Cancel a block of code when the peer disconnects."""
