"""The one task that keeps all timeouts."""

from __future__ import annotations

import gc
import random
import weakref
from math import inf
from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trillium_trio.driver import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

    from trillium_trio.driver._watchdog import _Entry


class Thing:
    def __init__(self, then: Callable[[Thing], None] | None = None) -> None:
        self.deadline = inf
        self.entry: _Entry | None = None
        self.expired: list[float] = []
        self._then = then

    def expire(self) -> None:
        self.expired.append(trio.current_time())
        if self._then is not None:
            self._then(self)


async def test_each_deadline_is_met_exactly(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    dog = Watchdog()
    things = [Thing() for _ in range(200)]
    deadlines = [random.Random(n).uniform(0, 100) for n in range(200)]
    for thing, deadline in zip(things[:100], deadlines, strict=False):
        dog.arm(thing, deadline)
    nursery.start_soon(dog.run)
    await wait_all_tasks_blocked()
    for thing, deadline in zip(things[100:], deadlines[100:], strict=True):
        dog.arm(thing, deadline)
    await trio.sleep(101)
    assert [thing.expired for thing in things] == [[deadline] for deadline in deadlines]


async def test_the_last_word_counts(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    dog = Watchdog()
    nursery.start_soon(dog.run)
    sooner, later, disarmed, forgotten, again = things = [Thing() for _ in range(5)]
    for thing in things:
        dog.arm(thing, 10)
    await trio.sleep(5)
    dog.arm(sooner, 7)
    dog.arm(later, 20)
    disarmed.deadline = inf
    dog.forget(forgotten)
    again.deadline = inf
    dog.arm(again, 30)
    await trio.sleep(100)
    assert [thing.expired for thing in things] == [[7], [20], [], [], [30]]
    # Each is as good as new.
    dog.arm(disarmed, 200)
    dog.arm(forgotten, 201)
    await trio.sleep(200)
    assert (disarmed.expired, forgotten.expired) == ([200], [201])


async def test_expire_may_arm_again(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    dog = Watchdog()

    def arm_again(thing: Thing) -> None:
        if trio.current_time() < 5:
            dog.arm(thing, trio.current_time() + 1)

    thing = Thing(arm_again)
    dog.arm(thing, 1)
    nursery.start_soon(dog.run)
    await trio.sleep(100)
    assert thing.expired == [1, 2, 3, 4, 5]


async def test_what_has_passed_already_expires_at_once(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    dog = Watchdog()
    nursery.start_soon(dog.run)
    await trio.sleep(10)
    thing = Thing()
    dog.arm(thing, 3)
    await wait_all_tasks_blocked()
    assert thing.expired == [10]


class Instrument(trio.abc.Instrument):
    """Counts the steps of one task."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += self._name in task.name


async def test_sv_17_it_sleeps_while_nothing_is_armed(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    dog = Watchdog()
    steps = Instrument("Watchdog.run")
    trio.lowlevel.add_instrument(steps)
    nursery.start_soon(dog.run)
    await trio.sleep(1_000_000)
    assert steps.steps == 1
    # A keep-alive connection that never times out: one step per timeout that passes, not per arm.
    thing = Thing()
    for _ in range(1000):
        dog.arm(thing, trio.current_time() + 60)
        await trio.sleep(1)
        thing.deadline = inf
    assert steps.steps <= 1 + 1 + 1000 / 59
    assert thing.expired == []
    await trio.sleep(1_000_000)
    before = steps.steps
    await trio.sleep(1_000_000)
    assert steps.steps == before


async def test_short_lives_do_not_pile_up() -> None:
    dog = Watchdog()
    living = [Thing() for _ in range(100)]
    for thing in living:
        dog.arm(thing, 60)
    dead: weakref.WeakSet[Thing] = weakref.WeakSet()
    for n in range(10_000):
        thing = Thing()
        dead.add(thing)
        dog.arm(thing, 60 + n)
        dog.forget(thing)
    del thing
    gc.collect()
    assert len(dead) == 0
    # At most as many dead ones as living ones, or a few.
    assert len(dog._heap) <= 2 * 100 + 2
    assert f"{len(living)} entries" in repr(dog)


async def test_forgetting_in_any_order(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    for seed in range(20):
        dice = random.Random(seed)
        dog = Watchdog()
        scope = trio.CancelScope()

        async def run(dog: Watchdog = dog, scope: trio.CancelScope = scope) -> None:
            with scope:
                await dog.run()

        nursery.start_soon(run)
        start = trio.current_time()
        things = {Thing(): inf for _ in range(300)}
        for thing in dice.choices([*things], k=2000):
            match dice.randrange(3):
                case 0:
                    dog.forget(thing)
                    things[thing] = inf
                case 1:
                    thing.deadline = things[thing] = inf
                case 2:
                    things[thing] = start + dice.randrange(1, 50)
                    dog.arm(thing, things[thing])
        await trio.sleep(60)
        for thing, deadline in things.items():
            assert thing.expired == ([] if deadline == inf else [deadline])
        scope.cancel()
