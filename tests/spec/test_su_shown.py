"""What is shown of a supervisor: SU-21 and SU-22, over processes that answer what the test says."""

from __future__ import annotations

import copy
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.spec._supervising import FakeProcess, World, beats, done, serves, supervising
from trillium_trio.exceptions import HttpError
from trillium_trio.handlers import Admin, Figures, Metrics
from trillium_trio.supervisor import SupervisorSource
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from trio.testing import MockClock

    import trillium_trio as tt
    from trillium_trio.supervisor import Supervisor

SITE = "app.py:7"


def guards(count: int, *labels: str, age: float = 1.0) -> dict[str, Any]:
    return {
        "site": SITE,
        "count": count,
        "oldest_age": age,
        "labels": list(labels),
        "where": None,
        "stacks": [],
    }


def status(*, busy: int = 0, state: str = "running", finished: int | None = None) -> dict[str, Any]:
    """Return what a worker answers; with `finished` it drains."""
    counts = dict.fromkeys(("idle", "closing", "accepted", "refused", "evicted"), 1) | {
        "open": busy,
        "busy": busy,
        "queued": 5,
    }
    limits = {
        "max_connections": 100,
        "drain_delay": 0.0,
        "drain_timeout": 30.0,
        "keepalive_grace": 0.5,
        "cleanup_timeout": 5.0,
    }
    return {
        "servers": [
            {
                "name": "http://localhost:80",
                "state": state,
                "connections": counts,
                "limits": limits,
                "drain": None,
            }
        ],
        "drain": None if finished is None else drain(finished, left=busy),
        "tree": {
            "name": None,
            "stopped_for": None if finished is None else 1.0,
            "is_complete": False,
            "guards": [guards(busy, "GET /")] if busy else [],
            "below": [],
        },
    }


def drain(finished: int, *, left: int = 0, cut: int = 0) -> dict[str, Any]:
    return {
        "duration": 1.0,
        "finished": finished,
        "is_clean": not cut,
        "reason": None,
        "cut": [guards(cut, "GET /stuck")] if cut else [],
        "left": left,
        "remaining": 20.0 if left else None,
        "waits_for": [],
    }


def ending(**fields: Any) -> Any:
    """Return a script of a worker that says more about its drain, a second after it is told."""

    async def run(process: FakeProcess) -> None:
        process.is_deaf = True
        process.answers["status"] = {"status": status()}
        process.say("listen", specs=[])
        process.say("ready", delay=0.0, drain=30.0, cleanup=11.0)
        while "drain" not in process.heard:
            process.say("stats", figures={})
            await trio.sleep(1.0)
        process.say("draining")
        await trio.sleep(1.0)
        process.say("drained", **fields)
        process.exit(0)

    return run


async def shown(supervisor: Supervisor, *, stacks: bool = False) -> dict[str, Any]:
    found = await SupervisorSource(supervisor).status(stacks=stacks)
    # It goes through JSON.
    result: dict[str, Any] = json.loads(json.dumps(found))
    return result


async def test_su_21_workers_servers_and_trees(autojump_clock: MockClock) -> None:
    world = World()
    async with supervising(world, workers=2) as supervisor:
        for process, busy in zip(world.processes, (2, 3), strict=True):
            process.answers["status"] = {"status": status(busy=busy)}
        await trio.sleep(9.5)
        found = await shown(supervisor)

        assert (found["state"], found["drain"], found["unready"]) == ("running", None, [])
        rows = [(row["slot"], row["pid"], row["stage"], row["guards"]) for row in found["workers"]]
        assert rows == [(0, 1000, "ready", 2), (1, 1001, "ready", 3)]
        assert all(9 < row["age"] < 11 and row["requests"] == 90 for row in found["workers"])
        (server,) = found["servers"]
        assert (server["state"], server["limits"]["max_connections"]) == ("running", 200)
        # The queue of the listener is one for both.
        assert (server["connections"]["busy"], server["connections"]["queued"]) == (5, 5)
        names = [each["name"] for each in found["tree"]["below"]]
        assert names == ["worker 1000 of slot 0", "worker 1001 of slot 1"]
        assert found["tree"]["below"][1]["guards"] == [guards(3, "GET /")]


async def test_su_21_stacks_are_asked_for(autojump_clock: MockClock) -> None:
    world = World()
    async with supervising(world, workers=1) as supervisor:
        await shown(supervisor)
        await shown(supervisor, stacks=True)
        asked = [each for each in world.processes[0].messages if each["kind"] == "status"]
        assert [each["stacks"] for each in asked] == [False, True]


