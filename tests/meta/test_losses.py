"""The comparison of supervisors counts right and judges right. It is not run."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.servers import OURS
from benchmarks.supervisor.clients import Ending, Load, Loss, exchange, has_ended, judge, request
from benchmarks.supervisor.compare import Run
from benchmarks.supervisor.figures import Idle, Memory, Roll, Throughput
from benchmarks.supervisor.losses import Kill, Phase, is_its_own
from benchmarks.supervisor.peers import PEERS
from benchmarks.supervisor.report import Found, lines, ours_is_clean
from benchmarks.supervisor.service import save
from tests.meta._tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from trio.testing import MockClock

RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n3-7 42 v1"


# -- what became of a request ------------------------------------------------------------------


def ending(answer: bytes, *, is_read: bool = True) -> Ending:
    """Ask somebody who answers this, and closes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"" if is_read else b"not read: the close is a reset")
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR) if is_read else theirs.close()
        return exchange(ours, request("3-7"))


def test_a_whole_answer_is_none_lost() -> None:
    whole = ending(RESPONSE)
    assert whole == Ending(status=200, body="3-7 42 v1")
    assert judge(whole, "3-7", is_proxied=False) == ""
    assert ending(RESPONSE.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)).closes


def test_an_answer_to_another_request_is_noticed() -> None:
    assert judge(ending(RESPONSE), "3-8", is_proxied=False) == "mixed up"
    # Not one whose name only begins alike.
    assert judge(ending(RESPONSE), "3-", is_proxied=False) == "mixed up"


def test_losses_are_told_apart() -> None:
    assert ending(b"").how == "eof"
    assert ending(RESPONSE[:-1]).how == "cut"
    assert ending(RESPONSE[:9]).how == "cut"
    assert ending(b"", is_read=False).how == "reset"


def test_a_refusal_of_the_server_reaches_the_client_through_the_proxy() -> None:
    refusal = Ending(status=503)
    assert judge(refusal, "3-7", is_proxied=True) == "refused"
    assert judge(refusal, "3-7", is_proxied=False) == "503"
    assert judge(Ending(status=502), "3-7", is_proxied=True) == "502"


def test_an_idle_connection_that_was_closed_is_noticed_before_it_is_used() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        assert not has_ended(ours)
        theirs.close()
        assert has_ended(ours)


# -- whose it was ------------------------------------------------------------------------------

KILL = Kill(worker=42, sent_at=10.0, gone_at=10.01, held=3)
LOSS = Loss(name="3-7", is_kept=True, worker=42, sent_at=9.9, noticed_at=10.02, how="eof")


def belongs(loss: Loss, *begun: int, is_proxied: bool = False) -> bool:
    return is_its_own(loss, [KILL], begun, is_proxied=is_proxied)


def test_a_killed_worker_may_lose_what_it_held() -> None:
    assert belongs(LOSS)
    assert belongs(LOSS, 42)
    assert belongs(replace(LOSS, worker=0))
    # One that had been idle.
    assert belongs(replace(LOSS, sent_at=12.0, noticed_at=12.1))


def test_it_may_not_lose_what_others_hold() -> None:
    assert not belongs(replace(LOSS, worker=43))
    assert not belongs(LOSS, 43)
    assert not belongs(LOSS, 42, 43)
    assert not belongs(replace(LOSS, worker=0, sent_at=10.02, noticed_at=10.03))
    assert not belongs(replace(LOSS, worker=0, sent_at=9.8, noticed_at=9.9))


def test_behind_a_proxy_the_time_counts_and_not_the_connection() -> None:
    assert belongs(replace(LOSS, worker=43), is_proxied=True)
    assert not belongs(replace(LOSS, sent_at=10.1, noticed_at=10.2), is_proxied=True)


PHASE = Phase(server=OURS, way="direct", name="roll", steps=2, seconds=[0.5, 1.5], answered=1_000)


@pytest.mark.parametrize(
    "phase",
    [
        replace(PHASE, lost_kept={"eof": 1}),
        replace(PHASE, lost_fresh={"reset": 1}),
        replace(PHASE, refused=1),
        replace(PHASE, doubled=1),
        replace(PHASE, note="the service ends"),
        replace(PHASE, answered=0),
        replace(PHASE, name="kill", lost_kept={"eof": 4}, held=3),
        replace(PHASE, name="kill", lost_kept={"eof": 1}, held=3, foreign=1),
        replace(PHASE, name="kill", refused=1),
    ],
)
def test_what_breaks_our_promise(phase: Phase) -> None:
    assert ours_is_clean([PHASE])
    assert not ours_is_clean([PHASE, phase])
    assert ours_is_clean([PHASE, replace(phase, server="another")])


