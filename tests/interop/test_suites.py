"""What other projects' suites have found, and how it is compared."""

from __future__ import annotations

from tests.interop import gunicorn_compliance, starlette_suite
from tests.interop._suite import Recorded, compare, load


def test_starlettes_suite_passes_but_for_reasons() -> None:
    recorded = load("starlette")
    assert list(recorded["passed"]) == list(starlette_suite.MODES)
    # Of 677; 675 pass where their client calls the application itself.
    assert set(recorded["passed"].values()) == {659}
    assert len(recorded["failures"]) == 18
    assert all(len(reason.split()) > 3 for reason in recorded["failures"].values())


def test_gunicorns_suite_passes() -> None:
    recorded = load("gunicorn")
    assert recorded["passed"] == dict.fromkeys(gunicorn_compliance.MODES, 134)
    assert recorded["failures"] == {}


def test_what_is_worse_than_recorded_is_named() -> None:
    recorded: Recorded = {"version": "1", "passed": {"mode": 2}, "failures": {"a": "known"}}
    assert compare(recorded, "mode", {"passed": 2, "failed": ["a"]}) == []
    assert compare(recorded, "mode", {"passed": 3, "failed": []}) == []
    assert compare(recorded, "mode", {"passed": 1, "failed": ["b"]}) == [
        "mode: b fails",
        "mode: 1 passed, were 2",
    ]
