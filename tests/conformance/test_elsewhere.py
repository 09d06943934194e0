"""Says whether the corpora take part in this run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.conftest import find_corpora, load_cases, load_differences

if TYPE_CHECKING:
    import pytest


def test_the_corpora_are_here_or_elsewhere(pytestconfig: pytest.Config) -> None:
    corpora = find_corpora(pytestconfig)
    if corpora is None:
        # They are not part of this project; see the docstring of this folder.
        assert load_cases(corpora) == []
    else:
        assert load_cases(corpora), f"{corpora} has no folder with a cases.jsonl"


def test_every_difference_has_its_section() -> None:
    for reason in load_differences().values():
        assert "RFC 91" in reason
