"""The version of the package, as ``pyproject.toml`` has it too."""

from __future__ import annotations

__all__ = ["VERSION"]

VERSION = "0.1.0"
