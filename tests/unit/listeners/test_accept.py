"""The accept loop, over listeners that do what the test says, in virtual time."""

from __future__ import annotations

import errno
import logging

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from trillium_trio.listeners import BoundListener, accept_loop
from trillium_trio.transport import Listener, StreamTransport, Transport

FACTS = Listener(kind="tcp", address=("127.0.0.1", 8080))


def transport() -> Transport:
    return StreamTransport(memory_stream_pair()[0], FACTS)


class Scripted(BoundListener):
    """Yields the outcomes it was given, raising the exceptions among them, then waits."""

    def __init__(self, *outcomes: Transport | Exception) -> None:
        super().__init__(FACTS, is_owned=True)
        self.outcomes = list(outcomes)
        self.waits = 0
        self.closed = trio.Event()

    async def accept(self) -> Transport:
        self.waits += 1
        await trio.lowlevel.checkpoint()
        if not self.outcomes:
            await self.closed.wait()
        if self.is_closing:
            raise trio.ClosedResourceError
        accepted = self.accept_nowait()
        assert accepted is not None
        return accepted

    def accept_nowait(self) -> Transport | None:
        if not self.outcomes:
            return None
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def drain_and_close(self) -> list[Transport]:
        raise AssertionError("the accept loop drains nothing")

    def close(self) -> None:
        self.is_closing = True
        self.closed.set()


async def run(listener: Scripted) -> list[Transport]:
    """Run the loop until it has nothing to do; returns what it started."""
    started: list[Transport] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_loop, listener, started.append)
        await wait_all_tasks_blocked()
        listener.close()
    return started


async def test_it_starts_what_it_accepts_and_ends_quietly() -> None:
    transports = [transport() for _ in range(3)]
    assert await run(Scripted(*transports)) == transports
    assert await run(Scripted()) == []


async def test_cn_23_it_waits_after_16_accepts() -> None:
    listener = Scripted(*(transport() for _ in range(40)))
    assert len(await run(listener)) == 40
    # 16 + 16 + 8, and the last wait.
    assert listener.waits == 4


@pytest.mark.parametrize(
    "number",
    [
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
        errno.EPERM,
    ],
)
async def test_sv_14_errors_of_one_connection_are_skipped(
    number: int, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    one, two = transport(), transport()
    listener = Scripted(OSError(number, "why"), one, OSError(number, "why"), two)
    assert await run(listener) == [one, two]
    assert trio.current_time() == 0
    assert caplog.records == []


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_sv_14_it_waits_when_resources_are_short(
    number: int, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    caplog.set_level(logging.INFO, "trillium_trio.listeners")
    short = [OSError(number, "why") for _ in range(3)]
    one, two = transport(), transport()
    listener = Scripted(*short, one, *short, two)
    started: list[Transport] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_loop, listener, started.append)
        # Between two waits; the error that follows the first transport is met while that one is
        # in hand, and dropped.
        await trio.sleep(0.25)
        assert started == []
        await trio.sleep(0.3)
        listener.close()
    assert started == [one, two]
    episode = [("WARNING", f"http://127.0.0.1:8080: cannot accept: {short[0]}; waiting")]
    episode += [("INFO", "http://127.0.0.1:8080: accepting again")]
    assert [(record.levelname, record.message) for record in caplog.records] == episode * 2


async def test_sv_14_a_closing_listener_is_noticed_while_waiting(
    autojump_clock: trio.testing.MockClock,
) -> None:
    listener = Scripted(OSError(errno.EMFILE, "why"), transport())
    started: list[Transport] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_loop, listener, started.append)
        await wait_all_tasks_blocked()
        listener.close()
    assert started == []
    assert trio.current_time() == pytest.approx(0.1)


@pytest.mark.parametrize(
    "error", [OSError(errno.EBADF, "why"), RuntimeError("why"), trio.ClosedResourceError("why")]
)
async def test_sv_14_other_errors_end_it_by_name(error: Exception) -> None:
    listener = Scripted(error)
    with pytest.raises(type(error), match="why") as ended:
        await accept_loop(listener, lambda _: None)
    assert ended.value is error
    assert error.__notes__ == ["while accepting on http://127.0.0.1:8080"]
    assert listener.is_closing


async def test_cancellation_closes_the_listener() -> None:
    listener = Scripted()
    with trio.move_on_after(0):
        await accept_loop(listener, lambda _: None)
    assert listener.is_closing


async def test_what_could_not_be_started_is_closed() -> None:
    pairs = [memory_stream_pair() for _ in range(3)]
    transports = [StreamTransport(near, FACTS) for near, _ in pairs]
    started: list[Transport] = []

    def start(transport: Transport) -> None:
        if started:
            raise RuntimeError("full")
        started.append(transport)

    with pytest.raises(RuntimeError, match="full"):
        await accept_loop(Scripted(*transports), start)
    assert [transport.is_disconnected_now() for transport in transports] == [False, True, True]
