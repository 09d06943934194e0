"""The requests of a test client, built from its methods' arguments."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypedDict, final

import h11

from ..http import Headers

if TYPE_CHECKING:
    from typing import Unpack

__all__ = ["Options", "Request", "build_request"]

# RFC 9110, 8.6: a client sends Content-Length even for an empty body if the method expects one.
_HAS_BODY = frozenset({"POST", "PUT", "PATCH"})

HeadersLike: TypeAlias = Headers | Mapping[str, str] | Iterable[tuple[str, str]]


@final
class Options(TypedDict, total=False):
    """The options of every method of a client.

    Attributes:
      headers: Header fields. ``Host`` and framing are added unless given.
      body: The body: text is sent as UTF-8, an async iterable in chunks.
      json: A value to send as JSON, instead of a body.
    """

    headers: HeadersLike | None
    body: bytes | str | AsyncIterable[bytes]
    json: object


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to send; any number of times, unless its body is a stream."""

    method: str
    path: str
    headers: Headers = field(default_factory=Headers)
    body: bytes | AsyncIterable[bytes] = b""

    def connection(self) -> tuple[h11.Connection, bytes]:
        """Return an h11 client that has sent the head, and the head as bytes.

        Raises:
          h11.LocalProtocolError: The request is invalid. Use `RawPeer` to send it.
        """
        http = client_connection()
        event = h11.Request(method=self.method, target=self.path, headers=self.headers.raw)
        head = http.send(event)
        assert head is not None
        return http, head


def client_connection() -> h11.Connection:
    """Return an h11 client that accepts long heads."""
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 24)


def build_request(method: str, path: str, **options: Unpack[Options]) -> Request:
    """Return a request: see `Options`."""
    headers = Headers(options.get("headers") or ())
    body = options.get("body", b"")
    if "json" in options:
        if "body" in options:
            raise TypeError("a request has a body or json, not both")
        body = json.dumps(options["json"])
        if "content-type" not in headers:
            headers.set("content-type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    if "host" not in headers:
        headers = Headers([("host", "testserver"), *headers.items()])
    if "content-length" not in headers and "transfer-encoding" not in headers:
        if not isinstance(body, bytes):
            headers.set("transfer-encoding", "chunked")
        elif body or method in _HAS_BODY:
            headers.set("content-length", str(len(body)))
    return Request(method=method, path=path, headers=headers, body=body)
