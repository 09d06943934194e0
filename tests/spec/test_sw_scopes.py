"""SW-9: cancel scopes that follow the swansong."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING, TypeVar

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trillium_trio.exceptions import MisuseError
from trillium_trio.swansong import Swansong, attach_scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


async def settle() -> None:
    """Let what was ordered reach this run."""
    await wait_all_tasks_blocked()


async def test_sw_9_cancel_stops_and_cancels_with_the_reason() -> None:
    swansong = Swansong()
    other = Swansong()
    async with trio.open_nursery() as nursery:

        async def work() -> None:
            with swansong.child().cancel_scope() as scope:
                with pytest.raises(trio.Cancelled, match="second signal"):
                    await trio.sleep_forever()
                assert scope.cancel_called
                raise ZeroDivisionError

        async def guarded_work() -> None:
            with pytest.raises(ZeroDivisionError):
                await work()

        nursery.start_soon(guarded_work)
        bystander = other.cancel_scope()
        await wait_all_tasks_blocked()
        swansong.cancel("second signal")
        swansong.cancel("third")
    assert not swansong.is_running
    assert not bystander.cancel_called
    assert (await swansong).reason == "second signal"


async def test_sw_9_a_scope_attached_after_cancel_is_born_cancelled() -> None:
    swansong = Swansong()
    swansong.cancel("why")
    with swansong.child().cancel_scope() as scope:
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


async def test_sw_9_a_child_can_be_cancelled_alone() -> None:
    root = Swansong()
    child = root.child()
    mine, theirs = root.cancel_scope(), child.cancel_scope()
    child.cancel()
    await settle()
    assert (mine.cancel_called, theirs.cancel_called) == (False, True)


async def test_sw_9_a_timeout_is_a_deadline_from_then(autojump_clock: MockClock) -> None:
    swansong = Swansong()
    await trio.sleep(100)
    with swansong.cancel_scope() as scope:
        swansong.shut_down(timeout=7)
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == 107
    assert autojump_clock.autojump_threshold == 0


async def test_sw_9_the_time_counts_from_the_call_not_from_its_arrival(
    mock_clock: MockClock,
) -> None:
    swansong = Swansong()
    scope = swansong.cancel_scope()
    swansong.shut_down(timeout=10)
    mock_clock.jump(5)
    await settle()
    assert scope.deadline == 10


async def test_sw_9_a_later_timeout_shortens_and_never_lengthens(autojump_clock: MockClock) -> None:
    swansong = Swansong()
    scope = swansong.cancel_scope()
    swansong.shut_down(timeout=10)
    await settle()
    assert scope.deadline == 10
    swansong.shut_down(timeout=20)
    await settle()
    assert scope.deadline == 10
    await trio.sleep(4)
    swansong.shut_down(timeout=3)
    await settle()
    assert scope.deadline == 7
    swansong.shut_down()
    await settle()
    assert scope.deadline == 7


async def test_sw_9_an_earlier_deadline_of_the_scope_is_kept(autojump_clock: MockClock) -> None:
    swansong = Swansong()
    scope = swansong.cancel_scope()
    scope.deadline = 2
    relative = swansong.cancel_scope()
    relative.relative_deadline = 3
    patient = swansong.cancel_scope()
    patient.relative_deadline = 300
    swansong.shut_down(timeout=10)
    await settle()
    assert scope.deadline == 2
    assert relative.relative_deadline == 3
    assert patient.relative_deadline == 10


async def test_sw_9_a_scope_attached_later_gets_what_is_left(autojump_clock: MockClock) -> None:
    swansong = Swansong()
    child = swansong.child()
    swansong.shut_down(timeout=10)
    await trio.sleep(4)
    assert swansong.cancel_scope().deadline == 10
    assert child.cancel_scope().deadline == 10
    child.shut_down(timeout=1)
    await settle()
    assert child.cancel_scope().deadline == 5
    assert swansong.cancel_scope().deadline == 10


def in_another_run(main: Callable[[], Awaitable[T]]) -> T:
    """Return what ``await main()`` returned, in a run with a virtual clock of its own."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(trio.run(main, clock=MockClock())))
    thread.start()
    thread.join()
    return results[0]


