"""The small parts of a supervisor."""

from __future__ import annotations

import pytest

from trillium_trio.cli._ctl import status_lines
from trillium_trio.exceptions import ConfigError
from trillium_trio.supervisor import SupervisorConfig, describe_status, parse_roll, usable_cores
from trillium_trio.supervisor._cores import quota_from
from trillium_trio.supervisor._handover import _negative


@pytest.mark.parametrize(
    ("text", "workers", "expected"),
    [("1", 4, 1), ("9", 4, 4), ("25%", 4, 1), ("25%", 10, 2), ("1%", 4, 1), ("100%", 3, 3)],
)
def test_a_share_of_the_workers(text: str, workers: int, expected: int) -> None:
    assert parse_roll(text, workers) == expected


@pytest.mark.parametrize("text", ["", "0", "0%", "-1", "many", "%", "1.5", "12345", "\u0661"])
def test_no_share(text: str) -> None:
    with pytest.raises(ConfigError, match="roll must be"):
        SupervisorConfig(roll=text)


def test_how_a_process_has_ended() -> None:
    assert describe_status(3) == "exit status 3"
    assert describe_status(-9) == "killed by SIGKILL"
    assert describe_status(-127) == "killed by signal 127"


def test_the_quota_of_a_cgroup() -> None:
    assert quota_from("max 100000\n") is None
    assert quota_from("150000 100000\n") == 2
    assert quota_from("1000 100000\n") == 1
    for text in ("", "nonsense", "1 2 3", "x 100000"):
        with pytest.raises(ValueError, match=r"."):
            quota_from(text)
    assert usable_cores() >= 1


def test_totals_are_undone() -> None:
    totals: dict[str, object] = {"a": 1, "b": {"c": [1, 2]}}
    assert _negative(totals) == {"a": -1, "b": {"c": [-1, -2]}}


def test_the_table_of_workers() -> None:
    worker = {"slot": 0, "pid": 7, "stage": "ready", "age": 1.0, "silent": 0.1, "figures": {}}
    lines = status_lines(
        {"pid": 5, "state": "running", "doing": "roll", "workers": [worker]},
    )
    assert lines[0] == "supervisor 5, running, roll in progress"
    assert lines[2].split() == ["0", "7", "ready", "1.0", "0.1", "-", "-", "-", "-"]
