"""What a conn needs of the connection that it came on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    import trio

    from ..swansong import Swansong
    from ..transport import Listener
    from ._info import Info

__all__ = ["Link"]


class Link(Protocol):
    """What a conn asks of the connection that it came on."""

    @property
    def info(self) -> Info:
        """The server."""

    @property
    def swansong(self) -> Swansong:
        """The server's node."""

    @property
    def listener(self) -> Listener:
        """Where the connection was accepted."""

    @property
    def peer_ip(self) -> str | None:
        """The peer's IP address."""

    @property
    def is_secure(self) -> bool:
        """Whether the connection is encrypted."""

    @property
    def max_body_bytes(self) -> int:
        """The default limit of a request body."""

    async def is_disconnected(self, *, eof: bool) -> bool:
        """Look whether the peer has left, without waiting for anything.

        Cancellation:
          Changes nothing.
        """

    def cancel_on_disconnect(self, *, eof: bool) -> AbstractAsyncContextManager[trio.CancelScope]:
        """Cancel a block of code when the peer leaves."""

    def start_background(
        self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        """Start guarded work that outlives the connection."""
