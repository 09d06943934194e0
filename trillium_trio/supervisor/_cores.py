"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["quota_from", "usable_cores"]


def usable_cores() -> int:
    """Return the number of cores that affinity and the quota of the cgroup leave."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    try:
        quota = quota_from(Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii"))
    except (OSError, ValueError):
        quota = None
    return cores if quota is None else max(1, min(cores, quota))


def quota_from(text: str) -> int | None:
    """Return the cores of a quota, ``cpu.max`` of cgroup v2, rounded up; None: there is no quota.

    Raises:
      ValueError: It is none.
    """
    quota, period = text.split()
    return None if quota == "max" else max(1, math.ceil(int(quota) / int(period)))
