"""No path leads out of the root, however it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance._traversal import as_target, attempts, count_attempts, make_root
from trillium_trio.handlers import Static

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("lax", [False, True])
async def test_st_2_paths_made_here(lax: bool, tmp_path: Path) -> None:
    handler = Static(make_root(tmp_path), dotfiles=lax, follow_symlinks=lax)
    assert await count_attempts(handler, map(as_target, attempts())) > 5_000
