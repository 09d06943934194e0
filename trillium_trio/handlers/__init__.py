"""Batteries: one file per handler; none imports another.

.. code-block:: text

    Health          liveness and readiness, which differ while the server drains
    sync_handler    a plain function, in a worker thread
"""

from __future__ import annotations

from ._health import Health
from ._sync import sync_handler

__all__ = ["Health", "sync_handler"]
