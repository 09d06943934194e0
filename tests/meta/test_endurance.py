"""The soak counts right and judges right. It is not run."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from benchmarks.endurance.chart import chart
from benchmarks.endurance.trend import Point, Sample, fit, judge
from tests.meta._tree import ROOT

FLAT = Sample(
    cut=0, descriptors=12, threads=1, tasks=3, guards=0, resident_kib=45_000, objects=31_000
)


def points(*, kib_per_cycle: float = 0.0, cycles: int = 1_000) -> list[Point]:
    return [
        Point(
            cycle=cycle,
            requests=cycle * 5_000,
            seconds=cycle * 4.0,
            # Up and down by more than it climbs, as the allocator has it.
            sample=replace(
                FLAT, resident_kib=45_000 + round(cycle * kib_per_cycle) + cycle % 7 * 50
            ),
        )
        for cycle in range(1, cycles + 1)
    ]


def missed(found: list[Point], last: Sample = FLAT) -> list[str]:
    return [each.what.split(",")[0] for each in judge(found, FLAT, last) if not each.is_met]


def test_what_is_flat_is_found_flat() -> None:
    assert missed(points()) == []


@pytest.mark.parametrize("name", ["descriptors", "threads", "tasks", "guards"])
def test_one_too_many_is_found(name: str) -> None:
    assert missed(points(), replace(FLAT, **{name: getattr(FLAT, name) + 1})) == [name]


def test_a_server_that_keeps_an_object_is_found() -> None:
    assert missed(points(cycles=40), replace(FLAT, objects=31_040)) == ["objects"]


def test_four_bytes_a_request_are_found_in_an_hour_and_not_in_two_minutes() -> None:
    assert missed(points(kib_per_cycle=20.0)) == ["resident size"]
    assert missed(points(kib_per_cycle=20.0, cycles=40)) == []


def test_every_two_minutes_of_the_recorded_hour_are_flat() -> None:
    recorded = json.loads((ROOT / "benchmarks/results/soak.json").read_text(encoding="utf-8"))
    hour = [Point(**{**each, "sample": Sample(**each["sample"])}) for each in recorded["points"]]
    assert len(hour) > 500
    for start in range(len(hour) - 32):
        assert missed(hour[start : start + 32]) == []


def test_a_descriptor_that_is_open_after_one_drain_is_found() -> None:
    found = points()
    found[5] = replace(found[5], sample=replace(FLAT, descriptors=13))
    assert missed(found) == ["descriptors"]


def test_a_line_is_fitted() -> None:
    line = fit([0, 1, 2, 3], [1, 3, 5, 7])
    assert (line.slope, line.error) == pytest.approx((2, 0))
    assert fit([0, 1, 2, 3], [0, 2, 0, 2]).error > 0


def test_the_chart_is_an_image_with_a_line_for_each_figure() -> None:
    drawn = ElementTree.fromstring(chart("a < b", [1, 2], {"x": [0, 5], "y": [0, 0]}, "minutes"))
    assert drawn.tag.endswith("svg")
    assert sum(each.tag.endswith("polyline") for each in drawn.iter()) == 2


@pytest.mark.parametrize(
    ("path", "option"),
    [("benchmarks/soak.py", "--minutes"), ("benchmarks/slow_peers.py", "--peers")],
)
def test_a_program_explains_its_options(path: str, option: str) -> None:
    command = [sys.executable, path, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert option in done.stdout
