"""Every clause has a test, and every test that names a clause has one.

A clause is a heading ``## SW-1: title`` on a page of ``docs/spec/``. A test carries the id of its
clause in its name: ``test_sw_1_states``.
"""

from __future__ import annotations

import ast
import re

from tests.meta._tree import ROOT, parsed_tests, relative

# The rows of the table on the specification's first page.
INDEX = (ROOT / "docs" / "spec" / "index.md").read_text(encoding="utf-8")
FAMILIES = re.findall(r"^\| ([A-Z]{2}) \|", INDEX, re.MULTILINE)

HEADING = re.compile(rf"^## ((?:{'|'.join(FAMILIES)})-\d+): \S", re.MULTILINE)
ANY_HEADING = re.compile(rf"^#+ .*\b(?:{'|'.join(FAMILIES)})-\d+.*$", re.MULTILINE)
TEST_NAME = re.compile(rf"test_({'|'.join(family.lower() for family in FAMILIES)})_(\d+)(?:_|$)")


def clauses_of(page: str) -> list[str]:
    """Read the ids of the clauses off a page of the specification."""
    return HEADING.findall(page)


def clause_of(test: str) -> str | None:
    """Read the id of the clause off the name of a test: ``test_sw_5_flows_down`` is SW-5's."""
    found = TEST_NAME.match(test)
    return f"{found[1].upper()}-{int(found[2])}" if found else None


def spec_pages() -> dict[str, str]:
    pages = sorted((ROOT / "docs" / "spec").glob("*.md"))
    return {relative(path): path.read_text(encoding="utf-8") for path in pages}


def clauses_under_test() -> dict[str, set[str]]:
    """Find the clauses that tests name, with the files they are named in."""
    found: dict[str, set[str]] = {}
    for path, tree in parsed_tests():
        # The names used as examples in the tests of the rules are no tests of clauses.
        if path.parent.name == "meta":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                clause = clause_of(node.name)
                if clause is not None:
                    found.setdefault(clause, set()).add(relative(path))
    return found


def test_every_clause_has_a_test() -> None:
    clauses = [clause for page in spec_pages().values() for clause in clauses_of(page)]
    assert sorted(set(clauses) - clauses_under_test().keys()) == []


def test_every_test_of_a_clause_has_its_clause() -> None:
    clauses = {clause for page in spec_pages().values() for clause in clauses_of(page)}
    strays = {
        clause: files for clause, files in clauses_under_test().items() if clause not in clauses
    }
    assert strays == {}


def test_no_clause_is_written_down_twice() -> None:
    clauses = [clause for page in spec_pages().values() for clause in clauses_of(page)]
    assert sorted(clause for clause in set(clauses) if clauses.count(clause) > 1) == []


def test_every_heading_of_a_clause_has_the_form_that_is_read() -> None:
    odd = [
        f"{page}: {heading}"
        for page, text in spec_pages().items()
        for heading in ANY_HEADING.findall(text)
        if not HEADING.match(heading)
    ]
    assert odd == []


def test_the_checker_reads_headings() -> None:
    page = "# Title\n## SW-1: one\n## SW-2:\n### SW-3: deep\n## CN-14: two\nSee ## SV-1: no\n"
    assert clauses_of(page) == ["SW-1", "CN-14"]
    assert len(ANY_HEADING.findall(page)) == 4


def test_the_checker_reads_test_names() -> None:
    assert clause_of("test_sw_5_stop_flows_down") == "SW-5"
    assert clause_of("test_hd_12") == "HD-12"
    assert clause_of("test_sw_is_fast") is None
    assert clause_of("test_sw_5x") is None
    assert clause_of("check_sw_5_stop") is None
