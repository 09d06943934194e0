"""The files of the repository, as the tests of its rules see them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "trillium_trio"
TESTS = ROOT / "tests"


def relative(path: Path) -> str:
    """Name a file the way a reader would type it, from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def package_sources() -> dict[str, str]:
    """Read every module of the package; the keys are paths like ``codec/_head.py``."""
    return {
        path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def public_folders() -> list[str]:
    """Name the public folders that there are: packages without a leading underscore."""
    return sorted(
        path.parent.name
        for path in PACKAGE.glob("*/__init__.py")
        if not path.parent.name.startswith("_")
    )


def parse(path: Path) -> ast.Module:
    """Parse one Python file; its path is in the message of a syntax error."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def parsed_tests() -> Iterator[tuple[Path, ast.Module]]:
    """Parse every Python file below ``tests/``."""
    for path in sorted(TESTS.rglob("*.py")):
        yield path, parse(path)
