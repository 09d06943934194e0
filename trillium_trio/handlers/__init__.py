"""Ready-made handlers: one file each; none imports another.

.. code-block:: text

    EventStream     server-sent events from a generator, which may send a last one at the stop
    Health          liveness and readiness, which differ while the server drains
    sync_handler    a plain function, in a worker thread
"""

from __future__ import annotations

from ._event_stream import Event, EventStream
from ._health import Health
from ._sync import sync_handler

__all__ = ["Event", "EventStream", "Health", "sync_handler"]
