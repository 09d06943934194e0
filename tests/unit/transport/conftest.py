"""A poller that runs, for those who want to wait at one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from trio.testing import wait_all_tasks_blocked

from trillium_trio.transport import Poller, _poller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import trio

    RunPoller = Callable[[], Awaitable[Poller]]


class NoRow:
    """Tasks that leave nothing to be done."""

    is_empty = True

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def run_poller(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> RunPoller:
    """Start a poller at which every socket waits that joins it."""

    async def run() -> Poller:
        for name in ("_TRIAL_AFTER", "_TO_BEGIN", "_TO_GO_ON"):
            monkeypatch.setattr(_poller, name, 0)
        poller = Poller(NoRow())
        nursery.start_soon(poller.run)
        await wait_all_tasks_blocked()
        return poller

    return run
