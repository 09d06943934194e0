"""`Guard` and `Guarded`."""

from __future__ import annotations

import gc
import logging
import threading
import warnings
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from trillium_trio.exceptions import MisuseError
from trillium_trio.swansong import Guarded, Swansong
from trillium_trio.swansong._swansong import node_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def holder_of(swansong: Swansong) -> object:
    [claim] = node_of(swansong).claims()
    return None if claim.holder is None else claim.holder()


def test_a_guard_says_what_it_is() -> None:
    swansong = Swansong()
    guard = swansong.guard()
    assert guard.label is None
    guard.label = 42
    assert swansong.guard_report().entries[0].labels == ("42",)
    assert guard.age >= 0
    assert __file__ in guard.site
    assert guard.site in repr(guard)
    assert not guard.is_released
    guard.release()
    assert guard.is_released
    assert "released" in repr(guard)


def test_the_site_is_the_line_of_the_call() -> None:
    swansong = Swansong()
    first = test_the_site_is_the_line_of_the_call.__code__.co_firstlineno
    guard = swansong.guard()
    wrapped = swansong.guarded([1])
    assert guard.site == f"{__file__}:{first + 3}"
    assert wrapped.guard.site == f"{__file__}:{first + 4}"
    guard.release()
    wrapped.release()


def test_a_released_guard_protects_nothing() -> None:
    guard = Swansong().guard()
    guard.release()
    with pytest.raises(MisuseError, match=r"test_guard\.py"), guard:
        pass


async def test_with_names_the_task_unless_somebody_was_named() -> None:
    swansong = Swansong()
    task = trio.lowlevel.current_task()
    with swansong.guard():
        assert holder_of(swansong) is task
    assert task.parent_nursery is not None
    parent = task.parent_nursery.parent_task
    with swansong.guard().adopt(parent):
        assert holder_of(swansong) is parent


def test_outside_a_run_the_thread_is_named() -> None:
    swansong = Swansong()
    with swansong.guard():
        assert holder_of(swansong) is threading.current_thread()


def test_a_guard_does_not_keep_its_holder_alive() -> None:
    swansong = Swansong()
    guards = [swansong.guard()]

    async def main() -> None:
        guards[0].adopt()

    trio.run(main)
    gc.collect()
    assert holder_of(swansong) is None
    guards[0].release()


@pytest.mark.parametrize("as_error", [False, True])
def test_a_guard_collected_in_the_middle_of_an_operation(
    as_error: bool, caplog: pytest.LogCaptureFixture
) -> None:
    swansong = Swansong()
    guards = [swansong.guard()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error" if as_error else "always")
        with caplog.at_level(logging.WARNING, "trillium_trio.swansong"):
            node_of(swansong).tree.submit(lambda _: guards.clear(), None)
    # As an error it must not surface in the code that happened to be interrupted.
    messages = caplog.messages if as_error else [str(warning.message) for warning in caught]
    assert len(messages) == 1
    assert "was never released" in messages[0]
    assert swansong.guard_count == 0


def test_something_that_cannot_be_driven_is_refused_without_a_guard() -> None:
    swansong = Swansong()
    with pytest.raises(TypeError, match="expected an awaitable"):
        swansong.guarded(3)
    assert swansong.guard_count == 0


async def test_a_guarded_awaitable() -> None:
    swansong = Swansong()

    async def work() -> str:
        assert swansong.guard_count == 1
        assert holder_of(swansong) is trio.lowlevel.current_task()
        return "value"

    wrapped = swansong.guarded(work(), "label")
    assert swansong.guard_count == 1
    assert wrapped.guard.label == "label"
    assert "label" not in repr(wrapped)
    assert await wrapped == "value"
    assert swansong.guard_count == 0


async def test_a_guarded_awaitable_that_raises() -> None:
    swansong = Swansong()

    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await swansong.guarded(work())
    assert swansong.guard_count == 0


async def items() -> AsyncIterator[int]:
    yield 1
    yield 2


async def test_a_guarded_async_iterator() -> None:
    swansong = Swansong()
    wrapped = swansong.guarded(items())
    assert [item + swansong.guard_count async for item in wrapped] == [2, 3]
    assert swansong.guard_count == 0


async def test_a_guarded_async_iterator_can_be_closed_early() -> None:
    swansong = Swansong()
    generator = items()
    wrapped = swansong.guarded(generator)
    assert await anext(wrapped) == 1
    await wrapped.aclose()
    assert swansong.guard_count == 0
    with pytest.raises(StopAsyncIteration):
        await anext(generator)


async def test_a_guarded_channel_is_not_closed() -> None:
    swansong = Swansong()
    send, receive = trio.open_memory_channel[int](1)
    with send, receive:
        wrapped = swansong.guarded(receive)
        await wrapped.aclose()
        assert swansong.guard_count == 0
        send.send_nowait(1)
        assert receive.receive_nowait() == 1


async def test_to_leave_a_loop_early_is_no_mistake() -> None:
    swansong = Swansong()
    send, receive = trio.open_memory_channel[int](1)
    with send, receive:
        send.send_nowait(1)
        async for _ in swansong.guarded(receive):
            assert swansong.guard_count == 1
            break
        gc.collect()
    for _ in swansong.guarded([1, 2]):
        break
    gc.collect()
    assert swansong.guard_count == 0


def test_never_to_begin_is_a_mistake() -> None:
    swansong = Swansong()
    with pytest.warns(ResourceWarning, match="was never released"):
        swansong.guarded([1])


def test_a_guarded_iterator() -> None:
    swansong = Swansong()
    wrapped = swansong.guarded([1, 2])
    assert [item + swansong.guard_count for item in wrapped] == [2, 3]
    assert swansong.guard_count == 0


def test_a_guarded_generator_can_be_closed_early() -> None:
    swansong = Swansong()
    closed: list[bool] = []

    def generator() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(True)

    wrapped = swansong.guarded(generator())
    assert next(wrapped) == 1
    wrapped.close()
    assert (closed, swansong.guard_count) == ([True], 0)
    plain = swansong.guarded([1])
    plain.close()
    assert swansong.guard_count == 0


@contextmanager
def manager(*, fails: bool = False) -> Iterator[str]:
    if fails:
        raise ZeroDivisionError
    yield "value"


@asynccontextmanager
async def async_manager(*, fails: bool = False) -> AsyncIterator[str]:
    if fails:
        raise ZeroDivisionError
    yield "value"


async def test_a_guarded_context_manager() -> None:
    swansong = Swansong()
    with swansong.guarded(manager()) as value:
        assert (value, swansong.guard_count) == ("value", 1)
    async with swansong.guarded(async_manager()) as value:
        assert (value, swansong.guard_count) == ("value", 1)
        assert holder_of(swansong) is trio.lowlevel.current_task()
    assert swansong.guard_count == 0


async def test_a_guarded_context_manager_that_fails() -> None:
    swansong = Swansong()
    with pytest.raises(ZeroDivisionError), swansong.guarded(manager(fails=True)):
        pass
    with pytest.raises(ZeroDivisionError):
        async with swansong.guarded(async_manager(fails=True)):
            pass
    assert swansong.guard_count == 0


async def test_guarded_and_interrupted_together() -> None:
    swansong = Swansong()
    wrapped: Guarded[AsyncIterator[int]] = swansong.guarded(swansong.interrupt(items()))
    assert await anext(wrapped) == 1
    await wrapped.aclose()
    plain = swansong.guarded(swansong.interrupt([1, 2, 3]))
    assert next(plain) == 1
    completion = swansong.shut_down()
    assert list(plain) == []
    assert completion.is_complete
