"""The first process of a container inherits orphans, and has to wait for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["reap"]


def reap(own: Collection[int]) -> list[int]:
    """Wait for children that have ended and that nobody else waits for.

    Never for any child, which would take the exit status from who started it.

    Args:
      own: The ids of processes that this one has started.

    Returns:
      Their ids.
    """
    return [pid for pid in _children() if pid not in own and _has_ended(pid)]


def _children() -> list[int]:
    found: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            found += map(int, path.read_text(encoding="ascii").split())
        except (OSError, ValueError):
            pass  # The thread has ended.
    return found


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False
