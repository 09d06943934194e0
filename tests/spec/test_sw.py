"""The clauses of docs/spec/swansong.md, SW-1 to SW-5 and SW-10 to SW-14, in order.

What ends at the stop (SW-6), what waits (SW-7, SW-8) and cancel scopes (SW-9) have files of their
own beside this one.
"""

from __future__ import annotations

import gc
import logging
import signal
import sys
import threading
import tracemalloc
import warnings
import weakref
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from trillium_trio.swansong import ShutdownState, Swansong, hold
from trillium_trio.swansong._node import Goal, Waiter
from trillium_trio.swansong._swansong import node_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from trillium_trio.swansong import DrainReport, Guard, ShutdownCompletion

RUNNING, SHUTTING_DOWN, COMPLETE = ShutdownState


# SW-1


def test_sw_1_states() -> None:
    swansong = Swansong()
    assert swansong.state is RUNNING
    first = swansong.guard()
    second = first.clone()
    assert (swansong.guard_count, swansong.state) == (2, RUNNING)
    completion = swansong.shut_down()
    assert (completion.is_complete, swansong.state) == (False, SHUTTING_DOWN)
    first.release()
    assert (completion.is_complete, swansong.state) == (False, SHUTTING_DOWN)
    second.release()
    assert (completion.is_complete, swansong.state) == (True, COMPLETE)


def test_sw_1_the_stop_is_a_latch() -> None:
    swansong = Swansong()
    swansong.shut_down()
    swansong.shut_down()
    assert not swansong.is_running
    assert swansong.state is COMPLETE


def test_sw_1_a_hold_delays_completion_out_of_sight() -> None:
    swansong = Swansong()
    clean_up = hold(swansong.child(), "clean-up")
    completion = swansong.shut_down()
    assert swansong.guard_count == 0
    assert swansong.guard_report().is_empty
    assert (completion.is_complete, swansong.state) == (False, SHUTTING_DOWN)
    clean_up.release()
    clean_up.release()
    assert (completion.is_complete, swansong.state) == (True, COMPLETE)


def test_sw_1_a_resolved_completion_stays_resolved() -> None:
    swansong = Swansong()
    resolved = swansong.shut_down()
    late = swansong.guard()
    assert swansong.state is SHUTTING_DOWN
    assert resolved.is_complete
    pending = swansong.shut_down()
    assert not pending.is_complete
    late.release()
    assert pending.is_complete
    assert swansong.state is COMPLETE


def test_sw_1_completion_between_two_looks_counts() -> None:
    swansong = Swansong()
    first = swansong.guard()
    completion = swansong.shut_down()
    first.release()
    second = swansong.guard()
    assert completion.is_complete
    second.release()


def test_sw_1_the_report_of_a_clean_drain() -> None:
    swansong = Swansong()
    with swansong.guard():
        swansong.shut_down()
    report = swansong.block(timeout=5)
    assert report.is_clean
    assert report.finished == 1
    assert report.cancelled.is_empty
    assert report.duration >= 0


# SW-2


def test_sw_2_is_synchronous_and_visible_at_once_in_every_thread() -> None:
    swansong = Swansong()
    seen: list[bool] = []
    swansong.shut_down()
    thread = threading.Thread(target=lambda: seen.append(swansong.is_running))
    thread.start()
    thread.join()
    assert seen == [False]


