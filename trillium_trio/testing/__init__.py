"""What applications need to test their handlers, and the project its own: no mocks, no sockets.

`MemoryListener` accepts connections in memory; everything behind it is the real server.
"""

from __future__ import annotations

from ._listener import MemoryListener, MemoryStream

__all__ = ["MemoryListener", "MemoryStream"]
