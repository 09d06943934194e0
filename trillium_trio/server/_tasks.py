"""Tasks that handlers start in the server: background work and services."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from .._log import callable_name
from ..exceptions import MisuseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..swansong import Guard, Swansong

__all__ = ["Tasks"]


@final
class Tasks:
    """Starts tasks in the right nursery, or queues them until there is one.

    *Background work* is guarded from the call on, drained like a request, and cut like one at the
    deadline of a drain; its failure is logged. *Services* run until the connections are gone; the
    failure of one ends the server.

    Args:
      swansong: Where background work is guarded.
      contain: Logs an exception of background work; returns the cancellation its task must raise.
      watch: Runs a service by name, and ends the server if it fails.
    """

    def __init__(
        self,
        swansong: Swansong,
        *,
        contain: Callable[[str, BaseException], BaseException | None],
        watch: Callable[..., Awaitable[None]],
    ) -> None:
        self._swansong = swansong
        self._contain = contain
        self._watch = watch
        self._background: trio.Nursery | None = None
        self._services: trio.Nursery | None = None
        self._is_closed = False
        self._early: list[Callable[[], None]] = []
        self._work: dict[trio.CancelScope, Guard] = {}
        self._cut_reason: str | None = None
        self._running: list[str] = []

    @property
    def stragglers(self) -> list[str]:
        """The names of the services that still run although everything else is over."""
        return self._running if self._is_closed else []

    def open(self, *, background: trio.Nursery, services: trio.Nursery) -> None:
        """Start the queued tasks; from now on, start tasks at once."""
        self._background, self._services = background, services
        early, self._early = self._early, []
        for start in early:
            start()

    def close(self) -> None:
        """Refuse new tasks: the nurseries are about to close."""
        self._is_closed = True

    def cut(self, reason: str) -> None:
        """Cancel all background work, including what starts from now on."""
        self._cut_reason = reason
        for scope in self._work:
            scope.cancel(reason=reason)

    def start_background(
        self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        """See `Starter`. The work is guarded when this returns.

        Raises:
          MisuseError: The server is over.
        """
        self._refuse_if_closed(fn)
        guard = self._swansong.guard(callable_name(fn))
        scope = trio.CancelScope()
        if self._cut_reason is not None:
            scope.cancel(reason=self._cut_reason)
        self._work[scope] = guard
        self._start(lambda: _spawn(self._background, self._run_background, fn, args, guard, scope))

    def start_service(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        """See `Starter`.

        Raises:
          MisuseError: The server is over.
        """
        self._refuse_if_closed(fn)
        self._start(lambda: _spawn(self._services, self._run_service, fn, args))

    def discard(self) -> None:
        """Drop the queued tasks: the server is over."""
        self.close()
        self._early.clear()
        for guard in self._work.values():
            guard.release()
        self._work.clear()

    def _start(self, start: Callable[[], None]) -> None:
        if self._background is None:
            self._early.append(start)
        else:
            start()

    def _refuse_if_closed(self, fn: object) -> None:
        if self._is_closed:
            raise MisuseError(f"{callable_name(fn)} cannot be started: the server is over")

    async def _run_service(
        self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        name = f"service {callable_name(fn)}"
        self._running.append(name)
        try:
            await self._watch(name, fn, *args)
        finally:
            self._running.remove(name)

    async def _run_background(
        self,
        fn: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
        guard: Guard,
        scope: trio.CancelScope,
    ) -> None:
        try:
            with guard, scope:
                # Inside the scope, which calls methods of an exception group that passes it.
                try:
                    await fn(*args)
                except BaseException as error:
                    cancelled = self._contain(callable_name(fn), error)
                    if cancelled is not None:
                        raise cancelled from None
        finally:
            del self._work[scope]

    def __repr__(self) -> str:
        return f"<Tasks, {len(self._work)} in the background>"


def _spawn(
    nursery: trio.Nursery | None, fn: Callable[..., Awaitable[object]], *args: object
) -> None:
    assert nursery is not None, "started only once the nurseries are open"
    nursery.start_soon(fn, *args)
