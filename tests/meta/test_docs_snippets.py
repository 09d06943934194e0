"""The Python of the documentation runs."""

from __future__ import annotations

import sys
import traceback
import types
from typing import TYPE_CHECKING

import pytest

from tests.meta._snippets import Snippet, run_page, snippets
from tests.meta._tree import ROOT, relative

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = ("tutorial", "how-to", "explanation")

PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "index.md",
    *(page for folder in FOLDERS for page in sorted((ROOT / "docs" / folder).rglob("*.md"))),
]


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_the_python_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Known to sys.modules, because dataclasses look themselves up there.
    module = types.ModuleType("docs_page")
    monkeypatch.setitem(sys.modules, "docs_page", module)
    monkeypatch.chdir(tmp_path)
    run_page(page.read_text(encoding="utf-8"), name=relative(page), module=module, timeout=30)


def run(page: str) -> types.ModuleType:
    module = types.ModuleType("docs_page")
    run_page(page, name="page.md", module=module, timeout=5)
    return module


def test_blocks_share_one_module_in_order() -> None:
    page = "```python\na = 1\n```\ntext\n```console\n$ a = 2\n```\n\n```python\na += 1\n```\n"
    assert run(page).a == 2


def test_a_block_in_a_list_is_dedented() -> None:
    assert run("* first\n\n  ```python\n  if True:\n      a = 1\n  ```\n").a == 1


def test_a_block_may_await() -> None:
    assert run("```python\nimport trio\nawait trio.lowlevel.checkpoint()\na = 1\n```\n").a == 1


def test_a_program_behind_its_guard_is_not_started() -> None:
    run('```python\nif __name__ == "__main__":\n    raise SystemExit\n```\n')


def test_a_failing_block_shows_the_line_of_the_page() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run("# Title\n\n```python\na = 1\n1 / 0\n```\n")
    last = traceback.extract_tb(caught.tb)[-1]
    assert (last.filename, last.lineno) == ("page.md", 5)


@pytest.mark.parametrize("comment", ["% test: compile", "<!-- test: compile -->"])
def test_a_block_may_be_compiled_only(comment: str) -> None:
    assert not hasattr(run(f"{comment}\n\n```python\na = 1 / 0\n```\n"), "a")
    with pytest.raises(SyntaxError):
        run(f"{comment}\n```python\na =\n```\n")


def test_a_block_may_be_left_out_with_a_reason() -> None:
    run("% test: skip-run a fragment of a class\n```python\ndef f(self) -> int: return\n  :\n```\n")
    with pytest.raises(ValueError, match="needs a reason"):
        run("% test: skip-run\n```python\na = 1\n```\n")


def test_a_comment_counts_for_the_next_block_only() -> None:
    page = "% test: compile\n```python\na = 1\n```\n```python\nb = 1\n```\n"
    assert [snippet.mode for snippet in snippets(page)] == ["compile", "run"]
    page = "% test: compile\nsome text\n```python\na = 1\n```\n"
    assert list(snippets(page)) == [Snippet(source="a = 1\n", line=4, mode="run")]


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("% test: ignore\n```python\n```\n", "no such way"),
        ("% test: compile\n```console\n```\n", "not Python"),
        ("```{code-block} python\na = 1\n```\n", "so that it is run"),
        ("```py\na = 1\n```\n", "so that it is run"),
        ("```python\na = 1\n", "never ends"),
    ],
)
def test_a_block_that_would_go_unchecked_is_refused(page: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        run(page)


def test_python_quoted_in_another_block_is_text() -> None:
    page = "````text\n```python\na = 1\n```\n````\n"
    assert list(snippets(page)) == []
