"""Sessions: what a server remembers of a browser between requests.

.. code-block:: text

    request --> Cookie --> Keeper.load --> Session on the conn --> handlers
                             |                                        |
                             | InCookie: signed or encrypted          v changed, renewed, half over
    response <- Set-Cookie <- Keeper.save <----------------------- before_send
                             | InStore: an id, and a SessionStore has the contents
"""

from __future__ import annotations

from ._handler import Sessions
from ._session import Session
from ._store import MemoryStore, SessionStore

__all__ = ["MemoryStore", "Session", "SessionStore", "Sessions"]
