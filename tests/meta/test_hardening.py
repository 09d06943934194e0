"""What the pages about hardening and conformance name is there: tests, settings, and defaults."""

from __future__ import annotations

import ast
import re
from dataclasses import fields

import pytest

import trillium_trio as tt
from tests.meta._tree import ROOT, parse

PAGE = (ROOT / "docs" / "explanation" / "hardening.md").read_text(encoding="utf-8")
CONFORMANCE = (ROOT / "docs" / "reference" / "conformance.md").read_text(encoding="utf-8")
ASGI = (ROOT / "docs" / "reference" / "asgi-conformance.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAGE + CONFORMANCE + ASGI)))
SETTINGS = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("test", TESTS)
def test_the_test_exists(test: str) -> None:
    path, _, name = test.partition("::")
    functions = [
        node.name
        for node in parse(ROOT / path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert name in functions


@pytest.mark.parametrize(("setting", "default"), SETTINGS)
def test_the_default_is_the_one_that_is_named(setting: str, default: str) -> None:
    assert str(getattr(tt.HttpConfig(), setting)) == default


def test_every_setting_is_on_the_page() -> None:
    assert [each.name for each in fields(tt.HttpConfig) if f"`{each.name}`" not in PAGE] == []
    assert f"`max_body_bytes`, by default {tt.HttpConfig().max_body_bytes}," in PAGE


def test_every_line_of_a_table_has_its_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    heads = ("| promise ", "| setting ", "| what fails ", "| peer ")
    assert [row for row in rows if "::test_" not in row and not row.startswith(heads)] == []


def test_every_case_of_asgi_has_its_test() -> None:
    rows = [line for line in ASGI.splitlines() if line.startswith("| ")]
    cases = [row for row in rows if not row.startswith("| case ")]
    assert len(cases) > 30
    assert [row for row in cases if "::test_as_" not in row.split("|")[-2]] == []


def test_every_decision_about_the_rfcs_has_its_section_and_its_test() -> None:
    decisions, _, _ = CONFORMANCE.partition("## Request corpora")
    rows = [line for line in decisions.splitlines() if line.startswith("| ")]
    decided = [row for row in rows if not row.startswith("| what ")]
    assert len(rows) == len(decided) + 2
    assert [row for row in decided if "(RFC " not in row or "::test_" not in row] == []
