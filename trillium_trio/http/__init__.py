"""HTTP as plain values: no trio, no sockets, no I/O; time is an argument.

Every file holds one value. Parsers and serializers are in `trillium_trio.codec`; the values do not
know how they are received or sent.

.. code-block:: text

    RequestHead     a request's method, target, version, Headers and five framing facts
      Headers       ordered, case-insensitive fields; split from their block on first use
    Body            a response's content: bytes, a stream, a file or parts of one
    EntityTag       the name of a version; Validators: what identifies the current one
    Status          the registered status codes and their reason phrases
    HttpConfig      limits and timeouts of connections
    Networks        networks of trusted peers
    TypeMap         state, one value per type
    add_vary        the Vary field
    media_weight    what Accept says of a media type; accepted_codings of content codings
    is_same_origin  the Origin field; parse_origin
    parse_traceparent   the field of W3C Trace Context
    parse_cookies   the Cookie field; set_cookie renders Set-Cookie
    http_date       IMF-fixdate; parse_http_date reads all three forms

    judge_preconditions   RFC 9110, 13.2.2 as a table: 304, 412 or go on
    parse_byte_ranges     RFC 9110, 14.1.2: what is sent of a representation
"""

from __future__ import annotations

from ._accept import accepted_codings, media_weight
from ._body import Body, BodyLike, BodySource, FileParts, ReceivesSome, Transform, Transformed
from ._conditions import Validators, if_range_holds, judge_preconditions
from ._cookies import SameSite, parse_cookies, set_cookie
from ._dates import http_date, parse_http_date
from ._entity_tag import EntityTag, parse_entity_tags
from ._headers import Headers
from ._http_config import HttpConfig
from ._networks import IpAddress, Networks, parse_ip
from ._origin import is_same_origin, parse_origin
from ._ranges import MAX_RANGES, content_range, parse_byte_ranges, ranges_in_parts
from ._request_head import RequestHead
from ._state import TypeMap
from ._status import Status, reason_phrase
from ._trace_context import TraceParent, parse_traceparent
from ._vary import add_vary

__all__ = [
    "MAX_RANGES",
    "Body",
    "BodyLike",
    "BodySource",
    "EntityTag",
    "FileParts",
    "Headers",
    "HttpConfig",
    "IpAddress",
    "Networks",
    "ReceivesSome",
    "RequestHead",
    "SameSite",
    "Status",
    "TraceParent",
    "Transform",
    "Transformed",
    "TypeMap",
    "Validators",
    "accepted_codings",
    "add_vary",
    "content_range",
    "http_date",
    "if_range_holds",
    "is_same_origin",
    "judge_preconditions",
    "media_weight",
    "parse_byte_ranges",
    "parse_cookies",
    "parse_entity_tags",
    "parse_http_date",
    "parse_ip",
    "parse_origin",
    "parse_traceparent",
    "ranges_in_parts",
    "reason_phrase",
    "set_cookie",
]
