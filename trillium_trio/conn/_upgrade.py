"""A connection that has switched from HTTP to another protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, final

if TYPE_CHECKING:
    from ..http import Headers
    from ..swansong import Swansong
    from ..transport import Transport
    from ._conn import Conn

__all__ = ["Upgrade"]

T = TypeVar("T")


@final
class Upgrade:
    """A transport after its ``101 Switching Protocols`` (RFC 9110, 7.8), and its request.

    The handler that takes it owns the byte stream, in the same task, still guarded: a drain waits
    for it and notifies it through `swansong`. The connection closes the transport afterwards.

    Attributes:
      transport: The raw byte stream.
      leftover: Bytes that the client sent after its request; they precede the transport's.
    """

    __slots__ = ("_conn", "leftover", "transport")

    def __init__(self, conn: Conn, *, transport: Transport, leftover: bytes) -> None:
        self._conn = conn
        self.transport: Transport = transport
        self.leftover: bytes = leftover

    @property
    def method(self) -> str:
        """The request's method."""
        return self._conn.method

    @property
    def path(self) -> str:
        """The request's path, not percent-decoded."""
        return self._conn.path

    @property
    def querystring(self) -> str:
        """The part after the ``?``, or the empty string."""
        return self._conn.querystring

    @property
    def request_headers(self) -> Headers:
        """The request's header fields."""
        return self._conn.request_headers

    @property
    def peer_ip(self) -> str | None:
        """The peer's IP address, or None on a unix socket."""
        return self._conn.peer_ip

    @property
    def is_secure(self) -> bool:
        """Whether the request came over TLS."""
        return self._conn.is_secure

    @property
    def swansong(self) -> Swansong:
        """The server's node: its stop is the notice to finish and close."""
        return self._conn.swansong

    def state(self, type_: type[T]) -> T | None:
        """Return the value of this type that the handlers left, or None."""
        return self._conn.state(type_)

    def shared_state(self, type_: type[T]) -> T | None:
        """Return the server's shared value of this type, or None."""
        return self._conn.shared_state(type_)

    def __repr__(self) -> str:
        return f"<Upgrade {self.method} {self.path} from {self.transport.peer}>"
