"""Relative links lead somewhere: in the documentation, and on the pages beside the code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.meta._tree import ROOT, relative

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in page.parts),
]

FENCED = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1`*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?\s*\)")
HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)


def links(page: str) -> Iterator[str]:
    """Find the targets of links and images; those shown as code are none."""
    for target in LINK.findall(CODE.sub("`", FENCED.sub("", page))):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(page: str) -> set[str]:
    """Name the anchors of a page's headings, as GitHub and MyST make them."""
    headings = HEADING.findall(FENCED.sub("", page))
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def broken(path: Path) -> Iterator[str]:
    """Find the links of a page whose file, or whose heading in it, does not exist."""
    for target in links(path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        to = (path.parent / name).resolve() if name else path
        if not to.exists() or (anchor and anchor not in anchors(to.read_text(encoding="utf-8"))):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


def test_the_checker_finds_links() -> None:
    page = (
        "[a](b.md) and [c\nd](<e.md#f>), ![g](h.svg), [](i.md), [j](https://example.org/)\n"
        "`[k](l.md)`\n\n```text\n[m](n.md)\n```\n[o](#p)\n"
    )
    assert list(links(page)) == ["b.md", "e.md#f", "h.svg", "i.md", "#p"]


def test_the_checker_finds_what_is_broken(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title, `x`\n[a](#a-title-x) [b](#c) [d](d.md)\n", encoding="utf-8")
    assert list(broken(page)) == ["#c", "d.md"]
