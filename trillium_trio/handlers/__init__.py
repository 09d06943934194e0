"""Batteries: one file per handler; none imports another.

`sync_handler` runs a plain function in a worker thread.
"""

from __future__ import annotations

from ._sync import sync_handler

__all__ = ["sync_handler"]
