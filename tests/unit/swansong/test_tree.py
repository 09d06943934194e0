"""The queue of operations: who carries them out, when, and with which locks held."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from trillium_trio.swansong._node import Goal, Node, Waiter
from trillium_trio.swansong._tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable


def is_free(tree: Tree) -> bool:
    """Tell, in another thread, whether the tree's lock can be had at once."""
    answers: list[bool] = []
    thread = threading.Thread(target=tree.submit, args=(answers.append, True), daemon=True)
    thread.start()
    thread.join(timeout=0.2)
    return answers == [True]


def test_operations_are_carried_out_in_order() -> None:
    tree = Tree()
    done: list[int] = []
    tree.submit(done.append, 1)
    tree.submit(done.append, 2)
    assert done == [1, 2]


def test_an_operation_within_an_operation_is_left_for_the_outer_frame() -> None:
    tree = Tree()
    done: list[object] = []

    def outer(_: object) -> None:
        tree.submit(done.append, "inner")
        done.append("outer")

    tree.submit(outer, None)
    assert done == ["outer", "inner"]


def test_the_outbox_is_emptied_without_the_lock() -> None:
    tree = Tree()
    free: list[bool] = []
    tree.submit(lambda _: tree.later(lambda: free.append(is_free(tree))), None)
    assert free == [True]


def test_the_outbox_of_an_inner_frame_waits_for_the_outer_frame() -> None:
    tree = Tree()
    free: list[bool] = []

    def outer(_: object) -> None:
        tree.submit(lambda _: tree.later(lambda: free.append(is_free(tree))), None)
        assert free == []

    tree.submit(outer, None)
    assert free == [True]


def test_two_locks_taken_in_opposite_orders_do_not_deadlock() -> None:
    # A signal handler stops while its thread holds trio's lock; another thread wakes a trio run.
    tree = Tree()
    foreign = threading.RLock()
    inside, done = threading.Event(), threading.Event()

    def take_foreign() -> None:
        inside.set()
        with foreign:
            done.set()

    other = threading.Thread(
        target=lambda: tree.submit(lambda _: tree.later(take_foreign), None), daemon=True
    )
    with foreign:
        other.start()
        assert inside.wait(timeout=10)
        assert is_free(tree)
        assert not done.is_set()
    other.join(timeout=10)
    assert done.is_set()


def test_an_operation_that_raises_leaves_the_tree_in_order() -> None:
    tree = Tree()
    with pytest.raises(ZeroDivisionError):
        tree.submit(lambda _: 1 // 0, None)  # type: ignore[arg-type]  # never returns
    done: list[int] = []
    tree.submit(done.append, 1)
    assert done == [1]


def test_an_operation_left_after_the_last_look_is_not_lost() -> None:
    tree = Tree()
    done: list[int] = []

    class Unmarked(set[int]):
        """Calls back just before the thread is unmarked, as a signal handler may."""

        call: Callable[[], object] | None = None

        def discard(self, ident: object) -> None:
            if (call := self.call) is not None:
                self.call = None
                call()
            super().discard(ident)

    tree._inside = inside = Unmarked()
    inside.call = lambda: tree.submit(done.append, 2)
    tree.submit(done.append, 1)
    assert done == [1, 2]


@pytest.mark.parametrize("goal", list(Goal))
def test_a_waiter_is_called_once_and_leaves_no_trace(goal: Goal) -> None:
    root = Node()
    node = Node(Node(root))
    woken: list[Goal] = []
    waiter = Waiter(node, goal, lambda: woken.append(goal))
    if goal is not Goal.NO_GUARDS:
        waiter.start()
        assert waiter in root.waiters
    root.stop()
    root.stop()
    waiter.start() if goal is Goal.NO_GUARDS else None
    assert woken == [goal]
    assert [node.waiters, root.waiters] == [{}, {}]
    waiter.cancel()


def test_a_waiter_that_gives_up_is_not_called() -> None:
    root = Node()
    woken: list[bool] = []
    waiter = Waiter(Node(root), Goal.STOP, lambda: woken.append(True))
    waiter.start()
    waiter.cancel()
    root.stop()
    assert woken == []
    assert root.waiters == {}
