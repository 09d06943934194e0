"""The lifespans of handlers: entered before the server is ready, left when it has drained."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, final

import trio

from .._log import SafeLogger, add_note
from ..conn import handler_name
from ..swansong import GuardReport, attach_scope, record_cut

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from ..conn import Handler, Info
    from ..swansong import Swansong

__all__ = ["Lifespans", "naming"]

logger = SafeLogger("trillium_trio.server")


@final
class Lifespans:
    """Enters lifespans, one around the other, runs something inside them, and leaves them.

    Each has a cancel scope around it, entered before it: it may keep a nursery open, so that a
    scope put around its exit alone would corrupt the stack of scopes. All share one deadline, but a
    scope gets it only when its own turn comes: the one that hangs is cut, not those around it.

    What one raises is handed to `keep`, so that those around it are left in the ordinary way, and
    none sees an exception that is not its own.

    Args:
      swansong: The server's own node. Once it is stopped, nothing more is entered.
      cleanup_timeout: See `Config`.
      keep: Called with each exception.

    Attributes:
      current: The name of the handler whose lifespan is being entered or left.
    """

    def __init__(
        self,
        swansong: Swansong,
        *,
        cleanup_timeout: float,
        keep: Callable[[BaseException], None],
    ) -> None:
        self.current: str | None = None
        self._swansong = swansong
        self._cleanup_timeout = cleanup_timeout
        self._keep = keep
        self._deadline: float | None = None
        self._entering: trio.CancelScope | None = None

    async def run_inside(
        self, handlers: list[Handler], info: Info, run: Callable[[], Awaitable[None]]
    ) -> None:
        """Enter the lifespans of these handlers, run, and leave them, in reverse.

        Cancellation:
          They are left under the cancellation.
        """
        if not self._swansong.is_running:
            return
        if not handlers:
            await run()
            return
        handler, *rest = handlers
        with trio.CancelScope() as scope:
            name = handler_name(handler)
            self._entering, self.current = scope, name
            try:
                async with _Named(handler.lifespan(info), handler):
                    self._entering = self.current = None
                    await self.run_inside(rest, info, run)
                    scope.deadline = self._begin_clean_up()
                    self.current = name
            except Exception as error:  # raised by the server when all is closed
                self._keep(error)
        if scope.cancelled_caught and self._entering is not scope:
            reason = f"the clean-up of {name} took over {self._cleanup_timeout:g} s"
            logger.error("%s: cut", reason)
            record_cut(self._swansong, GuardReport(), reason=reason)

    async def cancel_entry(self) -> None:
        """Pass a cancel(), or the deadline of a stop, on to the lifespan that is being entered.

        A scope that hears them itself cannot be put around the entry alone, for what a lifespan
        opens there stays open; and the scope around the lifespan must not hear what comes later.

        Cancellation:
          Nothing is passed on.
        """
        with attach_scope(self._swansong, counts=False) as order:
            await trio.sleep_forever()
        if order.cancelled_caught and self._entering is not None:
            self._entering.cancel(reason="the server was stopped while it started")

    def _begin_clean_up(self) -> float:
        """Return when all must be left. The first to be left starts the time."""
        if self._deadline is None:
            self._deadline = trio.current_time() + self._cleanup_timeout
        return self._deadline

    def __repr__(self) -> str:
        return f"<Lifespans, {self.current or 'none'} in progress>"


@final
class _Named:
    """Enters and leaves a lifespan; what it raises of its own gets a note with its name."""

    def __init__(self, lifespan: AbstractAsyncContextManager[object], handler: Handler) -> None:
        self._lifespan = lifespan
        self._handler = handler

    async def __aenter__(self) -> None:
        with naming(self._handler, "lifespan"):
            await self._lifespan.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        with naming(self._handler, "lifespan"):
            return await self._lifespan.__aexit__(exc_type, exc, traceback)


@contextmanager
def naming(handler: Handler, hook: str) -> Iterator[None]:
    """Note on whatever exception passes which hook of which handler it came from."""
    try:
        yield
    except Exception as error:
        add_note(error, f"in {handler_name(handler)}.{hook}")
        raise
