"""The page of the documentation that shows what these tests find."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conformance._http11probe import DIFFERENCES
from tests.conformance._reading import read_with_codec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.conformance._cases import Case
    from tests.conformance._probing import Verdict

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"


class Page:
    """Its generated parts, each between ``<!-- generated: NAME -->`` and ``<!-- end -->``.

    Args:
      rewrites: `check` puts right what is not as it should be.
    """

    def __init__(self, *, rewrites: bool, path: Path = PAGE) -> None:
        self._rewrites = rewrites
        self._path = path

    def check(self, part: str, expected: str) -> None:
        """Fail if a part of the page is not what it should be."""
        text = self._path.read_text(encoding="utf-8")
        pattern = re.compile(rf"(<!-- generated: {part} -->\n)(.*?)(\n<!-- end -->)", re.DOTALL)
        found = pattern.search(text)
        assert found is not None, f"{self._path} has no part {part}"
        if self._rewrites:
            self._path.write_text(
                text[: found.start(2)] + expected + text[found.end(2) :], encoding="utf-8"
            )
        else:
            assert found[2] == expected, "out of date: run pytest tests/conformance --write-table"


def corpora_table(cases: Iterable[Case]) -> str:
    """Count, by corpus, the cases and those that go as expected.

    Here the codec reads them; that a server reads each of them alike is a test of its own.
    """
    rows: dict[str, Counter[str]] = {}
    for case in cases:
        row = rows.setdefault(case.corpus, Counter())
        row["cases"] += 1
        if case.has_verdict:
            row["verdicts"] += 1
            row["agrees" if case.agrees(read_with_codec([case.data])) else "differs"] += 1
    rows["**all**"] = sum(rows.values(), Counter())
    columns = ("cases", "verdicts", "agrees", "differs")
    return _table(
        ["corpus", "cases", "with a verdict", "as expected", "differ on purpose"],
        ([name, *(f"{row[column]:,}" for column in columns)] for name, row in rows.items()),
    )


def reasons_list(reasons: Mapping[str, list[str]]) -> str:
    """List why verdicts differ, and of how many cases."""
    return "\n".join(
        f"* {reason} *{len(cases)} case{'s' if len(cases) > 1 else ''}.*"
        for reason, cases in reasons.items()
    )


def probe_table(verdicts: Mapping[str, Verdict]) -> str:
    """Count the verdicts, by the prefix of the cases' names, and list the differences."""
    families = {
        "compliance": ("COMP-", "RFC"),
        "smuggling": ("SMUG-",),
        "malformed input": ("MAL-",),
        "normalization": ("NORM-",),
    }
    rows = {
        family: Counter(verdict for name, verdict in verdicts.items() if name.startswith(prefixes))
        for family, prefixes in families.items()
    }
    rows["**all**"] = sum(rows.values(), Counter())
    table = _table(
        ["suite", "scored cases", "pass", "warn", "fail"],
        (
            [name, str(row.total()), str(row["pass"]), str(row["warn"]), str(row["fail"])]
            for name, row in rows.items()
        ),
    )
    warned = ", ".join(f"`{name}`" for name, verdict in verdicts.items() if verdict == "warn")
    failed = "\n".join(f"* `{name}`: {reason}" for name, reason in DIFFERENCES.items())
    return f"{table}\n\nThe warnings: {warned}.\n\nWhat fails, fails on purpose:\n\n{failed}"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])
