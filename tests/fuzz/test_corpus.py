"""Every seed and every finding, through its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzz._targets import CORPUS, TARGETS

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(path for folder in CORPUS.iterdir() if folder.is_dir() for path in folder.iterdir())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_invariants_hold(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_seeds() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)