def test_what_a_killed_worker_held_breaks_none() -> None:
    assert ours_is_clean([replace(PHASE, name="kill", lost_kept={"eof": 3}, held=3)])


# -- the report --------------------------------------------------------------------------------


def throughput(rate: float) -> list[Throughput]:
    return [Throughput(rate=rate, cpu_us=2_000.0, errors=0)]


FOUND = Found(
    phases=[
        PHASE,
        replace(PHASE, name="kill", lost_kept={"eof": 2}, held=3),
        Phase(server="uvicorn", way="direct", name="upgrade", note="not possible"),
    ],
    bare=[1.95],
    throughput={(OURS, "/burn", 1): throughput(400.0), (OURS, "/burn", 2): throughput(600.0)},
    balance={OURS: [0.5, 0.4, 0.48]},
    memory={(OURS, 0, workers): Memory(worker=20.0, others=15.0) for workers in (1, 2, 4)},
    starts={(OURS, 0): [0.2], (OURS, 1): [0.4], (OURS, 2): [0.7]},
    rolls={OURS: [Roll(first=0.25, over=0.9)]},
    idle={OURS: Idle(worker=0.0005, others=0.0009)},
)


def test_the_report_says_which_goals_are_missed() -> None:
    text = list(lines(FOUND))
    goals = [each for each in text if each.endswith(("| yes |", "| **no** |"))]
    assert [each.endswith("| yes |") for each in goals] == [
        *(True, True),  # losses, kills
        *(False, False),  # 1.50 times; 40:60 once
        *(True, False),  # 1.25 starts; 1.75 starts
        True,
    ]
    assert "1.50; the machine gives 1.95" in goals[2]
    assert "40% at worst, median 48%" in goals[3]


def test_each_row_has_as_many_cells_as_its_table() -> None:
    cells = 0
    for line in lines(FOUND):
        if not line.startswith("|"):
            cells = 0
            continue
        cells = cells or line.count("|")
        assert line.count("|") == cells, line


def test_all_figures_can_be_written_as_json() -> None:
    load = Load(0)
    load.clients[0].losses.append(LOSS)
    run = Run([], rounds=1)
    run.found = replace(FOUND, phases=[replace(PHASE, lost_kept=load.lost(is_kept=True))])
    raw = json.loads(json.dumps(run.raw()))
    assert raw["losses"][0]["lost_kept"] == {"eof": 1}
    assert [len(raw[name]) for name in ("throughput", "memory", "starts", "rolls")] == [2, 3, 3, 1]


def test_a_comparison_explains_its_options() -> None:
    command = [sys.executable, "benchmarks/supervisor/compare.py", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for option in ("--quick", "--only", "--output"):
        assert option in done.stdout


# -- servers and their application -------------------------------------------------------------


def test_a_command_says_all_that_a_server_has_to_know(tmp_path: Path) -> None:
    for peer in PEERS:
        command = peer.command(port=8_123, workers=3, folder=tmp_path)
        assert "3" in command
        assert any("8123" in each for each in command)
        assert "{" not in "".join(command)
        assert peer.has_pidfile == (f"{tmp_path}/pid" in command)


def load(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("application", folder / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_the_application_notes_what_it_begins(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    save(tmp_path, 3)
    module = load(tmp_path)
    sent = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"3-7"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await module.app({"type": "http", "path": "/post"}, receive, send)
    assert sent[-1]["body"] == f"3-7 {os.getpid()} v3".encode()
    assert (tmp_path / f"begun-{os.getpid()}").read_text() == "3-7\n"
    os.close(module.begun())


def test_a_version_can_be_one_that_cannot_start(tmp_path: Path) -> None:
    save(tmp_path, 1)
    before = (tmp_path / "app.py").stat().st_mtime
    save(tmp_path, 2, is_broken=True)
    with pytest.raises(RuntimeError):
        load(tmp_path)
    # Bytecode that is kept is told by the second.
    assert (tmp_path / "app.py").stat().st_mtime >= before + 1
