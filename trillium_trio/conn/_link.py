"""What a conn needs of its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextlib import AbstractAsyncContextManager

    import trio

    from ..http import Headers
    from ..transport import Transport
    from ._info import Info

__all__ = ["Link"]


class Link(Protocol):
    """What a conn needs of its connection.

    Attributes:
      facts: What an interface, such as ASGI, has found out about the connection, for the requests
        that follow on it. None at first.
    """

    facts: object | None

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

    async def wait_disconnected(self, *, eof: bool) -> None:
        """Wait until the peer has disconnected.

        Cancellation:
          Ends the wait; bytes received meanwhile are kept.
        """

    def send_now(self) -> Coroutine[object, object, bytes | None]:
        """Send the response of the request in progress; its handler continues.

        Returns:
          After an upgrade, the bytes that precede the transport's.

        Raises:
          MisuseError: The response was already sent.
          ClientDisconnected: It could not be sent whole; why is logged.

        Cancellation:
          The response is incomplete.
        """

    async def send_interim(self, status: int, fields: Headers) -> None:
        """Send an interim response, if the client's version has them.

        Cancellation:
          Part of it may have been sent: the connection can only be aborted.
        """

    def isolate(self) -> None:
        """Have each later request on this connection begin with the current context variables."""
