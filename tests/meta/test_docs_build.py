"""The documentation builds without a warning, and its search knows every public name."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.meta._tree import ROOT
from tests.meta.test_exports import MODULES, exported

if TYPE_CHECKING:
    from pathlib import Path


def read_index(path: Path) -> dict[str, Any]:
    """Read what the search reads: a call in JavaScript, around JSON."""
    text = path.read_text(encoding="utf-8")
    index = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    assert isinstance(index, dict)
    return index


def findable(index: dict[str, Any]) -> set[str]:
    """Name every object of the index as ``module.name``."""
    return {
        f"{prefix}.{name}"
        for prefix, objects in index["objects"].items()
        for *_where, name in objects
    }


# One test for both, because the build takes many seconds.
def test_the_documentation_builds_and_its_search_finds_every_public_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr

    found = findable(read_index(tmp_path / "searchindex.js"))
    for module in MODULES[1:]:
        missing = [name for name in exported(module) if f"{module}.{name}" not in found]
        assert missing == [], module
    # What the top re-exports is described with the folder that defines it.
    names = {name.rpartition(".")[2] for name in found}
    assert [name for name in exported(MODULES[0]) if name not in names] == []
