"""SW-7 and SW-8: waiting for the stop and for completion, and never for oneself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import Sequencer, wait_all_tasks_blocked

from trillium_trio.exceptions import MisuseError
from trillium_trio.swansong import Swansong, hold

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trillium_trio.swansong import Guard


# SW-7


async def test_sw_7_shutting_down_resolves_at_the_stop_not_at_completion() -> None:
    swansong = Swansong()
    guard = swansong.guard()
    stop, completion = trio.Event(), trio.Event()

    async def wait(what: Awaitable[object], then: trio.Event) -> None:
        await what
        then.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, swansong.child().shutting_down(), stop)
        nursery.start_soon(wait, swansong, completion)
        await wait_all_tasks_blocked()
        assert not stop.is_set()
        swansong.shut_down()
        await wait_all_tasks_blocked()
        assert (stop.is_set(), completion.is_set()) == (True, False)
        guard.release()
    assert completion.is_set()


async def test_sw_7_whoever_comes_late_need_not_wait() -> None:
    swansong = Swansong()
    swansong.shut_down()
    await swansong.shutting_down()
    await swansong
    assert swansong.shutting_down().is_complete


async def test_sw_7_one_object_can_be_awaited_often_and_given_up() -> None:
    swansong = Swansong()
    stop = swansong.shutting_down()
    for _ in range(3):
        with trio.move_on_after(0) as scope:
            await stop
        assert scope.cancelled_caught
        assert not stop.is_complete
    swansong.shut_down()
    await stop
    await stop


async def test_sw_7_waiting_causes_nothing() -> None:
    swansong = Swansong()
    with trio.move_on_after(0):
        await swansong
    assert swansong.is_running


def test_sw_7_a_thread_can_wait() -> None:
    swansong = Swansong()
    guard = swansong.guard()
    with pytest.raises(TimeoutError):
        swansong.shutting_down().block(timeout=0)
    with pytest.raises(TimeoutError):
        swansong.shut_down().block(timeout=0.001)
    swansong.shutting_down().block()
    releaser = threading.Thread(target=guard.release)
    releaser.start()
    assert swansong.block(timeout=float("inf")).finished == 1
    releaser.join()


def test_sw_7_a_stop_wakes_a_thread() -> None:
    swansong = Swansong()
    woken: list[bool] = []

    def wait() -> None:
        swansong.shutting_down().block()
        woken.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    swansong.shut_down()
    waiting.join()
    assert woken == [True]


async def test_sw_7_all_guarded_tasks_have_finished_when_the_wait_returns() -> None:
    swansong = Swansong()
    finished: list[int] = []
    started = 20

    async def work(number: int, guard: Guard) -> None:
        with guard:
            with swansong.interrupt():
                await trio.sleep_forever()
            await trio.lowlevel.checkpoint()
            finished.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(started):
            nursery.start_soon(work, number, swansong.guard())
        await wait_all_tasks_blocked()
        report = await swansong.shut_down()
        assert sorted(finished) == list(range(started))
        assert report.finished == started


# SW-8


async def test_sw_8_block_inside_a_trio_run_raises_at_once() -> None:
    swansong = Swansong()
    for wait in (swansong, swansong.shutting_down(), swansong.shut_down()):
        with pytest.raises(MisuseError, match="await instead"):
            wait.block()


async def expect_refusal(swansong: Swansong, site: str) -> None:
    with pytest.raises(MisuseError) as caught:
        await swansong.shut_down()
    assert site in str(caught.value)


async def test_sw_8_a_holder_by_with_may_stop_but_not_wait() -> None:
    swansong = Swansong()
    with swansong.child().guard() as guard:
        await expect_refusal(swansong, guard.site)
    await swansong


async def test_sw_8_a_descendant_of_a_holder_may_not_wait() -> None:
    swansong = Swansong()

    async def child(site: str) -> None:
        await expect_refusal(swansong, site)

    with swansong.guard() as guard:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child, guard.site)


async def test_sw_8_a_guarded_awaitable_may_not_wait() -> None:
    swansong = Swansong()

    async def wait() -> None:
        await swansong.shut_down()

    with pytest.raises(MisuseError, match="guard taken at"):
        await swansong.guarded(wait())
    assert swansong.guard_count == 0


async def test_sw_8_an_adopted_task_may_not_wait() -> None:
    swansong = Swansong()
    guard = swansong.guard().adopt()
    await expect_refusal(swansong, guard.site)
    guard.release()


async def test_sw_8_the_holder_of_a_hold_may_not_wait() -> None:
    swansong = Swansong()
    clean_up = hold(swansong, "a server")
    with pytest.raises(MisuseError, match="hold taken at"):
        await swansong.shut_down()
    clean_up.release()
    await swansong


async def test_sw_8_leaving_the_swansong_while_holding_a_guard_raises() -> None:
    swansong = Swansong()
    guard = swansong.guard().adopt()
    with pytest.raises(MisuseError):
        async with swansong:
            pass
    assert not swansong.is_running
    guard.release()


async def test_sw_8_others_may_wait_for_the_holder() -> None:
    swansong = Swansong()
    order = Sequencer()

    async def holder() -> None:
        async with order(0):
            guard = swansong.guard()
        with guard:
            async with order(1):
                pass
            await swansong.shutting_down()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(holder)
        async with order(2):
            assert (await swansong.shut_down()).finished == 1


def test_sw_8_a_thread_that_holds_a_guard_may_not_block() -> None:
    swansong = Swansong()
    with swansong.guard() as guard, pytest.raises(MisuseError, match="for ever") as caught:
        swansong.shut_down().block()
    assert guard.site in str(caught.value)


async def test_sw_8_nor_may_a_worker_thread_whose_task_holds_one() -> None:
    swansong = Swansong()
    with swansong.guard(), pytest.raises(MisuseError, match="for ever"):
        await trio.to_thread.run_sync(lambda: swansong.shut_down().block())
    await trio.to_thread.run_sync(lambda: swansong.shut_down().block())


def test_sw_8_a_guard_around_the_whole_run_counts_as_well() -> None:
    swansong = Swansong()

    async def main() -> None:
        await swansong.shut_down()

    with swansong.guard(), pytest.raises(MisuseError):
        trio.run(main)
