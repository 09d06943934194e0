"""HTTP as plain values: no trio, no sockets, no I/O, no clock but an argument.

Every file holds one value. Parsers and serializers of bytes live in `trillium_trio.codec`; the
values here neither know how they arrived nor how they will leave.

.. code-block:: text

    RequestHead     what a client asked: method, target, version, Headers and five framing facts
      Headers       ordered, case-insensitive fields; split from their block on first use
    Body            what a handler answers with: bytes, a stream, or the path of a file
    Status          the registered status codes and their reason phrases
    HttpConfig      limits and timeouts of connections
    TypeMap         state, one value per type
    http_date       IMF-fixdate
"""

from __future__ import annotations

from ._body import Body, BodyLike, BodySource, ReceivesSome
from ._dates import http_date
from ._headers import Headers
from ._http_config import HttpConfig
from ._request_head import RequestHead
from ._state import TypeMap
from ._status import Status, reason_phrase

__all__ = [
    "Body",
    "BodyLike",
    "BodySource",
    "Headers",
    "HttpConfig",
    "ReceivesSome",
    "RequestHead",
    "Status",
    "TypeMap",
    "http_date",
    "reason_phrase",
]
