"""Reports as values and as text."""

from __future__ import annotations

from trillium_trio.swansong import DrainReport, GuardEntry, GuardReport, Swansong
from trillium_trio.swansong._report import merge_entries


def entry(site: str = "app.py:12", count: int = 1, age: float = 1.0, **rest: object) -> GuardEntry:
    return GuardEntry(site=site, count=count, oldest_age=age, **rest)  # type: ignore[arg-type]  # a test's shorthand


def test_texts() -> None:
    assert str(GuardReport()) == "no outstanding guards"
    one = GuardReport(entries=(entry(age=42.26),))
    assert str(one) == "1 outstanding guard:\n  1 x app.py:12 (oldest 42.3s)"
    several = GuardReport(
        entries=(
            entry(count=2, labels=("GET /slow", "GET /slow2"), stacks=("task a\n  b.py:1 in c",)),
            entry("other.py:1", age=0.5),
        )
    )
    assert str(several).splitlines() == [
        "3 outstanding guards:",
        "  2 x app.py:12 (oldest 1.0s) GET /slow, GET /slow2",
        "    task a",
        "      b.py:1 in c",
        "  1 x other.py:1 (oldest 0.5s)",
    ]


def test_a_line_names_ten_labels() -> None:
    text = str(entry(count=12, labels=tuple(f"r{number}" for number in range(12))))
    assert text.endswith("r8, r9 and 2 other labels")


def test_a_report_is_a_collection() -> None:
    first, second = entry("a.py:1", count=3), entry("b.py:1")
    report = GuardReport(entries=(first, second))
    assert list(report) == [first, second]
    assert report.guard_count == 4
    assert not report.is_empty
    assert GuardReport().is_empty


def test_merged_entries_are_one_per_site_oldest_first() -> None:
    report = merge_entries(
        [
            entry("a.py:1", age=1, labels=("young",)),
            entry("b.py:1", age=2),
            entry("a.py:1", count=2, age=3, labels=("old",), stacks=("task",), where="x"),
        ]
    )
    assert report.entries == (
        entry("a.py:1", count=3, age=3, labels=("old", "young"), stacks=("task",), where="x"),
        entry("b.py:1", age=2),
    )


def test_texts_of_drains() -> None:
    clean = DrainReport(is_clean=True, duration=1.234, finished=5)
    assert str(clean) == "drained in 1.23s: 5 finished"
    cut = DrainReport(
        is_clean=False,
        duration=30,
        finished=0,
        cancelled=GuardReport(entries=(entry(count=2),)),
        reason="drain_timeout",
    )
    assert str(cut) == "drained in 30.00s: 0 finished, 2 cut off (drain_timeout)"


def test_a_label_that_cannot_be_shown() -> None:
    class Odd:
        def __str__(self) -> str:
            raise ValueError

    swansong = Swansong()
    with swansong.guard(Odd()):
        [found] = swansong.guard_report()
    assert found.labels == ("<Odd that raised ValueError>",)
