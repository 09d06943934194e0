"""Waiting in a task of its own, so that the test can look on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import trio


def collect(nursery: trio.Nursery, wait: Callable[[], Awaitable[object]]) -> list[object]:
    """Run a wait in a task; its result, or the exception that it raised, will be in the list."""
    outcome: list[object] = []

    async def run() -> None:
        try:
            outcome.append(await wait())
        except Exception as exc:
            outcome.append(exc)

    nursery.start_soon(run)
    return outcome