def test_sw_9_every_run_counts_by_its_own_clock() -> None:
    swansong = Swansong()
    attached = threading.Event()

    async def main() -> float:
        scope = swansong.cancel_scope()
        before = trio.current_time()
        attached.set()
        # What was ordered together with the stop arrives before it.
        await swansong.shutting_down()
        return scope.deadline - before

    def stop() -> None:
        attached.wait()
        swansong.shut_down(timeout=5)

    stopper = threading.Thread(target=stop)
    stopper.start()
    assert in_another_run(main) == 5
    stopper.join()


def test_sw_9_a_run_that_comes_later_gets_what_is_left_by_the_real_clock() -> None:
    swansong = Swansong()
    swansong.shut_down(timeout=1000)

    async def main() -> tuple[float, bool]:
        first = swansong.cancel_scope().deadline
        # From now on this run's own clock counts, which stands still.
        return first - trio.current_time(), first == swansong.cancel_scope().deadline

    left, is_same = in_another_run(main)
    assert 900 < left <= 1000
    assert is_same


async def test_sw_9_scopes_are_held_weakly() -> None:
    swansong = Swansong()
    scope = weakref.ref(swansong.child().cancel_scope())
    gc.collect()
    assert scope() is None


def test_sw_9_outside_a_run_a_scope_is_refused() -> None:
    swansong = Swansong()
    with pytest.raises(MisuseError):
        swansong.cancel_scope()
    with pytest.raises(MisuseError):
        attach_scope(swansong)


@pytest.mark.parametrize("timeout", [-1.0, float("nan")])
def test_sw_9_a_timeout_that_is_none_stops_nothing(timeout: float) -> None:
    swansong = Swansong()
    with pytest.raises(ValueError, match="timeout"):
        swansong.shut_down(timeout=timeout)
    assert swansong.is_running


async def test_sw_9_what_a_deadline_cuts_off_is_unclean(autojump_clock: MockClock) -> None:
    swansong = Swansong()
    with swansong.cancel_scope(), swansong.guard():
        swansong.shut_down(timeout=1)
        await trio.sleep_forever()
    report = await swansong
    assert not report.is_clean
    assert report.cancelled.is_empty


async def test_sw_9_what_is_still_being_cut_off_at_completion_is_unclean(
    autojump_clock: MockClock,
) -> None:
    swansong = Swansong()
    with swansong.cancel_scope():
        try:
            with swansong.guard():
                completion = swansong.shut_down(timeout=1)
                await trio.sleep_forever()
        finally:
            assert completion.is_complete
    assert not (await completion).is_clean


async def test_sw_9_what_ends_before_its_deadline_is_clean(autojump_clock: MockClock) -> None:
    swansong = Swansong()
    with swansong.cancel_scope(), swansong.guard():
        swansong.shut_down(timeout=2)
        await trio.sleep(1)
    assert (await swansong).is_clean
    await trio.sleep(5)
    assert (await swansong).is_clean


async def test_sw_9_a_scope_that_does_not_count_never_is_unclean() -> None:
    swansong = Swansong()
    with attach_scope(swansong, counts=False) as scope:
        swansong.cancel()
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert (await swansong).is_clean


async def test_sw_9_cancel_reports_what_was_outstanding_with_stacks() -> None:
    root = Swansong()
    child = root.child()
    async with trio.open_nursery() as nursery:

        async def work() -> None:
            with child.cancel_scope(), child.guard("GET /slow"):
                await trio.sleep_forever()

        nursery.start_soon(work)
        await wait_all_tasks_blocked()
        root.cancel("enough")
    for report in (await root, await child):
        assert not report.is_clean
        [entry] = report.cancelled
        assert entry.labels == ("GET /slow",)
        assert " in work" in entry.stacks[0]
        assert report.reason == "enough"
        assert report.finished == 0


async def test_sw_9_cancelling_nothing_is_clean() -> None:
    swansong = Swansong()
    report = await swansong.cancel("because")
    assert report.is_clean
    assert report.reason == "because"
