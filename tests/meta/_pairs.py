"""Reads the pages "Coming from ..." of frameworks: twenty sections, each with theirs and ours.

.. code-block:: text

    setup, a block of Python             what the blocks below it use
    ## Hello                             a section
    <div class="pair">                   theirs and ours, side by side where there is room
    a block of theirs
    a block of ours
    </div>
    a block of Python                    what is asserted of ours
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.meta._snippets import snippets
from tests.meta._tree import ROOT

LABELS = {
    "flask": "Flask",
    "fastapi": "FastAPI",
    "aiohttp": "aiohttp",
    "quart-trio": "Quart-Trio",
}

_SECTION = re.compile(r"^## (?P<title>.+)\n(?P<text>(?:(?!## ).*\n)*)", re.MULTILINE)
_BLOCK = r"```(?:python|console)\n((?:(?!```).*\n)*)```\n\n"
_PAIR = re.compile(rf'<div class="pair">\n\n{_BLOCK}{_BLOCK}</div>\n')


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One section: theirs, ours, and what is asserted of ours."""

    title: str
    theirs: str
    ours: str
    check: str


def page(framework: str) -> str:
    return (ROOT / "docs" / "explanation" / f"from-{framework}.md").read_text(encoding="utf-8")


def setup_of(text: str) -> str:
    """Return the block that all others use."""
    return next(snippets(text)).source


def titles(text: str) -> list[str]:
    return [section["title"] for section in _SECTION.finditer(text)]


def pairs(text: str) -> list[Pair]:
    """Find the sections that have a pair."""
    found = []
    for section in _SECTION.finditer(text):
        match = _PAIR.search(section["text"])
        if match is not None:
            rest = section["text"][match.end() :]
            found.append(
                Pair(
                    title=section["title"],
                    theirs=match[1],
                    ours=match[2],
                    check="".join(each.source for each in snippets(rest)),
                )
            )
    return found
