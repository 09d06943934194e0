"""Who the client is, behind proxies: `Forwarded` (RFC 7239) and `X-Forwarded-For` and its like.

.. code-block:: text

    Forwarded: for=client, for=edge     X-Forwarded-For: client, edge
        |                                   |
        | _fields: entries, from the right  |
        v                                   v
    Hop, Hop, or None: malformed   ------> walk: past trusted networks ------> Client

Each proxy writes its entry behind those that it has received. So an entry is as trustworthy as the
proxy that wrote it, and everything left of the first address that is no proxy of ours is the
client's own word.
"""

from __future__ import annotations

from ._fields import Hop, forwarded_hops, last_value, x_forwarded_hops
from ._handler import Forwarded

__all__ = ["Forwarded", "Hop", "forwarded_hops", "last_value", "x_forwarded_hops"]
