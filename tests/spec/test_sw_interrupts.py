"""SW-6: what ends at the stop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from trillium_trio.exceptions import ShuttingDownError
from trillium_trio.swansong import Swansong

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator


async def test_sw_6_a_scope_is_cancelled_by_the_stop_and_born_cancelled_after_it() -> None:
    swansong = Swansong()
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with swansong.interrupt() as scope:
                await trio.sleep_forever()
            assert scope.cancelled_caught

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        swansong.child().shut_down()
        swansong.shut_down()
    with swansong.interrupt() as late:
        assert late.cancel_called
        await trio.lowlevel.checkpoint()
    assert late.cancelled_caught


async def test_sw_6_a_body_that_ends_by_itself_is_no_interruption() -> None:
    swansong = Swansong()
    with swansong.interrupt() as scope:
        await trio.lowlevel.checkpoint()
    swansong.shut_down()
    await trio.lowlevel.checkpoint()
    assert not scope.cancel_called


async def test_sw_6_nothing_is_taken_after_the_stop() -> None:
    swansong = Swansong()
    send, receive = trio.open_memory_channel[int](math.inf)
    with send, receive:
        send.send_nowait(1)
        send.send_nowait(2)
        items = swansong.interrupt(receive)
        assert await anext(items) == 1
        swansong.shut_down()
        assert [item async for item in items] == []
        assert items.was_interrupted
        # The channel is its owner's: not closed, and what it holds is still there.
        assert receive.receive_nowait() == 2


async def test_sw_6_a_value_already_produced_is_delivered() -> None:
    swansong = Swansong()

    async def stop_and_yield() -> AsyncIterator[str]:
        swansong.shut_down()
        yield "value"
        yield "never"

    items = swansong.interrupt(stop_and_yield())
    assert [item async for item in items] == ["value"]
    assert items.was_interrupted


async def test_sw_6_a_waiting_step_is_woken_and_the_generator_closed() -> None:
    swansong = Swansong()
    closed = trio.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            yield 1
            await trio.sleep_forever()
        finally:
            closed.set()

    async with trio.open_nursery() as nursery:

        async def consume() -> None:
            items = swansong.interrupt(endless())
            assert [item async for item in items] == [1]
            assert items.was_interrupted
            assert [item async for item in items] == []

        nursery.start_soon(consume)
        await wait_all_tasks_blocked()
        swansong.shut_down()
    assert closed.is_set()


async def test_sw_6_a_generator_between_two_steps_is_closed() -> None:
    swansong = Swansong()
    closed = trio.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    items = swansong.interrupt(endless())
    assert await anext(items) == 1
    swansong.shut_down()
    with pytest.raises(StopAsyncIteration):
        await anext(items)
    assert closed.is_set()


async def test_sw_6_a_guarded_generator_inside_is_closed_and_released() -> None:
    swansong = Swansong()

    async def endless() -> AsyncIterator[int]:
        while True:
            yield 1

    items = swansong.interrupt(swansong.guarded(endless()))
    assert await anext(items) == 1
    completion = swansong.shut_down()
    assert not completion.is_complete
    assert [item async for item in items] == []
    assert completion.is_complete


async def test_sw_6_an_end_of_its_own_is_no_interruption() -> None:
    swansong = Swansong()

    async def one() -> AsyncIterator[int]:
        yield 1

    items = swansong.interrupt(one())
    assert [item async for item in items] == [1]
    assert not items.was_interrupted


async def test_sw_6_a_generator_that_yields_inside_a_scope_is_told_what_works() -> None:
    swansong = Swansong()

    async def scoped() -> AsyncIterator[int]:
        with trio.CancelScope():
            yield 1

    items = swansong.interrupt(scoped())
    with pytest.raises(RuntimeError, match="Cancel scope stack corrupted") as caught:
        await anext(items)
    [note] = caught.value.__notes__
    assert "with swansong.interrupt():" in note
    assert "trio.as_safe_channel" in note
    await items.aclose()


async def test_sw_6_an_error_of_the_generator_is_its_own() -> None:
    async def failing() -> AsyncIterator[int]:
        raise RuntimeError("mine")
        yield 1

    with pytest.raises(RuntimeError, match="mine") as caught:
        await anext(Swansong().interrupt(failing()))
    assert not hasattr(caught.value, "__notes__")


async def test_sw_6_the_two_forms_that_the_note_names_do_work() -> None:
    swansong = Swansong()

    async def scoped() -> AsyncGenerator[int, None]:
        async with trio.open_nursery():
            yield 1
            await trio.sleep_forever()

    async def whole_loop() -> None:
        with swansong.interrupt() as scope:
            async for item in scoped():
                assert item == 1
        assert scope.cancelled_caught

    async def channel() -> None:
        async with trio.as_safe_channel(scoped)() as channel:
            items = swansong.interrupt(channel)
            assert await anext(items) == 1
            swansong.shut_down()
            assert [item async for item in items] == []

    async with trio.open_nursery() as nursery:
        nursery.start_soon(whole_loop)
        await wait_all_tasks_blocked()
        await channel()


def test_sw_6_a_plain_iterator_ends_and_a_generator_is_closed() -> None:
    swansong = Swansong()
    closed: list[bool] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    items = swansong.interrupt(endless())
    assert next(items) == 1
    swansong.shut_down()
    assert list(items) == []
    assert list(items) == []
    assert items.was_interrupted
    assert closed == [True]


def test_sw_6_a_plain_iterator_that_ends_by_itself() -> None:
    items = Swansong().interrupt([1, 2])
    assert list(items) == [1, 2]
    assert list(items) == []
    assert not items.was_interrupted


async def test_sw_6_an_interrupted_stream_never_looks_whole() -> None:
    swansong = Swansong()
    ours, theirs = memory_stream_pair()
    stream = swansong.interrupt(ours)
    await theirs.send_all(b"half an up")
    assert await stream.receive_some() == b"half an up"
    swansong.shut_down()
    await theirs.send_all(b"load")
    with pytest.raises(ShuttingDownError):
        await stream.receive_some()
    assert stream.was_interrupted
    # Nothing was taken.
    assert await ours.receive_some() == b"load"


async def test_sw_6_a_waiting_receive_is_woken() -> None:
    swansong = Swansong()
    ours, _theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(ShuttingDownError):
                async for _ in swansong.interrupt(ours):
                    pytest.fail("there was nothing to read")

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        swansong.shut_down()


async def test_sw_6_an_interrupted_stream_ends_if_that_was_asked_for() -> None:
    swansong = Swansong()
    ours, theirs = memory_stream_pair()
    stream = swansong.interrupt(ours, eof=True)
    await theirs.send_all(b"log line\n")
    assert await stream.receive_some(3) == b"log"
    swansong.shut_down()
    assert await stream.receive_some() == b""
    assert stream.was_interrupted


async def test_sw_6_an_end_of_input_is_no_interruption() -> None:
    ours, theirs = memory_stream_pair()
    stream = Swansong().interrupt(ours)
    await theirs.send_eof()
    assert await stream.receive_some() == b""
    assert not stream.was_interrupted
    await stream.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await ours.receive_some()
