"""Where holders are parked, as reports show it."""

from __future__ import annotations

import queue
import sys
import threading
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trillium_trio._log import is_application
from trillium_trio.swansong import Swansong
from trillium_trio.swansong._stacks import Snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from types import FrameType

    from trillium_trio.swansong import GuardEntry


def functions(stack: str) -> list[str]:
    """Return the names of the functions, in the order shown."""
    return [line.rpartition(" in ")[2] for line in stack.splitlines() if " in " in line]


def entry_of(swansong: Swansong) -> GuardEntry:
    [entry] = swansong.guard_report(stacks=True)
    return entry


async def test_a_guard_without_a_holder_has_no_stack() -> None:
    swansong = Swansong()
    guard = swansong.guard()
    entry = entry_of(swansong)
    assert (entry.stacks, entry.where) == ((), None)
    guard.release()


async def test_child_tasks_are_indented_below_their_parent() -> None:
    swansong = Swansong()

    async def leaf() -> None:
        await trio.sleep_forever()

    async def handler() -> None:
        with swansong.guard():
            async with trio.open_nursery() as nursery:
                for _ in range(12):
                    nursery.start_soon(leaf)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(handler)
        await wait_all_tasks_blocked()
        entry = entry_of(swansong)
        nursery.cancel_scope.cancel()
    [stack] = entry.stacks
    lines = stack.splitlines()
    assert "handler" in lines[0]
    assert sum(line.startswith("  task ") and line.endswith(".leaf") for line in lines) == 10
    assert lines[-1] == "  and 2 more child tasks"
    assert entry.where is not None
    assert entry.where.endswith(" in handler")


@pytest.mark.parametrize("to_thread", [trio.to_thread.run_sync, anyio.to_thread.run_sync])
async def test_the_frames_of_a_worker_thread(
    to_thread: Callable[[Callable[[], object]], Awaitable[object]],
) -> None:
    swansong = Swansong()
    started, go_on = threading.Event(), threading.Event()

    def sync_query() -> None:
        started.set()
        go_on.wait()

    async def handler() -> None:
        with swansong.guard():
            await to_thread(sync_query)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(handler)
        await wait_all_tasks_blocked()
        started.wait()
        entry = entry_of(swansong)
        go_on.set()
    [stack] = entry.stacks
    assert "worker thread" in stack
    own, _, worker = stack.partition("worker thread")
    assert functions(own)[0] == "handler"
    assert functions(worker)[0] == "sync_query"
    assert entry.where is not None
    assert entry.where.endswith(" in sync_query")


async def test_a_worker_that_waits_for_nobody_belongs_to_nobody() -> None:
    # Its task was cancelled and has abandoned it.
    started, go_on, over = threading.Event(), threading.Event(), threading.Event()
    swansong = Swansong()

    def abandoned() -> None:
        started.set()
        go_on.wait()
        over.set()

    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await trio.to_thread.run_sync(abandoned, abandon_on_cancel=True)

        nursery.start_soon(run)
        await wait_all_tasks_blocked()
        started.wait()
        nursery.cancel_scope.cancel()
    with swansong.guard():
        assert "abandoned" not in entry_of(swansong).stacks[0]
    go_on.set()
    over.wait()


def test_a_task_that_blocks_its_loop_is_seen_from_another_thread() -> None:
    swansong = Swansong()
    started, go_on = threading.Event(), threading.Event()

    def wedge() -> None:
        started.set()
        go_on.wait()

    async def handler() -> None:
        with swansong.guard():
            wedge()

    thread = threading.Thread(target=trio.run, args=(handler,))
    thread.start()
    started.wait()
    entry = entry_of(swansong)
    go_on.set()
    thread.join()
    assert entry.where is not None
    assert entry.where.endswith(" in wedge")
    assert functions(entry.stacks[0])[:2] == ["wedge", "handler"]


def test_a_thread_outside_any_run() -> None:
    swansong = Swansong()
    started: queue.SimpleQueue[None] = queue.SimpleQueue()
    go_on = threading.Event()

    def hold() -> None:
        with swansong.guard():
            started.put(None)
            go_on.wait()

    thread = threading.Thread(target=hold, name="batch")
    thread.start()
    started.get()
    entry = entry_of(swansong)
    go_on.set()
    thread.join()
    assert entry.stacks[0].splitlines()[0] == "thread batch"
    assert entry.where is not None
    assert entry.where.endswith(" in hold")


class Opaque:
    """Waits for ever, and lets nobody look inside."""

    def __await__(self) -> Any:
        inner: Generator[Any, Any, Any] = sleep_forever().__await__()

        class Steps:
            def __iter__(self) -> Any:
                return self

            def __next__(self) -> Any:
                return inner.send(None)

            def send(self, value: Any) -> Any:
                return inner.send(value)

            def throw(self, *error: Any) -> Any:
                return inner.throw(*error)

        return Steps()


async def sleep_forever() -> None:
    await trio.sleep_forever()


async def test_an_awaitable_that_trio_cannot_look_into() -> None:
    swansong = Swansong()

    async def handler() -> None:
        with swansong.guard():
            await Opaque()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(handler)
        await wait_all_tasks_blocked()
        assert functions(entry_of(swansong).stacks[0]) == ["handler"]
        nursery.cancel_scope.cancel()


async def test_many_guards_of_one_site_show_the_oldest_ten() -> None:
    swansong = Swansong()

    async def handler(number: int) -> None:
        with swansong.guard(number):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(handler, number)
        await wait_all_tasks_blocked()
        entry = entry_of(swansong)
        nursery.cancel_scope.cancel()
    assert (entry.count, len(entry.labels), len(entry.stacks)) == (12, 12, 10)
    # Ten times the same place is one place.
    assert "(and 9 more like it)" in str(entry)
    assert str(entry).count(" in handler") == 1


async def test_a_stack_that_cannot_be_taken_is_left_out() -> None:
    swansong = Swansong()
    with swansong.guard(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Snapshot, "stack", lambda *_: 1 // 0)
        assert entry_of(swansong).stacks == ()


def test_what_counts_as_application() -> None:
    def frame_in(module: str) -> FrameType:
        scope: dict[str, Any] = {"__name__": module, "sys": sys}
        exec("frame = sys._getframe()", scope)
        frame: FrameType = scope["frame"]
        return frame

    libraries = ["trio._core._run", "outcome", "anyio.to_thread", "asyncio", "trillium_trio.http"]
    applications = ["__main__", "my_app.views", "httpx._client", "tests.unit"]
    assert [name for name in libraries if is_application(frame_in(name))] == []
    assert [name for name in applications if not is_application(frame_in(name))] == []


async def test_a_worker_that_has_a_name_is_named() -> None:
    started, go_on = threading.Event(), threading.Event()
    swansong = Swansong()

    def query() -> None:
        started.set()
        go_on.wait()

    async def ask(name: str | None) -> None:
        with swansong.guard():
            await trio.to_thread.run_sync(query, thread_name=name)

    for name, heading in (("the shop", "worker thread the shop"), (None, "worker thread")):
        started.clear()
        go_on.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, name)
            await wait_all_tasks_blocked()
            started.wait()
            lines = entry_of(swansong).stacks[0].splitlines()
            go_on.set()
        assert lines[1].endswith(" in ask")
        assert heading in [line.strip() for line in lines]
