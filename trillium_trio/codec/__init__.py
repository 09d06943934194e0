"""HTTP/1 without I/O: bytes in, values out; values in, bytes out. No trio, no sockets, no clock.

.. code-block:: text

    first bytes --> read_proxy_header --> ProxyHeader, bytes used

    buffer --> read_head ------------------------------------------> RequestHead, bytes used
                 |                                                     | framing facts
                 |-- no end yet: limits, bytes that are never          v
                 |     legal (_lines)                             LengthReader | ChunkedReader
                 |-- regular head:   one strict pattern (_lane)        | feed(data)
                 `-- any other head: our checks, then h11              v
                       (_irregular)                               body bytes, bytes after the body

    status, Headers, framing --> render_head, render_chunk, ... --> bytes

**One grammar, two lanes.** Most heads have one regular shape, which a single pattern recognises in
about a microsecond. Every other head is checked line by line and then by h11, which decides what
is malformed. The lane never takes a head that h11 would refuse or read differently.

**Splits do not matter.** The result depends only on the bytes so far, and an error is raised at the
first byte at which it is certain. A message gives the same outcome whole, byte by byte, or split
anywhere.

**After an error** nothing more is read from the connection: the start of the next message is no
longer certain (RFC 9112, 6.3). All errors are `HttpError`, answerable until a response head
has been sent, but those of `read_proxy_header`, which nobody could answer.
"""

from __future__ import annotations

from ._body import FORBIDDEN_TRAILERS, ChunkedReader, LengthReader
from ._framing import BodyFraming, connection_options, response_framing, shows_length
from ._head import HeadLimits, is_head_started, read_head
from ._proxy_header import ProxyHeader, read_proxy_header
from ._response import (
    CHUNK_END,
    LAST_CHUNK,
    chunk_prefix,
    render_chunk,
    render_continue,
    render_error,
    render_head,
    render_interim,
    render_last_chunk,
    render_whole,
)
from ._target import check_host

__all__ = [
    "CHUNK_END",
    "FORBIDDEN_TRAILERS",
    "LAST_CHUNK",
    "BodyFraming",
    "ChunkedReader",
    "HeadLimits",
    "LengthReader",
    "ProxyHeader",
    "check_host",
    "chunk_prefix",
    "connection_options",
    "is_head_started",
    "read_head",
    "read_proxy_header",
    "render_chunk",
    "render_continue",
    "render_error",
    "render_head",
    "render_interim",
    "render_last_chunk",
    "render_whole",
    "response_framing",
    "shows_length",
]
