"""What Autobahn's fuzzing client has said of our WebSockets, and how it is compared."""

from __future__ import annotations

from collections import Counter

from tests.interop.autobahn import MODES, compare, load

# Without and with the sections on compression.
PLAIN_CASES, ALL_CASES = 301, 517


def test_ws_10_autobahn_found_no_failure_and_little_to_note() -> None:
    results = load()
    assert list(results) == list(MODES)
    for mode, found in results.items():
        assert found["cases"] == (ALL_CASES if mode == "deflate" else PLAIN_CASES), mode
        counts = Counter(found["notes"].values())
        assert set(counts) <= {"NON-STRICT"}, mode
        assert counts["NON-STRICT"] <= 6, mode


def test_what_is_worse_is_named() -> None:
    expected = {"1": "NON-STRICT", "2": "UNIMPLEMENTED"}
    assert compare(expected, {"1": "NON-STRICT", "2": "OK", "3": "INFORMATIONAL"}) == []
    assert compare(expected, {"1": "FAILED", "2": "NON-STRICT", "3": "NON-STRICT"}) == [
        "1: FAILED, was NON-STRICT",
        "2: NON-STRICT, was UNIMPLEMENTED",
        "3: NON-STRICT, was OK",
    ]
