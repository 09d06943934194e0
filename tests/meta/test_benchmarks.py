"""Benchmarks import, explain themselves and count right. None of them is run."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from benchmarks.drain.client import Habit, Load, converse
from benchmarks.load.cases import CASES, GOALS
from benchmarks.load.driver import Sample
from benchmarks.load.footprint import Start
from benchmarks.load.report import IMPORT_OF_TRIO, footprint_lines, goal_lines, load_lines
from benchmarks.servers import OURS, REFERENCE, SERVERS
from tests.meta._tree import ROOT, parse, relative

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.load.report import Samples

FILES = sorted((ROOT / "benchmarks").rglob("*.py"))
NAMES = {server.name for server in SERVERS}

# What may be missing: the peers, which nothing but a benchmark needs.
PEERS = {"aiohttp", "starlette", "uvloop"}


def imported_packages(path: Path) -> Iterator[str]:
    """Name the packages that a module imports when it is imported."""
    for node in parse(path).body:
        match node:
            case ast.Import(names=names):
                yield from (each.name.partition(".")[0] for each in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


def needs_a_missing_peer(path: Path) -> bool:
    needed = PEERS.intersection(imported_packages(path))
    return any(importlib.util.find_spec(each) is None for each in needed)


@pytest.mark.parametrize(
    "path", [each for each in FILES if not needs_a_missing_peer(each)], ids=relative
)
def test_a_benchmark_does_nothing_when_imported(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    importlib.import_module(module)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("path", ["benchmarks/compare.py", "benchmarks/drain/compare.py"])
def test_a_comparison_explains_its_options(path: str) -> None:
    command = [sys.executable, path, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for option in ("--quick", "--rounds", "--output"):
        assert option in done.stdout


def test_a_case_names_servers_that_there_are() -> None:
    assert {name for case in CASES for name in case.servers} == NAMES


def test_a_goal_compares_what_is_measured() -> None:
    by_name = {case.name: case for case in CASES}
    for goal in GOALS:
        case = by_name[goal.case]
        assert {goal.ours, goal.anchor} <= set(case.servers)
        assert goal.connections in case.connections
        assert (goal.at_least is None) != (goal.at_most is None)


def test_a_server_is_started_from_a_module_that_there_is() -> None:
    for server in SERVERS:
        text = " ".join(server.command(1))
        modules = [each for each in FILES if relative(each)[:-3].replace("/", ".") in text]
        assert len(modules) == 1, text
        assert "{port}" not in text


def test_the_long_head_is_as_long_as_it_says() -> None:
    [case] = [each for each in CASES if each.name == "11 headers"]
    head = case.request()
    assert head.count(b"\r\n") == 1 + 11 + 1
    assert 500 <= len(head) <= 600


def test_the_report_says_which_goals_are_missed() -> None:
    def found(requests: int) -> list[Sample]:
        return [Sample(requests=requests, seconds=1.0, errors=0, cpu_seconds=0.5)]

    samples: Samples = {
        ("small head", 64, OURS): found(1_200),
        ("small head", 64, REFERENCE): found(1_000),
        ("11 headers", 64, OURS): found(900),
        ("11 headers", 64, REFERENCE): found(1_000),
    }
    starts = {
        OURS: [Start(seconds=0.2, resident_bytes=30 * 2**20)],
        IMPORT_OF_TRIO: [Start(seconds=0.1, resident_bytes=20 * 2**20)],
    }
    goals = [line for line in goal_lines(samples, {OURS: [5_000.0]}, starts) if "| P" in line]
    assert [line.split(":")[0] for line in goals] == ["| P1", "| P2", "| P6", "| P10"]
    assert [line.endswith("| yes |") for line in goals] == [True, False, True, False]
    table = "\n".join([*load_lines(samples), *footprint_lines({OURS: [6_144.0]}, starts, 1_000)])
    assert f"| {OURS} | 64 | 1,200 | 1.20 | 416.7 | 0.83 | 0 |" in table
    assert f"| {OURS} | 6.0 |" in table
    assert f"| {OURS} | 200 | 30.0 |" in table


def test_the_report_takes_the_median_of_the_rounds() -> None:
    samples: Samples = {
        ("small head", 1, OURS): [
            Sample(requests=count, seconds=1.0, errors=1, cpu_seconds=0.1)
            for count in (10, 1_000, 20)
        ]
    }
    [row] = [line for line in load_lines(samples) if OURS in line]
    assert row.startswith(f"| {OURS} | 1 | 20 |  | 5,000.0 |  | 3 |")


REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


async def conversation(answers: list[bytes]) -> Load:
    """Let a client ask, answer it with these bytes, one request after another, then close."""
    load = Load(port=0, path="/")
    ours, theirs = map(trio.socket.from_stdlib_socket, socket.socketpair())
    with ours, theirs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(converse, load, ours, Habit())
            for answer in answers:
                assert await theirs.recv(1_000) == REQUEST
                await theirs.send(answer)
            theirs.shutdown(socket.SHUT_WR)
    return load


async def test_a_request_that_is_not_answered_is_lost() -> None:
    load = await conversation([RESPONSE, RESPONSE, b""])
    assert load.counts == {"answered": 2}
    [loss] = load.losses
    assert (loss.is_kept, loss.received, loss.how) == (True, 0, "end of stream")


async def test_a_request_that_is_answered_in_part_is_lost() -> None:
    load = await conversation([RESPONSE[:-1]])
    assert load.counts == {}
    [loss] = load.losses
    assert (loss.is_kept, loss.received) == (False, len(RESPONSE) - 1)


async def test_an_announced_close_loses_nothing() -> None:
    load = await conversation(
        [RESPONSE, RESPONSE.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)]
    )
    assert (load.counts, load.losses) == ({"answered": 2}, [])


async def test_an_answer_other_than_200_is_counted_apart() -> None:
    load = await conversation(
        [b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"]
    )
    assert (load.counts, load.losses) == ({"not 200": 1}, [])
