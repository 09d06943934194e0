"""A bound on the time that a handler takes to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from .._util import check_number
from ..conn import Handler, as_handler, handler_name, leaves, run_handler
from ..exceptions import HttpError

if TYPE_CHECKING:
    from ..conn import Conn, HandlerLike, Sent, Upgrade

__all__ = ["Timeout"]


@final
class Timeout(Handler):
    """Runs a handler for so many seconds; then it is cancelled, and the client gets a 503.

    The time ends when the handler returns: a body that is streamed afterwards, an upgrade and
    ``before_send`` have no bound here. A handler that has sent its response is cancelled as well,
    and its response stays incomplete. Code in a worker thread cannot be cancelled.

    Args:
      handler: What to run; see `as_handler`.
      seconds: How long it may take.
      status: Of the answer: 503, or 504 if it waits for somebody else.

    Raises:
      ConfigError: ``seconds`` is not a number of at least 0.
    """

    def __init__(self, handler: HandlerLike, *, seconds: float, status: int = 503) -> None:
        check_number("seconds", seconds, least=0)
        self._handler = as_handler(handler)
        self._seconds = seconds
        self._status = status

    @property
    def inner(self) -> tuple[Handler, ...]:
        """The handler."""
        return (self._handler,)

    def overrides(self, hook: str) -> bool:
        """Whether a hook has to be called: those around sending if the handler has one."""
        if hook not in {"before_send", "after_send"}:
            return super().overrides(hook)
        return any(each.overrides(hook) for each in leaves(self._handler))

    async def run(self, conn: Conn) -> Conn:
        """Run the handler, with a bound.

        Raises:
          HttpError: The time is over.

        Cancellation:
          The handler is cancelled.
        """
        with trio.move_on_after(self._seconds) as scope:
            await run_handler(self._handler, conn)
        if scope.cancelled_caught:
            name = handler_name(self._handler)
            raise HttpError(self._status, f"{name} has not answered in {self._seconds:g} s")
        return conn

    async def before_send(self, conn: Conn) -> Conn:
        """Run that of the handler.

        Cancellation:
          That of the handler.
        """
        return await self._handler.before_send(conn)

    def after_send(self, conn: Conn, sent: Sent) -> None:
        """Run that of the handler."""
        self._handler.after_send(conn, sent)

    def has_upgrade(self, upgrade: Upgrade) -> bool:
        """Whether the handler takes the upgrade."""
        return self._handler.has_upgrade(upgrade)

    async def upgrade(self, upgrade: Upgrade) -> None:
        """Have the handler serve it.

        Cancellation:
          That of the handler.
        """
        await self._handler.upgrade(upgrade)

    @property
    def name(self) -> str:
        """Timeout and the handler's name."""
        return f"Timeout({handler_name(self._handler)}, {self._seconds:g} s)"
