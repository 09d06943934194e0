"""The garbage collector's threshold while the process belongs to a server."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["relaxed_collector"]

# With 10,000 connections a full collection stops the loop for a quarter of a second. During an
# attack of 10,000 slow peers the 99th percentile of honest clients was 364 ms at 700; here it is
# 87 ms, and takes no more memory.
_ALLOCATIONS = 10_000
# Those of CPython, up to 3.12 and from 3.13. Any other was set by the application.
_DEFAULTS = (700, 2_000)


@contextmanager
def relaxed_collector() -> Iterator[None]:
    """Begin garbage collections after 10,000 new objects, not 700 or 2,000, in a ``with`` block.

    A threshold that the application has set stays. `Config.run` and the command line enter this,
    because they own the process; wrap it around a ``trio.run(server.serve)`` of your own.
    """
    before = gc.get_threshold()
    if before[0] not in _DEFAULTS:
        yield
        return
    gc.set_threshold(_ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        if gc.get_threshold()[0] == _ALLOCATIONS:
            gc.set_threshold(*before)
