"""What the folder offers to servers: holds, uncounted scopes, recorded cuts."""

from __future__ import annotations

import queue
import threading
import weakref

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trillium_trio.exceptions import MisuseError
from trillium_trio.swansong import (
    GuardReport,
    Swansong,
    claim,
    drain_report,
    hold,
    no_guards,
    record_cut,
    was_cancelled,
)
from trillium_trio.swansong._node import SWEEP_AT
from trillium_trio.swansong._swansong import node_of


def test_a_hold_says_what_it_is() -> None:
    clean_up = hold(Swansong(), "clean-up")
    assert "clean-up" in repr(clean_up)
    assert __file__ in repr(clean_up)
    clean_up.release()
    assert "released" in repr(clean_up)


async def test_a_bare_claim_is_a_guard_that_nobody_drops() -> None:
    root = Swansong()
    holder = weakref.ref(trio.lowlevel.current_task())
    code = test_a_bare_claim_is_a_guard_that_nobody_drops.__code__
    taken = claim(root.child(), "GET /", holder, code)
    [entry] = root.guard_report(stacks=True)
    assert (entry.labels, len(entry.stacks)) == (("GET /",), 1)
    assert entry.site == taken.site
    assert __file__ in taken.site
    with pytest.raises(MisuseError):
        await root.shut_down()
    taken.release()
    taken.release()
    assert root.guard_count == 0
    assert (await root).finished == 1


def test_what_was_cut_off_shows_at_the_node_and_above() -> None:
    root = Swansong()
    server, other = root.child(), root.child()
    with server.guard("GET /slow"):
        report = server.guard_report()
    root.shut_down()
    record_cut(server, report, reason="drain_timeout")
    record_cut(root, GuardReport(), reason="later")
    for node in (server, root):
        found = node.block(timeout=5)
        assert (found.is_clean, found.reason) == (False, "drain_timeout")
        assert found.cancelled.entries == report.entries
    assert other.block(timeout=5).is_clean
    assert other.block(timeout=5).reason is None


async def test_no_guards_comes_before_the_holds_are_gone() -> None:
    root = Swansong()
    server = root.child()
    clean_up = hold(server, "clean-up")
    guard = server.guard()
    done = trio.Event()

    async def wait() -> None:
        await no_guards(server)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        completion = root.shut_down()
        await wait_all_tasks_blocked()
        assert not done.is_set()
        assert "pending" in repr(no_guards(server))
        guard.release()
    assert no_guards(server).is_complete
    await no_guards(server)
    assert not completion.is_complete
    clean_up.release()
    assert completion.is_complete


def test_was_cancelled_looks_up() -> None:
    root = Swansong()
    child = root.child()
    root.shut_down()
    assert not was_cancelled(child)
    root.cancel()
    assert was_cancelled(child)


async def test_scopes_that_are_over_are_forgotten() -> None:
    root = Swansong()
    for _ in range(3 * SWEEP_AT):
        child = root.child()
        with child.cancel_scope():
            child.cancel()
            await trio.sleep_forever()
    assert len(node_of(root).scopes) <= SWEEP_AT
    # Forgotten, but not that they were cut.
    assert not (await root.shut_down()).is_clean


def test_reprs() -> None:
    swansong = Swansong(name="app")
    with swansong.guard():
        assert repr(swansong) == "<Swansong 'app', running, 1 guards>"
        assert repr(swansong.shutting_down()) == "<ShuttingDown, pending>"
        assert repr(swansong.shut_down()) == "<ShutdownCompletion, pending>"
    assert repr(swansong.child()) == "<Swansong, complete, 0 guards>"
    assert repr(swansong.shutting_down()) == "<ShuttingDown, complete>"
    assert repr(swansong.shut_down()) == "<ShutdownCompletion, complete>"


