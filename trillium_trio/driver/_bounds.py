"""How long a connection may be used, and for how many requests (CN-30)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from ._service import Service

__all__ = ["Bounds"]


@final
class Bounds:
    """Limits the age and the requests of one connection. Not created if neither is limited.

    Args:
      service: What all connections share, including the settings.
      since: When the connection was accepted, or its handshake done, on trio's clock.
    """

    __slots__ = ("_left", "_passes", "_service")

    def __init__(self, service: Service, since: float) -> None:
        http = service.http
        self._service = service
        self._passes = since + (http.max_connection_age or inf)
        self._left = http.max_connection_requests or inf

    @classmethod
    def of(cls, service: Service, since: float) -> Bounds | None:
        """Return the bounds of a new connection, or None if it has none."""
        http = service.http
        if http.max_connection_age or http.max_connection_requests:
            return cls(service, since)
        return None

    def is_last(self) -> bool:
        """Count a request; return whether the connection is to close after it."""
        self._left -= 1
        return self._left <= 0 or self._service.now() >= self._passes

    def patience(self, idle_since: float) -> float:
        """Return how many seconds an idle connection may wait for its next request.

        No less than the grace that a stop gives: the last response has promised another request.
        """
        service = self._service
        rest = max(self._passes - idle_since, service.keepalive_grace)
        return min(service.http.idle_timeout, rest)

    def __repr__(self) -> str:
        return f"<Bounds {self._left} requests, until {self._passes}>"
