"""Health checks: liveness and readiness, which differ while the server drains."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ..conn import Handler, Readiness

if TYPE_CHECKING:
    from ..conn import Conn

__all__ = ["Health"]

_METHODS = frozenset({"GET", "HEAD"})


@final
class Health(Handler):
    """Answers two health checks: liveness while the process runs, readiness until the stop.

    Readiness becomes 503 with the stop, while `Config.drain_delay` keeps the listeners open, so
    that a load balancer turns away before they close. Liveness stays 200 to the end, so that a
    draining process is not killed. `Readiness` fails and restores the readiness check of a server
    that goes on. Put it before handlers that halt.

    Args:
      liveness: The path of the liveness check.
      readiness: The path of the readiness check.
    """

    def __init__(self, *, liveness: str = "/livez", readiness: str = "/readyz") -> None:
        self._liveness = liveness
        self._readiness = readiness

    async def run(self, conn: Conn) -> Conn:
        """Answer a health check; pass on every other request.

        Cancellation:
          None: it does not wait.
        """
        if conn.method not in _METHODS:
            return conn
        path = conn.path
        if path not in {self._liveness, self._readiness}:
            return conn
        # A cache must not answer health checks.
        conn.with_response_header("cache-control", "no-store")
        if path == self._readiness:
            if not conn.swansong.is_running:
                return conn.ok("shutting down\n").with_status(503)
            readiness = conn.shared_state(Readiness)
            if readiness is not None and readiness.withdrawn is not None:
                return conn.ok(f"{readiness.withdrawn}\n").with_status(503)
        return conn.ok("ok\n")

    @property
    def name(self) -> str:
        """The two paths."""
        return f"Health({self._liveness}, {self._readiness})"
