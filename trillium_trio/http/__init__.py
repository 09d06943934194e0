"""HTTP as plain values: no trio, no sockets, no I/O; time is an argument.

Every file holds one value. Parsers and serializers are in `trillium_trio.codec`; the values do not
know how they are received or sent.

.. code-block:: text

    RequestHead     a request's method, target, version, Headers and five framing facts
      Headers       ordered, case-insensitive fields; split from their block on first use
    Body            a response's content: bytes, a stream, or the path of a file
    Status          the registered status codes and their reason phrases
    HttpConfig      limits and timeouts of connections
    Networks        networks of trusted peers
    TypeMap         state, one value per type
    http_date       IMF-fixdate
    add_vary        the Vary field
    media_weight    what Accept says of a media type; accepted_codings of content codings
    parse_cookies   the Cookie field; set_cookie renders Set-Cookie
"""

from __future__ import annotations

from ._accept import accepted_codings, media_weight
from ._body import Body, BodyLike, BodySource, ReceivesSome
from ._cookies import SameSite, parse_cookies, set_cookie
from ._dates import http_date
from ._headers import Headers
from ._http_config import HttpConfig
from ._networks import IpAddress, Networks, parse_ip
from ._request_head import RequestHead
from ._state import TypeMap
from ._status import Status, reason_phrase
from ._vary import add_vary

__all__ = [
    "Body",
    "BodyLike",
    "BodySource",
    "Headers",
    "HttpConfig",
    "IpAddress",
    "Networks",
    "ReceivesSome",
    "RequestHead",
    "SameSite",
    "Status",
    "TypeMap",
    "accepted_codings",
    "add_vary",
    "http_date",
    "media_weight",
    "parse_cookies",
    "parse_ip",
    "reason_phrase",
    "set_cookie",
]