async def test_su_21_who_does_not_answer_is_shown_so(autojump_clock: MockClock) -> None:
    world = World()
    async with supervising(world, workers=2, worker_timeout=0.0) as supervisor:
        for process in world.processes:
            process.answers["status"] = {"status": status(busy=1)}
        world.processes[1].is_mute = True
        before = trio.current_time()
        found = await shown(supervisor)
        assert trio.current_time() - before == pytest.approx(1.0)
        assert [each["answers"] for each in found["workers"]] == [True, False]
        assert found["tree"]["below"][1]["name"] == "worker 1001 of slot 1 does not answer"
        assert found["servers"][0]["connections"]["busy"] == 1

        # What it has to be told still finds room: it is not asked for ever.
        for _ in range(100):
            await shown(supervisor)
        assert 10 < world.processes[1].heard.count("status") < 60


async def test_su_21_a_roll_shows_both_generations(autojump_clock: MockClock) -> None:
    async def slow(process: FakeProcess) -> None:
        await trio.sleep(5)
        await serves(process)

    world = World(ending(drain=drain(4, cut=1)), slow)
    async with supervising(world, workers=1) as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(done, supervisor, "roll")
        await trio.sleep(1)
        found = await shown(supervisor)
        assert found["doing"] == "roll"
        assert [(each["pid"], each["stage"]) for each in found["workers"]] == [
            (1000, "ready"),
            (1001, "starting"),
        ]
        world.processes[0].answers["status"] = {"status": status(busy=2, finished=3)}
        await trio.sleep(4.5)
        found = await shown(supervisor)
        old, new = found["workers"]
        assert (old["stage"], old["drain"]["finished"], old["drain"]["left"]) == ("draining", 3, 2)
        assert (new["stage"], new["generation"]) == ("ready", 1)
        # It is the drain of a worker, not of the service.
        assert (found["state"], found["drain"]) == ("running", None)
        await trio.sleep(2)
        found = await shown(supervisor)
        (ended,) = found["ended"]
        assert (ended["pid"], ended["how"], ended["finished"]) == (1000, "exit status 0", 4)
        assert ended["cut"] == [guards(1, "GET /stuck")]
        assert (found["doing"], found["generation"]) == (None, 1)


async def test_su_21_the_drain_of_all_counts_who_is_gone(autojump_clock: MockClock) -> None:
    world = World(ending(drain=drain(4, cut=2)), serves)
    async with supervising(world, workers=2) as supervisor:
        other = world.processes[1]
        other.answers["status"] = {"status": status(busy=3, finished=1)}
        other.is_deaf = True
        supervisor.swansong.shut_down()
        await trio.sleep(5)
        found = await shown(supervisor)
        assert found["state"] == "shutting down"
        assert [each["pid"] for each in found["workers"]] == [1001]
        progress = found["drain"]
        assert (progress["finished"], progress["left"], progress["remaining"]) == (5, 3, 20.0)
        assert (progress["cut"], progress["is_clean"]) == ([guards(2, "GET /stuck")], False)
        assert found["unready"] == ["draining"]
        other.exit(0)


async def test_su_21_ready_while_one_worker_is(autojump_clock: MockClock) -> None:
    async def withdrawn(process: FakeProcess) -> None:
        process.say("listen", specs=[])
        process.say("ready", delay=0.0, drain=30.0, cleanup=11.0)
        process.say("stats", figures={}, unready=["the cache is cold"])
        await trio.sleep(10)
        await beats(process)

    world = World(withdrawn)
    async with supervising(world, workers=2) as supervisor:
        source = SupervisorSource(supervisor)
        reasons = source.unready()
        assert reasons[0] == "no worker is ready"
        assert all("the cache is cold" in each for each in reasons[1:])
        assert len(reasons) == 3
        await trio.sleep(10.5)
        assert source.unready() == []


async def test_su_21_roll_is_an_action(autojump_clock: MockClock) -> None:
    async def broken(process: FakeProcess) -> None:
        process.exit(3)

    world = World(serves, serves, broken)
    async with supervising(world, workers=1) as supervisor:
        source = SupervisorSource(supervisor)
        assert sorted(source.actions) == ["cancel", "drain", "roll"]
        await source.actions["roll"]()
        assert [each.pid for each in world.alive] == [1001]
        with pytest.raises(HttpError, match="exit status 3; 0 of 1 workers are new"):
            await source.actions["roll"]()
        assert [each.pid for each in world.alive] == [1001]
        await source.actions["drain"]()
        assert not supervisor.swansong.is_running