class Interruption:
    """Calls back in the middle of an operation, as a signal handler or finalizer would be."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    def during_an_operation_of(self, swansong: Swansong) -> None:
        def operation(_: object) -> None:
            self.call()

        node_of(swansong).tree.submit(operation, None)


@pytest.fixture
def usr1() -> object:
    """Restore the handler of SIGUSR1, which the test may set."""
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("usr1")
def test_sw_2_a_signal_handler_may_do_everything_in_the_middle_of_an_operation() -> None:
    swansong = Swansong()
    before = swansong.guard()
    handled: list[tuple[Guard, ShutdownCompletion, int, bool]] = []

    def handler(*_: object) -> None:
        guard = swansong.guard()
        completion = swansong.shut_down()
        before.release()
        handled.append((guard, completion, swansong.guard_count, swansong.is_running))

    signal.signal(signal.SIGUSR1, handler)
    Interruption(lambda: signal.raise_signal(signal.SIGUSR1)).during_an_operation_of(swansong)

    [(guard, completion, count_inside, running_inside)] = handled
    # One guard was taken in there, and one released; both show at once, and so does the latch.
    assert (count_inside, running_inside) == (1, False)
    assert (swansong.guard_count, completion.is_complete) == (1, False)
    guard.release()
    assert completion.is_complete


def test_sw_2_a_finalizer_may_stop_in_the_middle_of_an_operation() -> None:
    swansong = Swansong()

    class Finalized:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            swansong.shut_down()

    Finalized()
    Interruption(gc.collect).during_an_operation_of(swansong)
    assert swansong.state is COMPLETE


def test_sw_2_a_run_that_has_ended_is_forgotten() -> None:
    swansong = Swansong()
    scopes: list[trio.CancelScope] = []

    async def run() -> None:
        scopes.append(swansong.cancel_scope())

    trio.run(run)
    swansong.cancel()
    assert swansong.state is COMPLETE
    assert len(scopes) == 1


async def test_sw_2_trio_objects_are_touched_in_their_own_run_only() -> None:
    swansong = Swansong()
    scope = swansong.cancel_scope()
    own = threading.get_ident()
    touched: list[int] = []
    real = trio.CancelScope.cancel

    def spy(self: trio.CancelScope, reason: str | None = None) -> None:
        touched.append(threading.get_ident())
        real(self, reason)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.CancelScope, "cancel", spy)
        await trio.to_thread.run_sync(swansong.cancel)
        with scope:
            await trio.sleep_forever()
    assert touched == [own]


# SW-3


def test_sw_3_counts_from_the_call_on() -> None:
    swansong = Swansong()
    guard = swansong.guard()
    assert swansong.guard_count == 1
    with guard:
        assert swansong.guard_count == 1
    assert swansong.guard_count == 0


def test_sw_3_release_is_idempotent() -> None:
    swansong = Swansong()
    guard, other = swansong.guard(), swansong.guard()
    guard.release()
    guard.release()
    assert swansong.guard_count == 1
    other.release()


def test_sw_3_a_clone_counts_on_its_own_and_inherits_the_site() -> None:
    swansong = Swansong()
    guard = swansong.guard("label")
    middle = guard.clone()
    clone = middle.clone()
    guard.release()
    middle.release()
    assert swansong.guard_count == 1
    assert clone.site == guard.site
    assert clone.label == "label"
    clone.release()


def test_sw_3_a_collected_guard_is_released_and_warns_naming_the_site() -> None:
    swansong = Swansong()
    guards = [swansong.guard()]
    site = guards[0].site
    with pytest.warns(ResourceWarning, match="was never released") as caught:
        guards.clear()
    assert site in str(caught[0].message)
    assert swansong.guard_count == 0


def test_sw_3_the_warning_comes_outside_the_lock() -> None:
    swansong = Swansong()
    guards = [swansong.guard()]
    called: list[bool] = []
    was_called_at_once: list[bool] = []

    def show(*_: object, **__: object) -> None:
        # In the middle of an operation this would be left for later.
        Waiter(node_of(swansong), Goal.NO_GUARDS, partial(called.append, True)).start()
        was_called_at_once.extend(called)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        Interruption(guards.clear).during_an_operation_of(swansong)
    assert was_called_at_once == [True]


# SW-4


def test_sw_4_a_guard_may_be_taken_after_the_stop() -> None:
    swansong = Swansong()
    accepted = swansong.guard()
    completion = swansong.shut_down()
    late = swansong.guard()
    accepted.release()
    assert not completion.is_complete
    late.release()
    assert completion.is_complete


# SW-5


def test_sw_5_stop_flows_down_never_up_nor_aside() -> None:
    root = Swansong()
    child, sibling = root.child(), root.child()
    grandchild = child.child()
    child.shut_down()
    assert [node.is_running for node in (root, child, grandchild, sibling)] == [
        True,
        False,
        False,
        True,
    ]
    assert child.state is COMPLETE
    root.shut_down()
    assert not sibling.is_running


def test_sw_5_a_child_of_a_stopped_parent_is_born_stopped() -> None:
    root = Swansong()
    root.shut_down()
    assert root.child().child().state is COMPLETE
    assert root.state is COMPLETE


def test_sw_5_counts_add_upward() -> None:
    root = Swansong()
    child_a, child_b = root.child(), root.child()
    grandchild = child_a.child()
    guards = [child_a.guard(), child_a.guard(), child_b.guard(), grandchild.guard(), root.guard()]
    counts = [node.guard_count for node in (grandchild, child_a, child_b, root)]
    assert counts == [1, 3, 1, 5]
    for guard in guards:
        guard.release()
    assert root.guard_count == 0


def test_sw_5_a_child_without_guards_delays_nobody() -> None:
    root = Swansong()
    children = [root.child() for _ in range(3)]
    assert (root.guard_count, root.state) == (0, RUNNING)
    assert root.shut_down().is_complete
    del children


def test_sw_5_completion_waits_for_a_guard_of_a_child() -> None:
    root = Swansong()
    guard = root.child().guard()
    completion = root.shut_down()
    assert (root.state, completion.is_complete) == (SHUTTING_DOWN, False)
    guard.release()
    assert completion.is_complete


def test_sw_5_guards_outlive_the_handle_of_their_child() -> None:
    root = Swansong()
    child = root.child()
    guard = child.guard()
    handle = weakref.ref(child)
    del child
    assert handle() is None
    assert (root.guard_count, root.state) == (1, RUNNING)
    completion = root.shut_down()
    assert not completion.is_complete
    guard.release()
    assert (root.guard_count, completion.is_complete) == (0, True)


async def test_sw_5_work_of_a_child_whose_handle_is_gone_still_ends_with_the_parent() -> None:
    root = Swansong()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            with root.child().interrupt() as scope:
                await trio.sleep_forever()
            assert scope.cancelled_caught

        nursery.start_soon(serve)
        await trio.testing.wait_all_tasks_blocked()
        root.shut_down()


def test_sw_5_children_leave_no_memory_behind() -> None:
    root = Swansong()

    def make_and_drop(count: int) -> None:
        for number in range(count):
            child = root.child()
            if number % 10 == 0:
                child.guard().release()

    make_and_drop(100)
    # By reference counting alone: no cycle has to wait for the collector.
    gc.disable()
    try:
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        make_and_drop(100_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert after - before < 10_000


def test_sw_5_threads_count_right_across_the_tree() -> None:
    root = Swansong()
    children = [root.child() for _ in range(3)]
    nodes = [*children, *(child.child() for child in children)]

    def work(swansong: Swansong) -> None:
        for _ in range(300):
            swansong.guard().release()

    threads = [threading.Thread(target=work, args=(node,)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [node.guard_count for node in (root, *nodes)] == [0] * 7


def test_sw_5_no_child_runs_under_a_stopped_parent_however_they_race() -> None:
    root = Swansong()
    born: list[Swansong] = []
    ready = threading.Barrier(5)

    def create() -> None:
        ready.wait()
        born.extend(root.child() for _ in range(40))

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    ready.wait()
    root.shut_down()
    for thread in threads:
        thread.join()
    assert len(born) == 160
    assert not any(child.is_running for child in born)
    assert root.state is COMPLETE


# SW-10


def test_sw_10_groups_by_site_oldest_first_with_labels() -> None:
    swansong = Swansong()
    guards = [swansong.guard(label) for label in ("GET /a", "GET /b", None)]
    other = swansong.guard()
    report = swansong.guard_report()
    assert report.guard_count == 4
    first, second = report.entries
    assert (first.count, first.labels) == (3, ("GET /a", "GET /b"))
    assert (second.count, second.labels) == (1, ())
    assert first.oldest_age >= second.oldest_age
    assert first.site == guards[2].site
    assert __file__ in first.site
    for guard in (*guards, other):
        guard.release()
    assert str(swansong.guard_report()) == "no outstanding guards"


def test_sw_10_a_report_covers_the_subtree() -> None:
    root = Swansong()
    child = root.child()
    with root.guard(), child.guard():
        assert root.guard_report().guard_count == 2
        assert child.guard_report().guard_count == 1


async def test_sw_10_stacks_show_where_the_holder_is_parked() -> None:
    swansong = Swansong()

    async def query() -> None:
        await trio.sleep_forever()

    async def handler() -> None:
        with swansong.guard("GET /slow"):
            await query()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(handler)
        await trio.testing.wait_all_tasks_blocked()
        [entry] = swansong.guard_report(stacks=True)
        assert entry.where is not None
        assert entry.where.endswith(" in query")
        [stack] = entry.stacks
        lines = stack.splitlines()
        # Nothing of trio below them.
        assert [line.rpartition(" in ")[2] for line in lines[1:]] == ["query", "handler"]
        nursery.cancel_scope.cancel()


# SW-11


def test_sw_11_only_a_late_release_logs_one_line(caplog: pytest.LogCaptureFixture) -> None:
    swansong = Swansong()
    with caplog.at_level(logging.DEBUG, "trillium_trio.swansong"):
        swansong.guard("early").release()
        assert caplog.messages == []
        late = swansong.child().guard("GET /late")
        swansong.shut_down()
        late.release()
        late.release()
    [message] = caplog.messages
    assert late.site in message
    assert "GET /late" in message
    assert "0.0s" in message
    [record] = caplog.records
    assert record.levelno == logging.DEBUG


# SW-12


def test_sw_12_several_trio_runs_in_several_threads_behave_as_one() -> None:
    swansong = Swansong()
    reports: list[DrainReport] = []
    up = threading.Barrier(4)
    guards = [swansong.guard() for _ in range(3)]

    async def run(guard: Guard) -> None:
        await trio.to_thread.run_sync(up.wait)
        await swansong.shutting_down()
        guard.release()
        reports.append(await swansong)

    threads = [threading.Thread(target=trio.run, args=(run, guard)) for guard in guards]
    for thread in threads:
        thread.start()
    up.wait()
    own = swansong.shut_down().block(timeout=10)
    for thread in threads:
        thread.join()
    assert own.finished == 3
    assert [report.finished for report in reports] == [3, 3, 3]


# SW-13


def calls_of(work: Callable[[], object]) -> int:
    """Count the function calls that some work takes."""
    calls = 0

    def profile(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    gc.disable()  # the collector calls back
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def test_sw_13_a_guard_costs_the_same_however_much_is_outstanding() -> None:
    root = Swansong()
    child = root.child()
    alone = calls_of(lambda: child.guard().release())
    crowd = [root.child().guard() for _ in range(500)]
    assert calls_of(lambda: child.guard().release()) == alone
    assert calls_of(lambda: root.guard_count) == calls_of(lambda: child.guard_count)
    for guard in crowd:
        guard.release()


async def test_sw_13_a_stop_looks_at_its_own_subtree_only() -> None:
    root = Swansong()
    looked: list[object] = []
    real: Callable[[Waiter], bool] = vars(Waiter)["is_due"].fget
    async with trio.open_nursery() as nursery:

        async def wait(swansong: Swansong) -> None:
            await swansong.shutting_down()

        child = root.child()
        for node in (child, *(root.child() for _ in range(50))):
            nursery.start_soon(wait, node)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.MonkeyPatch.context() as patch:

            def spy(self: Waiter) -> bool:
                looked.append(self)
                return real(self)

            patch.setattr(Waiter, "is_due", property(spy))
            child.shut_down()
        assert len(looked) == 1
        root.shut_down()


# SW-14


async def test_sw_14_leaving_normally_drains() -> None:
    finished = trio.Event()
    async with trio.open_nursery() as nursery:
        async with Swansong() as swansong:

            async def work(guard: Guard) -> None:
                with guard:
                    await swansong.shutting_down()
                finished.set()

            nursery.start_soon(work, swansong.guard())
        assert finished.is_set()
        assert swansong.state is COMPLETE


async def test_sw_14_leaving_with_an_exception_cancels() -> None:
    swansong = Swansong()
    async with trio.open_nursery() as nursery:

        async def work() -> None:
            with swansong.cancel_scope() as scope, swansong.guard():
                await trio.sleep_forever()
            assert scope.cancelled_caught

        nursery.start_soon(work)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ZeroDivisionError):
            async with swansong:
                raise ZeroDivisionError
    report = await swansong
    assert not report.is_clean
    assert report.cancelled.guard_count == 1
    assert report.reason == "left with ZeroDivisionError"
