"""The lifespans of handlers: entered before the server is ready, exited after the drain."""

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
    """Enters nested lifespans, runs a function inside them, and exits them.

    Each is entered inside its own cancel scope. A lifespan may keep a nursery open, so a scope
    around its exit alone would corrupt the scope stack. All share one deadline, but each scope gets
    it only when its own exit begins: the lifespan that hangs is cut, not those around it.

    An exception of one lifespan goes to `keep`. So those around it exit normally, and each sees
    only its own exceptions.

    Args:
      swansong: The server's own node. Once it is stopped, no lifespan is entered.
      cleanup_timeout: See `Config`.
      keep: Called with each exception.

    Attributes:
      current: The name of the handler whose lifespan is being entered or exited.
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
        """Enter the lifespans of these handlers, call ``run``, and exit them in reverse order.

        Cancellation:
          They exit under the cancellation.
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
            except Exception as error:  # the server raises it when everything is closed
                self._keep(error)
        if scope.cancelled_caught and self._entering is not scope:
            reason = f"the clean-up of {name} took over {self._cleanup_timeout:g} s"
            logger.error("%s: cut", reason)
            record_cut(self._swansong, GuardReport(), reason=reason)

    async def cancel_entry(self) -> None:
        """Forward a cancel(), or the deadline of a stop, to the lifespan that is being entered.

        An attached scope cannot be around the entry alone, because what a lifespan opens there
        stays open; and an attached scope around the whole lifespan would also be cancelled later.

        Cancellation:
          Nothing is forwarded.
        """
        with attach_scope(self._swansong, counts=False) as attached:
            await trio.sleep_forever()
        if attached.cancelled_caught and self._entering is not None:
            self._entering.cancel(reason="the server was stopped while it started")

    def _begin_clean_up(self) -> float:
        """Return the deadline of the clean-up, which starts with the first exit."""
        if self._deadline is None:
            self._deadline = trio.current_time() + self._cleanup_timeout
        return self._deadline

    def __repr__(self) -> str:
        return f"<Lifespans, {self.current or 'none'} in progress>"


@final
class _Named:
    """Enters and exits a lifespan; adds a note with its name to the exceptions it raises."""

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
    """Add a note to any exception that passes: which hook of which handler raised it."""
    try:
        yield
    except Exception as error:
        add_note(error, f"in {handler_name(handler)}.{hook}")
        raise
