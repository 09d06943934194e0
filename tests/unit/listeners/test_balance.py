"""A fair share: the page of counts, and how an accept loop waits for it."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
import trio

from trillium_trio.listeners import LoadPage, PreboundBind, Share, accept_loop, open_listeners

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trillium_trio.transport import Transport


def shares(page: LoadPage, count: int) -> list[Share]:
    found = [Share(page.fd, page.take()) for _ in range(count)]
    for each in found:
        each.open()
    return found


def test_su_13_one_alone_is_never_ahead() -> None:
    with closing(LoadPage()) as page:
        [share] = shares(page, 1)
        for number in range(100):
            share.connections.add(number)
            assert not share.is_ahead(100)
        assert page.loads == [100]


def test_su_13_ahead_by_more_than_four() -> None:
    with closing(LoadPage()) as page:
        one, other = shares(page, 2)
        for number in range(4):
            one.connections.add(number)
        assert not one.is_ahead()
        assert one.is_ahead(1)
        one.connections.add(4)
        assert one.is_ahead()
        assert not other.is_ahead()
        assert page.loads == [5, 0]
        other.connections.add("x")
        assert not one.is_ahead()
        one.connections.discard(0)
        one.connections.discard(0)
        assert page.loads == [4, 1]
        assert one.connections.copy() == {1, 2, 3, 4}


def test_su_13_who_does_not_accept_is_not_compared_with() -> None:
    with closing(LoadPage()) as page:
        one, other, third = shares(page, 3)
        for number in range(9):
            one.connections.add(number)
        assert one.is_ahead()
        other.close()
        other.connections.add("late")
        assert page.loads == [9, 0]
        page.clear(3)
        assert page.loads == [9]
        assert not one.is_ahead()
        # One that was only silent is back with its next connection.
        third.connections.add("x")
        assert one.is_ahead()


def test_su_13_cells_are_used_again() -> None:
    with closing(LoadPage()) as page:
        cells = [page.take() for _ in range(3)]
        assert cells == [1, 2, 3]
        page.free(2)
        assert page.take() == 2
        for _ in range(508):
            page.take()
        with pytest.raises(OSError, match="too many workers"):
            page.take()
        for cell in range(1, 512):
            page.free(cell)
        assert page.loads == []


def test_su_13_the_page_is_shared_by_its_descriptor() -> None:
    with closing(LoadPage()) as page:
        fd = os.dup(page.fd)
        share = Share(fd, page.take())
        os.close(fd)
        share.open()
        share.connections.add(1)
        assert page.loads == [1]


def test_su_13_who_is_ahead_waits_for_those_who_take_connections() -> None:
    with closing(LoadPage()) as page:
        one, other = shares(page, 2)
        for number in range(5):
            one.connections.add(number)
        assert not other.has_to_wait()
        assert [one.has_to_wait() for _ in range(21)] == [True] * 20 + [False]
        # The other one did not move meanwhile.
        assert [one.has_to_wait() for _ in range(4)] == [True, False] * 2
        # It is back.
        other.connections.add("x")
        one.connections.add("x")
        assert [one.has_to_wait() for _ in range(21)] == [True] * 20 + [False]
        # It takes one during the wait.
        other.connections.discard("x")
        assert one.has_to_wait()
        other.connections.add("x")
        other.connections.add("y")
        assert not one.has_to_wait()


async def test_su_13_the_accept_loop_waits_and_then_accepts(mock_clock: MockClock) -> None:
    mock_clock.rate = 0
    accepted: list[Transport] = []
    with closing(LoadPage()) as page, socket.create_server(("127.0.0.1", 0)) as server:
        one, _ = shares(page, 2)
        for number in range(5):
            one.connections.add(number)
        bind = PreboundBind(server, share=one)
        [listener] = await open_listeners([bind])
        with ExitStack() as clients:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(accept_loop, listener, accepted.append)
                for waits in (20, 1):
                    expected = len(accepted)
                    clients.enter_context(closing(socket.create_connection(server.getsockname())))
                    for _ in range(waits):
                        await trio.testing.wait_all_tasks_blocked(0.01)
                        assert len(accepted) == expected
                        mock_clock.jump(0.001)
                    await trio.testing.wait_all_tasks_blocked(0.01)
                    assert len(accepted) == expected + 1
                listener.close()
        for each in accepted:
            each.abort()


async def test_su_13_one_that_is_ahead_does_not_accept_what_another_has_taken(
    mock_clock: MockClock,
) -> None:
    mock_clock.rate = 0
    accepted: list[Transport] = []
    with closing(LoadPage()) as page, socket.create_server(("127.0.0.1", 0)) as server:
        one, _ = shares(page, 2)
        for number in range(5):
            one.connections.add(number)
        [listener] = await open_listeners([PreboundBind(server, share=one)])
        with closing(socket.create_connection(server.getsockname())):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(accept_loop, listener, accepted.append)
                await trio.testing.wait_all_tasks_blocked(0.01)
                server.accept()[0].close()
                mock_clock.jump(0.001)
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert accepted == []
                # It sleeps, and does not look a thousand times a second.
                assert trio.lowlevel.current_statistics().seconds_to_next_deadline > 1
                listener.close()
