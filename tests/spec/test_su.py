"""A supervisor and its workers, which are fakes, in virtual time."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.spec._supervising import (
    FakeProcess,
    World,
    beats,
    done,
    fails,
    imports_for_ever,
    serves,
    supervising,
)
from trillium_trio.supervisor import (
    Agenda,
    Backoff,
    Bounds,
    LineBuffer,
    Roll,
    Scale,
    Stage,
    SupervisorConfig,
    Totals,
    Worker,
    decode,
    due,
    encode,
)

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


def pids(world: World) -> list[int]:
    return [each.pid for each in world.alive]


# -- what they say -----------------------------------------------------------------------------


def test_su_2_messages_are_lines_in_any_pieces() -> None:
    data = encode("ready", delay=1.0) + encode("stats", figures={})
    for size in range(1, len(data)):
        lines = LineBuffer()
        found = [line for at in range(0, len(data), size) for line in lines.feed(data[at:][:size])]
        assert [decode(each)["kind"] for each in found] == ["ready", "stats"]


@pytest.mark.parametrize("line", [b"", b"\xff", b"[1]", b"17", b"nonsense", b'{"a":'])
def test_su_2_what_is_no_message_is_ignored(line: bytes) -> None:
    assert decode(line) == {}


async def test_su_2_unknown_kinds_are_ignored(autojump_clock: MockClock) -> None:
    async def newer(process: FakeProcess) -> None:
        process.say("hello", pid=1, version=9, colour="blue")
        process.say_bytes(b"nonsense\n[]\n")
        process.say("dances", with_="the supervisor")
        await serves(process)

    world = World(newer)
    async with supervising(world) as supervisor:
        assert [each.stage for each in supervisor.crew.workers] == [Stage.READY]
        assert world.processes[0].granted == [[]]


def test_su_2_an_endless_line_is_dropped() -> None:
    lines = LineBuffer()
    for _ in range(40):
        assert lines.feed(b"x" * 65_536) == []
    assert lines.feed(b"\n" + encode("ready"))[-1] == encode("ready")[:-1]


async def test_su_2_the_report_of_all(autojump_clock: MockClock) -> None:
    world = World()
    async with supervising(world, workers=2) as supervisor:
        world.processes[1].is_mute = True
        report = await supervisor.report()
        assert "1000 has nothing to do" in report
        assert "1001 of slot 1: does not answer" in report


# -- start and crashes -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [1, 2, 3])
async def test_su_3_the_first_start_decides(status: int, autojump_clock: MockClock) -> None:
    async def ends(process: FakeProcess) -> None:
        process.exit(status)

    world = World(ends)
    async with supervising(world, workers=2) as supervisor:
        await supervisor.swansong
        assert supervisor.status == status
        assert not supervisor.ready.is_set()


async def test_su_3_no_process_at_all(autojump_clock: MockClock) -> None:
    world = World()
    world.failure = OSError(errno.EMFILE, "too many open files")
    async with supervising(world) as supervisor:
        assert supervisor.status == 3
        assert not supervisor.swansong.is_running


async def test_su_3_ready_with_the_first_worker(autojump_clock: MockClock) -> None:
    world = World(serves, imports_for_ever)
    heard: list[str] = []
    async with supervising(world, workers=2) as supervisor:
        assert supervisor.ready.is_set()
        heard += [each.stage.value for each in supervisor.crew.workers]
    assert sorted(heard) == ["ready", "starting"]


def test_su_4_the_pause_grows() -> None:
    backoff = Backoff(lambda: 0.5)
    assert [backoff.after(0.0) for _ in range(10)] == pytest.approx(
        [0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]
    )
    assert backoff.after(5.0) == 0.0
    assert backoff.crashes == 1
    # One that was never ready is not started again at once.
    assert Backoff(lambda: 0.5).after(None) == pytest.approx(0.1)
    assert Backoff(lambda: 0.0).after(None) == pytest.approx(0.08)
    assert Backoff(lambda: 1.0).after(None) == pytest.approx(0.12)


async def test_su_4_a_worker_that_crashes_is_started_again(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    world = World()
    async with supervising(world, workers=2) as supervisor:
        await trio.sleep(10)
        world.processes[0].exit(-9)
        await wait_all_tasks_blocked()
        assert pids(world) == [1001, 1002]
        assert "worker 1000 of slot 0 has ended by itself (killed by SIGKILL; out of memory?)" in (
            caplog.text
        )
        assert supervisor.state()["restarts"] == 1
        # Soon after: with a pause.
        world.processes[2].exit(7)
        await wait_all_tasks_blocked()
        assert pids(world) == [1001]
        await trio.sleep(0.25)
        assert pids(world) == [1001, 1003]
        assert supervisor.status == 0


async def test_su_4_a_crash_loop_goes_on_with_those_that_live(autojump_clock: MockClock) -> None:
    async def crashes(process: FakeProcess) -> None:
        process.say("listen", specs=[])
        process.say("ready")
        await trio.sleep(0.5)
        process.exit(1)

    world = World(serves, crashes)
    async with supervising(world, workers=2) as supervisor:
        await trio.sleep(120)
        assert supervisor.swansong.is_running
        assert world.processes[0].status is None
        # Without a pause there would be 240.
        assert 12 < len(world.processes) < 25


async def test_su_4_or_ends_all(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def crashes(process: FakeProcess) -> None:
        process.say("ready")
        await trio.sleep(0.5)
        process.exit(1)

    world = World(serves, crashes)
    async with supervising(world, workers=2, max_crashes=3) as supervisor:
        await supervisor.swansong
        assert supervisor.status == 1
        assert len(world.processes) == 4
        assert world.processes[0].heard == ["drain"]
    assert "slot 1 has crashed 3 times in a row: draining" in caplog.text


async def test_su_4_one_that_is_stopped_by_somebody_else_is_replaced_at_once(
    autojump_clock: MockClock,
) -> None:
    world = World()
    async with supervising(world):
        process = world.processes[0]
        process.is_deaf = True  # it takes its time
        process.say("draining")
        await wait_all_tasks_blocked()
        assert pids(world) == [1000, 1001]
        process.exit(0)
        await trio.sleep(20)
        assert pids(world) == [1001]


# -- the roll ----------------------------------------------------------------------------------


async def test_su_5_new_before_old(autojump_clock: MockClock) -> None:
    async def slow(process: FakeProcess) -> None:
        await trio.sleep(2)
        await serves(process)

    world = World(serves, serves, serves, slow)
    async with supervising(world, workers=3) as supervisor:
        ticket = supervisor.ask("roll")
        assert ticket is not None
        await trio.sleep(1)
        assert pids(world) == [1000, 1001, 1002, 1003]
        await trio.sleep(1.5)
        assert pids(world) == [1001, 1002, 1003, 1004]
        assert world.processes[0].messages == [{"kind": "drain", "delay": False}]
        await ticket.done.wait()
        assert not ticket.failure
        assert pids(world) == [1003, 1004, 1005]
        assert sorted(each.slot for each in world.alive) == [0, 1, 2]
        await wait_all_tasks_blocked()
        assert {each.generation for each in supervisor.crew.workers} == {1}


@pytest.mark.parametrize(
    ("share", "steps"), [("1", 4), ("25%", 4), ("60%", 2), ("100%", 1), ("3", 2)]
)
async def test_su_5_a_share_at_a_time(share: str, steps: int, autojump_clock: MockClock) -> None:
    async def slow(process: FakeProcess) -> None:
        await trio.sleep(1)
        await serves(process)

    world = World(*[serves] * 4, slow)
    async with supervising(world, workers=4, roll=share) as supervisor:
        before = trio.current_time()
        assert await done(supervisor, "roll") == ""
        assert trio.current_time() - before == pytest.approx(steps)


async def test_su_5_a_slot_whose_worker_has_crashed_is_rolled_too(
    autojump_clock: MockClock,
) -> None:
    world = World(serves, serves)
    async with supervising(world, workers=2) as supervisor:
        world.processes[0].exit(1)
        await wait_all_tasks_blocked()
        world.processes[2].exit(1)  # now it waits
        assert await done(supervisor, "roll") == ""
        await trio.sleep(20)
        assert pids(world) == [1003, 1004]


@pytest.mark.parametrize("how", ["status", "silence", "no process"])
async def test_su_6_the_old_ones_stay(
    how: str, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    world = World(serves, serves, serves, fails if how == "status" else imports_for_ever, serves)
    async with supervising(world, workers=2, start_timeout=10.0) as supervisor:
        world.scripts = [serves, serves, serves, world.scripts[3], serves]
        failure = ""
        if how == "no process":
            world.failure = OSError(errno.EMFILE, "too many open files")
            failure = await done(supervisor, "roll")
            assert failure == "slot 0: no process; 0 of 2 workers are new"
            world.failure = None
            assert pids(world) == [1000, 1001]
        else:
            failure = await done(supervisor, "roll")
            expected = "exit status 3" if how == "status" else "it is not ready after 10 s"
            assert failure == f"slot 1: {expected}; 1 of 2 workers are new"
            assert pids(world) == [1001, 1002]
        assert failure in caplog.text
        await trio.sleep(60)
        if how == "no process":
            world.scripts = [serves]
        assert await done(supervisor, "roll") == ""


async def test_su_6_what_dies_right_after_ready_is_a_crash(autojump_clock: MockClock) -> None:
    async def dies(process: FakeProcess) -> None:
        process.say("ready")
        await trio.sleep(0.01)
        process.exit(1)

    world = World(serves, dies, serves)
    async with supervising(world) as supervisor:
        assert await done(supervisor, "roll") == ""
        await trio.sleep(1)
        assert pids(world) == [1002]


# -- time limits -------------------------------------------------------------------------------


async def test_su_7_silence(caplog: pytest.LogCaptureFixture, autojump_clock: MockClock) -> None:
    async def hangs(process: FakeProcess) -> None:
        process.say("ready")
        process.say("stats", figures={})
        process.is_deaf = True

    world = World(hangs, serves)
    async with supervising(world, worker_timeout=20.0):
        await trio.sleep(19.9)
        assert world.processes[0].heard == []
        await trio.sleep(0.2)
        assert world.processes[0].heard == ["stacks"]
        assert not world.processes[0].is_aborted
        await trio.sleep(1)
        assert world.processes[0].is_aborted
        assert world.processes[0].status is None
        await trio.sleep(1)
        assert world.processes[0].status == -9
        assert pids(world) == [1001]
    assert "it is silent for 20 s" in caplog.text


async def test_su_7_silence_may_be_allowed(autojump_clock: MockClock) -> None:
    async def quiet(process: FakeProcess) -> None:
        process.say("ready")

    world = World(quiet)
    async with supervising(world, worker_timeout=0.0):
        await trio.sleep(3_600)
        assert pids(world) == [1000]


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.READY, Stage.DRAINING])
async def test_su_25_a_stopped_supervisor_ends_nobody(stage: Stage, mock_clock: MockClock) -> None:
    async def quiet(process: FakeProcess) -> None:
        process.is_deaf = True
        process.say("listen", specs=[])
        if stage is not Stage.STARTING:
            process.say("ready", drain=1.0, cleanup=1.0)

    mock_clock.rate = 0
    world = World(quiet, quiet)
    async with supervising(world, start_timeout=8.0, worker_timeout=8.0) as supervisor:
        [process] = world.processes
        [worker] = supervisor.crew.workers
        if stage is Stage.DRAINING:
            supervisor.swansong.shut_down()
        await wait_all_tasks_blocked()
        assert worker.stage is stage
        mock_clock.jump(60)
        await wait_all_tasks_blocked()
        # The rest of the time, in which it does run: it looks every 3 seconds.
        for _ in range(4):
            assert process.status is None
            assert not worker.reason
            mock_clock.jump(1)
            await wait_all_tasks_blocked()
        mock_clock.autojump_threshold = 0
        await worker.gone.wait()
        assert process.status == -9


async def test_su_7_a_drain_that_is_ignored(autojump_clock: MockClock) -> None:
    async def stubborn(process: FakeProcess) -> None:
        process.is_deaf = True
        process.say("ready", drain=30.0, cleanup=11.0)
        await beats(process)

    world = World(stubborn, serves)
    async with supervising(world) as supervisor:
        assert await done(supervisor, "roll") == ""
        await trio.sleep(45.9)
        assert pids(world) == [1000, 1001]
        await trio.sleep(0.2)
        assert pids(world) == [1001]


@pytest.mark.parametrize("stage", [Stage.READY, Stage.DRAINING])
async def test_su_7_decisions(stage: Stage, autojump_clock: MockClock) -> None:
    config = SupervisorConfig()
    worker = Worker(FakeProcess(1, 0), slot=0, generation=0, cell=1)
    assert due(worker, config) == (worker.started_at + 30, "it is not ready after 30 s")
    worker.move(Stage.READY)
    if stage is Stage.DRAINING:
        worker.bounds = Bounds(drain=5.0, cleanup=1.0)
        worker.end()
        assert due(worker, config) == (worker.told_at + 11.0, "it ignores the drain")
        worker.cut()
        assert due(worker, config) == (worker.told_at + 6.0, "it ignores the drain")
    else:
        assert due(worker, config) == (worker.heard_at + 30, "it is silent for 30 s")


# -- limits, commands, numbers -----------------------------------------------------------------


async def test_su_8_requests(caplog: pytest.LogCaptureFixture, autojump_clock: MockClock) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    async with supervising(world, workers=2, max_requests=100):
        await trio.sleep(9)
        assert pids(world) == [1000, 1001]
        await trio.sleep(5)
        assert pids(world) == [1002, 1003]
        assert [each.heard for each in world.processes[:2]] == [["drain"], ["drain"]]
    assert "is replaced: it has had 1" in caplog.text


async def test_su_8_memory_and_age(autojump_clock: MockClock) -> None:
    async def grows(process: FakeProcess) -> None:
        process.say("ready")
        for mib in range(100):
            process.say("stats", figures={"now": {"rss": mib << 20}})
            await trio.sleep(1)

    world = World(grows, serves)
    async with supervising(world, max_rss=50):
        await trio.sleep(49)
        assert pids(world) == [1000]
        await trio.sleep(3)
        assert pids(world) == [1001]
    world = World()
    async with supervising(world, max_worker_age=100.0):
        await trio.sleep(99)
        assert pids(world) == [1000]
        await trio.sleep(13)
        assert pids(world) == [1001]


async def test_su_8_a_renewal_that_fails_leaves_the_old_one(autojump_clock: MockClock) -> None:
    world = World(serves, fails)
    async with supervising(world, max_worker_age=10.0):
        await trio.sleep(60)
        assert pids(world) == [1000]
        # Tried again, but not each second.
        assert 2 <= len(world.processes) <= 8


async def test_su_9_equal_commands_are_one(autojump_clock: MockClock) -> None:
    agenda = Agenda(2)
    roll = agenda.add(Roll())
    assert agenda.add(Roll()) is roll
    assert agenda.add(Scale(3)) is agenda.add(Scale(5))
    assert await agenda.next() is roll
    # The one that is carried out may have begun with older code.
    again = agenda.add(Roll())
    assert again is not roll
    assert (await agenda.next()).command == Scale(5)
    agenda.give_up("stopped")
    assert again.done.is_set()
    assert again.failure == "stopped"
    late = agenda.add(Roll())
    assert late.done.is_set()
    assert late.failure == "stopped"


async def test_su_9_two_rolls_at_once(autojump_clock: MockClock) -> None:
    world = World()
    async with supervising(world, workers=2) as supervisor:
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(done, supervisor, "roll")
        assert pids(world) == [1004, 1005] or pids(world) == [1002, 1003]
        assert supervisor.crew.generation in {1, 2}


async def test_su_9_the_stop_interrupts_a_roll(autojump_clock: MockClock) -> None:
    world = World(serves, serves, imports_for_ever)
    async with supervising(world, workers=2) as supervisor:
        ticket = supervisor.ask("roll")
        assert ticket is not None
        await trio.sleep(1)
        before = trio.current_time()
        supervisor.swansong.shut_down()
        await supervisor.swansong
        assert trio.current_time() - before < 2
        assert ticket.failure == "the supervisor stops"
        assert [each.status for each in world.processes] == [0, 0, -9]
        assert supervisor.status == 0


async def test_su_10_more_and_fewer(autojump_clock: MockClock) -> None:
    world = World()
    async with supervising(world, workers=2) as supervisor:
        assert await done(supervisor, "more") == ""
        await wait_all_tasks_blocked()
        assert pids(world) == [1000, 1001, 1002]
        assert await done(supervisor, "scale", 1) == ""
        await trio.sleep(20)
        assert pids(world) == [1000]
        assert supervisor.ask("less") is None
        assert await done(supervisor, "scale", 3) == ""
        await wait_all_tasks_blocked()
        assert sorted(each.slot for each in world.alive) == [0, 1, 2]
        assert len(set(world.cells[-2:])) == 2


async def test_su_10_a_number_that_is_none(autojump_clock: MockClock) -> None:
    world = World()
    async with supervising(world) as supervisor:
        for number in (None, 0, -1):
            with pytest.raises(ValueError, match="scale"):
                supervisor.ask("scale", number)
        with pytest.raises(ValueError, match="dance"):
            supervisor.ask("dance")


# -- the end -----------------------------------------------------------------------------------


async def test_su_11_the_delay_is_for_the_stop_alone(autojump_clock: MockClock) -> None:
    async def delays(process: FakeProcess) -> None:
        process.say("ready", delay=7.0)
        process.is_deaf = True
        await beats(process)

    world = World(delays)
    async with supervising(world, workers=2) as supervisor:
        supervisor.swansong.shut_down()
        await wait_all_tasks_blocked()
        for each in world.processes:
            assert each.messages == [{"kind": "drain", "delay": True}]
            each.exit(0)


async def test_su_11_the_second_signal_cuts(autojump_clock: MockClock) -> None:
    async def stubborn(process: FakeProcess) -> None:
        process.say("ready", drain=1000.0)
        await beats(process)

    world = World(stubborn)
    async with supervising(world, workers=2) as supervisor:
        for each in world.processes:
            each.is_deaf = True
        supervisor.swansong.shut_down()
        await trio.sleep(100)
        for each in world.processes:
            each.is_deaf = False
        supervisor.swansong.cancel("second signal")
        await wait_all_tasks_blocked()
        assert [each.heard for each in world.processes] == [["drain", "cut"]] * 2
    assert supervisor.status == 1


async def test_su_11_one_that_ignores_the_cut_is_killed(autojump_clock: MockClock) -> None:
    async def stubborn(process: FakeProcess) -> None:
        process.say("ready", cleanup=11.0)
        process.is_deaf = True
        await beats(process)

    world = World(stubborn)
    async with supervising(world) as supervisor:
        supervisor.swansong.cancel("second signal")
        await trio.sleep(15.9)
        assert pids(world) == [1000]
        await trio.sleep(0.2)
        assert pids(world) == []
    assert supervisor.status == 1


def test_su_16_totals_never_fall() -> None:
    totals = Totals()
    one = {"totals": {"requests": 5, "by": {"200": 4}}, "now": {"rss": 3}, "most": {"lag": 0.1}}
    other = {"totals": {"requests": 7, "by": {"404": 1}}, "now": {"rss": 4}, "most": {"lag": 0.3}}
    assert totals.merged([one, other]) == {
        "version": 1,
        "totals": {"requests": 12, "by": {"200": 4, "404": 1}},
        "now": {"rss": 7},
        "most": {"lag": 0.3},
    }
    totals.keep(one)
    assert totals.merged([other])["totals"] == {"requests": 12, "by": {"200": 4, "404": 1}}
    assert totals.merged([other])["now"] == {"rss": 4}
    assert totals.merged([{}, {"totals": 3}])["totals"] == {"requests": 5, "by": {"200": 4}}
    # Histograms are lists.
    totals.keep({"totals": {"buckets": [1, 2]}})
    assert totals.merged([{"totals": {"buckets": [3, 4]}}])["totals"] == {
        "requests": 5,
        "by": {"200": 4},
        "buckets": [4, 6],
    }


async def test_su_14_a_version_that_fails_removes_no_socket_file(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "app.sock"
    world = World(fails, serves)
    async with supervising(world, workers=1) as supervisor:
        crew = supervisor.crew
        # As taken over from a predecessor.
        crew.is_sharing = True
        await crew.sockets.open([["unix", str(path), None]])
        await supervisor.swansong.shutting_down()
    assert path.exists()


async def test_su_1_a_listener_that_no_worker_asks_for_is_closed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "app.sock"
    world = World()
    async with supervising(world, workers=1) as supervisor:
        await supervisor.crew.sockets.open([["unix", str(path), None]])
        assert await done(supervisor, "roll") == ""
        await trio.sleep(1)
        assert not path.exists()


async def test_su_16_in_rolls_and_crashes(autojump_clock: MockClock) -> None:
    world = World()
    async with supervising(world, workers=2) as supervisor:
        seen = 0
        for _ in range(30):
            await trio.sleep(1)
            if _ % 7 == 3:
                world.alive[0].exit(1)
            if _ % 10 == 5:
                await done(supervisor, "roll")
            totals = supervisor.crew.figures()["totals"]
            assert isinstance(totals, dict)
            assert totals["requests"] >= seen
            seen = totals["requests"]
        assert seen > 100
