"""No path of the public lists leads out of the root.

They are those of PayloadsAllTheThings, *Directory Traversal/Intruder*, in the folder ``traversal``
of the corpora.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance._traversal import as_target, count_attempts, make_root
from trillium_trio.handlers import Static

if TYPE_CHECKING:
    from pathlib import Path


async def test_st_2_public_lists(traversal_list: Path, tmp_path: Path) -> None:
    handler = Static(make_root(tmp_path), dotfiles=True, follow_symlinks=True)
    lines = traversal_list.read_text(encoding="utf-8", errors="replace").splitlines()
    assert await count_attempts(handler, (as_target(line) for line in lines if line)) > 100
