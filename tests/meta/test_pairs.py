"""The pages "Coming from ..." of frameworks say the same twenty things, in the same order."""

from __future__ import annotations

import pytest

from tests.meta._pairs import LABELS, Pair, page, pairs, setup_of, titles

END = ["Move bit by bit", "What differs", "What is missing here"]
FLASK = pairs(page("flask"))


@pytest.mark.parametrize("framework", LABELS)
def test_a_page_has_the_same_twenty_sections(framework: str) -> None:
    found = pairs(page(framework))
    assert [each.title for each in found] == [each.title for each in FLASK]
    assert len(found) == 20
    assert titles(page(framework)) == [*(each.title for each in found), *END]


@pytest.mark.parametrize("framework", LABELS)
def test_ours_is_the_same_on_each_page(framework: str) -> None:
    # So that whoever changes one of them changes all.
    for each, other in zip(pairs(page(framework)), FLASK, strict=True):
        assert (each.ours, each.check) == (other.ours, other.check)


@pytest.mark.parametrize("framework", LABELS)
def test_each_block_says_whose_it_is(framework: str) -> None:
    *code, deployment = pairs(page(framework))
    for each in code:
        assert each.theirs.startswith(f"# {LABELS[framework]}\n"), each.title
        assert each.ours.startswith("# trillium_trio\n"), each.title
    assert deployment.theirs.startswith("$ ")
    assert deployment.ours.startswith("$ trillium-trio ")


@pytest.mark.parametrize("pair", FLASK, ids=lambda pair: pair.title)
def test_something_is_asserted_of_ours(pair: Pair) -> None:
    assert "assert" in pair.check or "assert" in pair.ours
    assert pair.check


def test_the_checker_reads_pages() -> None:
    text = (
        "# Coming\n\n```python\nshared = 1\n```\n\n## One\n\n"
        '<div class="pair">\n\n```python\na\n```\n\n'
        "```python\nb\n\n# ## no heading\n```\n\n</div>\n\n"
        "```python\nassert b\n```\n\nText.\n\n## Two\n\nMore.\n"
    )
    assert setup_of(text) == "shared = 1\n"
    assert titles(text) == ["One", "Two"]
    assert pairs(text) == [
        Pair(title="One", theirs="a\n", ours="b\n\n# ## no heading\n", check="assert b\n")
    ]