def test_a_completion_made_in_the_middle_of_an_operation_has_not_begun() -> None:
    swansong = Swansong()
    seen: list[bool] = []
    node_of(swansong).tree.submit(lambda _: seen.append(swansong.shut_down().is_complete), None)
    assert seen == [False]
    assert swansong.shut_down().is_complete


def test_a_time_limit_of_none_is_no_limit() -> None:
    swansong = Swansong()
    swansong.shut_down(timeout=float("inf"))

    async def main() -> float:
        return swansong.cancel_scope().deadline

    assert trio.run(main) == float("inf")


def test_the_main_thread_looks_up_now_and_then_while_it_blocks() -> None:
    swansong = Swansong()
    parks: list[float] = []

    class Parked:
        """Sleeps through the signal, as the main thread may if that comes a moment too early."""

        def put(self, _: None) -> None:
            pass

        def get(self, timeout: float) -> None:
            parks.append(timeout)
            if len(parks) == 1:
                raise queue.Empty
            swansong.shut_down()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "SimpleQueue", Parked)
        swansong.shutting_down().block()
    assert parks == [1.0, 1.0]


def test_interrupt_refuses_what_is_none_of_the_kinds() -> None:
    with pytest.raises(TypeError):
        Swansong().interrupt(3)  # type: ignore[call-overload]  # that is the point


def test_two_threads_release_one_guard() -> None:
    swansong = Swansong()
    for _ in range(200):
        guard, other = swansong.guard(), swansong.guard()
        threads = [threading.Thread(target=guard.release) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert swansong.guard_count == 1
        other.release()


def test_the_report_of_a_drain_under_way() -> None:
    swansong = Swansong()
    clean_up = hold(swansong, "clean-up")
    with swansong.guard():
        swansong.shut_down()
    first, second = drain_report(swansong), drain_report(swansong)
    assert (first.finished, first.is_clean) == (1, True)
    assert 0 < first.duration < second.duration
    clean_up.release()
    assert drain_report(swansong) == drain_report(swansong)


def test_what_is_cancelled_twice_is_reported_once() -> None:
    root = Swansong()
    child, other = root.child(), root.child()
    with child.guard("mine"), other.guard("other"):
        child.cancel("first")
        root.cancel("second")
        child.child().cancel("third")
    assert root.block(timeout=5).cancelled.guard_count == 2
    report = child.block(timeout=5)
    assert [entry.labels for entry in report.cancelled] == [("mine",)]
    assert report.reason == "first"


def test_sw_5_what_a_child_has_cut_is_none_of_a_parent_that_runs() -> None:
    root = Swansong()
    for _ in range(3):
        child = root.child()
        with child.guard("cut"):
            child.cancel("away with it")
        assert not child.block(timeout=5).is_clean
    with root.guard():
        root.shut_down()
    report = root.block(timeout=5)
    assert report.is_clean
    assert (report.finished, report.cancelled.guard_count, report.reason) == (1, 0, None)


def test_what_a_child_has_cut_and_is_still_there_when_the_parent_is_cancelled() -> None:
    root = Swansong()
    child = root.child()
    with child.guard("cut"):
        child.cancel("first")
        root.shut_down()
        root.cancel("second")
        root.cancel("third")
    assert root.block(timeout=5).cancelled.guard_count == 1
    assert child.block(timeout=5).cancelled.guard_count == 1


def test_two_cancels_in_the_middle_of_an_operation_are_one() -> None:
    swansong = Swansong()

    def handler(_: object) -> None:
        swansong.cancel("first")
        swansong.cancel("second")

    with swansong.guard():
        node_of(swansong).tree.submit(handler, None)
    report = swansong.block(timeout=5)
    assert (report.reason, report.cancelled.guard_count) == ("first", 1)


async def test_an_order_for_a_scope_that_is_gone_is_no_matter() -> None:
    swansong = Swansong()
    scopes = [swansong.cancel_scope()]
    swansong.cancel()
    scopes.clear()
    await wait_all_tasks_blocked()
    assert (await swansong).is_clean