async def test_su_21_events_come_while_a_worker_is_silent(autojump_clock: MockClock) -> None:
    """The wait for one that does not answer is no reason to look less often."""
    world = World()
    async with supervising(world, workers=2, worker_timeout=0.0) as supervisor:
        for process in world.processes:
            process.answers["status"] = {"status": status(busy=1)}
        world.processes[1].is_mute = True
        admin = Admin(SupervisorSource(supervisor))
        async with (
            TestServer(admin) as server,
            aclosing(server.events("/events", headers={"host": "localhost"})) as events,
        ):
            await anext(events)
            world.processes[0].answers["status"] = {"status": status(busy=2)}
            before = trio.current_time()
            while json.loads((await anext(events)).data or "")["workers"][0]["guards"] != 2:
                pass
            assert trio.current_time() - before <= 4


# -- metrics -----------------------------------------------------------------------------------


def measured(requests: int) -> dict[str, Any]:
    metrics = Metrics()
    counter = metrics.counter("shop_orders", "Orders.", labels=["kind"])
    for _ in range(requests):
        counter.add(1, kind="book")
    return metrics.figures().as_json()


def orders(text: str) -> int:
    lines = [each for each in text.splitlines() if each.startswith("shop_orders_total{")]
    return sum(int(float(each.rpartition(" ")[2])) for each in lines)


async def page_of(supervisor: Supervisor) -> str:
    async with TestServer(SupervisorSource(supervisor).page) as server:
        return (await server.get("/metrics")).text


async def test_su_22_metrics_add_up(autojump_clock: MockClock) -> None:
    world = World()
    async with supervising(world, workers=2) as supervisor:
        for process, requests in zip(world.processes, (2, 3), strict=True):
            process.answers["metrics"] = {"metrics": measured(requests)}
        await wait_all_tasks_blocked()
        text = await page_of(supervisor)
        assert orders(text) == 5
        assert 'trillium_worker_up{worker="0",pid="1000"} 1' in text
        assert 'trillium_worker_resident_memory_bytes{worker="1",pid="1001"} 1048576' in text
        assert "trillium_worker_restarts_total 0" in text


async def test_su_22_no_total_falls(autojump_clock: MockClock) -> None:
    """Who is gone stays counted: with what it has said last, or when it was asked last."""
    world = World(ending(drain=drain(0), metrics=measured(7)), serves, serves)
    async with supervising(world, workers=2) as supervisor:
        first, second = world.processes
        first.answers["metrics"] = {"metrics": measured(2)}
        second.answers["metrics"] = {"metrics": measured(3)}
        assert orders(await page_of(supervisor)) == 5
        await done(supervisor, "roll")
        await trio.sleep(2)
        # The first said 7 at its end; the second was told to end, and said nothing more.
        assert orders(await page_of(supervisor)) == 10
        world.alive[0].exit(1)
        await trio.sleep(20)
        text = await page_of(supervisor)
        assert orders(text) == 10
        assert "trillium_worker_restarts_total 1" in text


async def test_su_22_nonsense_is_left_out(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    world = World()
    async with supervising(world, workers=2) as supervisor:
        world.processes[0].answers["metrics"] = {"metrics": {"x": 1}}
        world.processes[1].answers["metrics"] = {"metrics": measured(3)}
        assert orders(await page_of(supervisor)) == 3
    assert "figures of another process" in caplog.text


async def test_su_22_a_predecessor_is_counted(autojump_clock: MockClock) -> None:
    world = World()
    async with supervising(world, workers=1) as supervisor:
        before = measured(4)
        supervisor.crew.metrics.take_over(copy.deepcopy(before))
        supervisor.crew.metrics.take_over(
            Figures.from_json(measured(6)).minus(Figures.from_json(before)).as_json()
        )
        assert orders(await page_of(supervisor)) == 6


async def test_mt_5_it_is_shared_state() -> None:
    metrics = Metrics()

    async def app(conn: tt.Conn) -> tt.Conn:
        assert conn.shared_state(Metrics) is metrics
        return conn.ok("")

    async with TestServer((metrics, app)) as server:
        assert (await server.get("/")).status == 200
