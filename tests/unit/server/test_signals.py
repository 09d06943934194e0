"""The ladder of signals, without a server: SV-4 and SV-5."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trillium_trio as tt
from tests.unit.server._serving import hello, running
from trillium_trio.conn import ConnectionCounts
from trillium_trio.server._signals import SignalLadder
from trillium_trio.testing import MemoryListener

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


@pytest.fixture
def received() -> Iterator[list[int]]:
    """Handlers that note what they get, in place of those of the test runner."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    yield received
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _no_report() -> Iterator[None]:
    """Begin without the handler that a server of another test has left, which ended in a thread."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_sv_5_all_count_alike(first: int, second: int, received: list[int]) -> None:
    before, swansong = handlers(), tt.Swansong()
    guard = swansong.guard()
    with SignalLadder(swansong, lambda: False, ConnectionCounts):
        signal.raise_signal(first)
        assert swansong.state is tt.ShutdownState.SHUTTING_DOWN
        signal.raise_signal(second)
        assert handlers() == [signal.SIG_DFL] * 3
    assert handlers() == before
    assert received == []
    guard.release()
    assert "second signal" in str(swansong.block().reason)


def test_sv_5_a_drain_in_progress_is_only_described(received: list[int]) -> None:
    swansong = tt.Swansong()
    guard = swansong.guard("work")
    swansong.shut_down()
    with SignalLadder(swansong, lambda: False, ConnectionCounts):
        signal.raise_signal(signal.SIGINT)
        guard.release()
    assert swansong.block().reason is None


@pytest.mark.parametrize("is_draining", [False, True])
async def test_sv_5_the_loop_logs_what_is_waited_for(
    is_draining: bool, received: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(hello, tt.config().with_signals()) as app:
        with app.handle.swansong.guard("half a job"):
            if is_draining:
                app.handle.shut_down()
            signal.raise_signal(signal.SIGTERM)
            assert caplog.text == ""
            await trio.testing.wait_all_tasks_blocked()
            expected = "SIGTERM: already draining" if is_draining else "SIGTERM: draining"
            assert expected in caplog.text
            assert "half a job" in caplog.text
        await app.handle


async def test_sv_5_the_second_signal_cuts(
    received: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(hello, tt.config().with_signals()) as app:
        with app.handle.swansong.guard("half a job"):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            report = await app.handle
        assert report.reason == "second signal, SIGINT"
    assert "SIGINT: cutting what is in progress" in caplog.text


async def test_sv_4_nested_signals_are_the_parents(received: list[int]) -> None:
    before = handlers()
    async with running() as app:
        assert handlers() == before
        signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM]
        assert app.handle.swansong.is_running
    async with running(hello, tt.config().with_signals()) as app:
        assert handlers() != before
        await app.handle.shut_down()
        assert handlers() == before


async def test_sv_4_a_second_server_is_refused(received: list[int]) -> None:
    config = tt.config().with_signals()
    async with running(hello, config):
        other = config.bind_listener(MemoryListener()).server(hello)
        with pytest.raises(tt.MisuseError, match=r"without_signals\(\)"):
            await other.serve()
        assert not other.is_over


def test_sv_4_only_the_main_thread_hooks() -> None:
    errors: list[BaseException] = []

    def serve() -> None:
        try:
            tt.config().bind_listener(MemoryListener()).with_signals().run(hello)
        except tt.MisuseError as error:
            errors.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert "without_signals()" in str(errors[0])


def test_sv_4_ignored_signals_stay_ignored(received: list[int]) -> None:
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    swansong = tt.Swansong()
    with SignalLadder(swansong, lambda: False, ConnectionCounts):
        signal.raise_signal(signal.SIGQUIT)
        assert swansong.is_running
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN


def test_sv_4_who_hooks_on_top_stays(received: list[int]) -> None:
    swansong, is_over = tt.Swansong(), False
    with SignalLadder(swansong, lambda: is_over, ConnectionCounts):
        ours = signal.getsignal(signal.SIGTERM)
        assert callable(ours)

        def on_top(number: int, frame: FrameType | None) -> None:
            ours(number, frame)

        signal.signal(signal.SIGTERM, on_top)
    assert signal.getsignal(signal.SIGTERM) is on_top
    # It hands the signal down to us, and we hand it on.
    is_over = True
    signal.raise_signal(signal.SIGTERM)
    assert received == [signal.SIGTERM]
    assert swansong.is_running


def test_sv_4_when_the_server_is_over_signals_are_handed_on(received: list[int]) -> None:
    is_over, swansong = False, tt.Swansong()
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    ladder = SignalLadder(swansong, lambda: is_over, ConnectionCounts)
    ladder.hook()
    is_over = True
    signal.raise_signal(signal.SIGTERM)
    assert received == [signal.SIGTERM]
    # And another server may hook them now.
    with SignalLadder(swansong, lambda: False, ConnectionCounts) as other:
        signal.raise_signal(signal.SIGINT)
        assert repr(other) == "<SignalLadder 1 signals>"
    assert not swansong.is_running
    ladder.unhook()


async def test_sv_8_sigusr1_reports_what_is_in_progress(caplog: pytest.LogCaptureFixture) -> None:
    async def slow(conn: tt.Conn) -> tt.Conn:
        await trio.sleep_forever()
        return conn

    async with running(slow, tt.config().with_signals()) as app:
        await app.started("/slow")
        signal.raise_signal(signal.SIGUSR1)
        await wait_all_tasks_blocked()
        assert app.handle.swansong.is_running
        [message] = [text for text in caplog.messages if "outstanding" in text]
        assert "GET /slow" in message
        assert " in slow" in message
        [message] = [text for text in caplog.messages if "connections" in text]
        assert message.startswith("1 connections are open, 0 of them idle; 0 were evicted and 0")
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


async def test_sv_8_sigusr1_is_ours_again_after_a_server_that_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ladder = SignalLadder(tt.Swansong(), lambda: True, ConnectionCounts)
    ladder.hook()
    try:
        async with running(hello, tt.config().with_signals()):
            signal.raise_signal(signal.SIGUSR1)
            await wait_all_tasks_blocked()
            assert any("connections are open" in text for text in caplog.messages)
    finally:
        ladder.unhook()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


async def test_sigusr1_stays_with_an_application_that_handles_it() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        async with running(hello, tt.config().with_signals()):
            signal.raise_signal(signal.SIGUSR1)
        assert heard == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)
