"""Threads, signal handlers and finalizers, in whatever order the machine comes up with."""

from __future__ import annotations

import gc
import random
import signal
import sys
import threading
from contextlib import contextmanager
from threading import gettrace, settrace
from typing import TYPE_CHECKING

import pytest
import trio

from trillium_trio.swansong import ShutdownState, Swansong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trillium_trio.swansong import Guard


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    """Have threads take turns much more often than usual, and nobody watch.

    A tracer that measures coverage takes a lock of its own at any line, so also under the lock of
    a tree; a signal handler that interrupts it there and wants the tree waits for ever.
    """
    interval, tracer, tracer_of_threads = sys.getswitchinterval(), sys.gettrace(), gettrace()
    sys.setswitchinterval(2e-5)
    sys.settrace(None)
    settrace(None)
    yield
    if tracer_of_threads is not None:
        settrace(tracer_of_threads)
    sys.settrace(tracer)
    sys.setswitchinterval(interval)


class Together:
    """Worker threads that run one function each, all at once, round after round."""

    def __init__(self, *workers: Callable[[], object]) -> None:
        self.errors: list[BaseException] = []
        self.barrier = threading.Barrier(len(workers))
        self.threads = [threading.Thread(target=self.run, args=(work,)) for work in workers]
        for thread in self.threads:
            thread.start()

    def run(self, work: Callable[[], object]) -> None:
        try:
            self.barrier.wait()
            work()
        except BaseException as error:
            self.errors.append(error)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(timeout=20)
        assert not any(thread.is_alive() for thread in self.threads), "a wake-up was lost"
        assert self.errors == []


def in_random_order(*calls: Callable[[], object]) -> None:
    for call in random.sample(calls, len(calls)):
        call()


def test_stop_against_waiting_threads() -> None:
    for _ in range(400):
        root = Swansong()
        child = root.child()
        Together(
            root.shut_down,
            lambda: child.shutting_down().block(timeout=10),  # noqa: B023 - joined in this round
            lambda: child.block(timeout=10),  # noqa: B023 - joined in this round
        ).join()


def test_release_against_waiting_threads() -> None:
    for _ in range(400):
        root = Swansong()
        child = root.child()
        first, second = root.guard(), child.guard()
        Together(
            first.release,
            lambda: in_random_order(second.release, child.shut_down),  # noqa: B023 - joined in this round
            lambda: root.shut_down().block(timeout=10),  # noqa: B023 - joined in this round
        ).join()
        assert (root.guard_count, child.state) == (0, ShutdownState.COMPLETE)


async def test_stop_and_release_against_waiting_tasks() -> None:
    for _ in range(300):
        root = Swansong()
        child = root.child()
        guard = child.guard()

        async def wait(swansong: Swansong) -> None:
            await swansong.shutting_down()
            assert (await swansong).finished <= 1

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait, root)
                nursery.start_soon(wait, child)
                for call in (lambda: root.shut_down(timeout=1), guard.release):  # noqa: B023 - joined in this round
                    nursery.start_soon(trio.to_thread.run_sync, call)


def test_threads_that_do_everything_leave_the_right_counts() -> None:
    root = Swansong()
    nodes = [root, root.child(), root.child()]
    nodes.append(nodes[1].child())
    kept: list[Guard] = []

    def work() -> None:
        own = random.Random()
        mine: list[Guard] = []
        for _ in range(2_000):
            match own.randrange(5):
                case 0 | 1:
                    mine.append(own.choice(nodes).guard())
                case 2 if mine:
                    mine.append(own.choice(mine).clone())
                case 3 if mine:
                    mine.pop().release()
                case 4:
                    own.choice(nodes[1:]).shut_down()
                case _:
                    own.choice(nodes).guard_report()
            while len(mine) > 20:
                mine.pop(0).release()
        kept.append(root.guard())
        for guard in mine:
            guard.release()

    Together(*[work] * 4).join()
    assert [node.guard_count for node in nodes] == [4, 0, 0, 0]
    assert root.guard_report().guard_count == 4
    for guard in kept:
        guard.release()
    assert root.shut_down().is_complete


@contextmanager
def alarms(call: Callable[[], object]) -> Iterator[list[int]]:
    """Interrupt this thread with a call again and again; yields a count of them that grows.

    In a trio run, leave it before the run ends: trio closes what signals wake it with.
    """
    calls = [0]
    is_over = False

    def handler(*_: object) -> None:
        calls[0] += 1
        call()
        rearm()

    def rearm() -> None:
        # Not at fixed intervals: on a slow day nothing would get done between two calls.
        if not is_over:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 3e-4))

    before = signal.signal(signal.SIGALRM, handler)
    rearm()
    try:
        yield calls
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_signal_handlers_leave_the_right_counts() -> None:
    root = Swansong()
    child = root.child()
    taken: list[Guard] = []

    def handler() -> None:
        taken.append(child.guard())
        if len(taken) > 50:
            taken.pop(0).release()
        child.shut_down()

    over = threading.Event()

    def other_thread() -> None:
        while not over.is_set():
            root.guard().release()

    together = Together(other_thread)
    with alarms(handler) as calls:
        while calls[0] < 500:
            child.guard().release()
    over.set()
    together.join()
    assert root.guard_count == child.guard_count == len(taken) > 0
    for guard in taken:
        guard.release()
    assert root.guard_count == 0
    assert child.state is ShutdownState.COMPLETE


async def test_a_signal_handler_stops_a_trio_run_at_any_moment() -> None:
    current = [Swansong()]
    with alarms(lambda: current[0].shut_down(timeout=30)):
        for _ in range(200):
            swansong = current[0] = Swansong()
            with trio.fail_after(20), swansong.child().cancel_scope():
                with swansong.interrupt() as scope:
                    while True:
                        with swansong.guard():
                            await trio.lowlevel.checkpoint()
                assert scope.cancelled_caught
                assert (await swansong).is_clean


def test_a_blocked_main_thread_is_woken_by_its_own_signal_handler() -> None:
    current = [Swansong()]
    with alarms(lambda: current[0].shut_down(timeout=1)):
        for _ in range(300):
            swansong = current[0] = Swansong()
            swansong.block(timeout=20)
            assert not swansong.is_running


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_finalizers_leave_the_right_counts() -> None:
    root = Swansong()
    before = gc.get_threshold()
    # The collector runs in the middle of nearly everything.
    gc.set_threshold(3)
    try:

        def work() -> None:
            for _ in range(500):
                cycle: list[object] = [root.child().guard()]
                cycle.append(cycle)
                root.guard().release()

        Together(work, work).join()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert root.guard_count == 0
    assert root.shut_down().is_complete
