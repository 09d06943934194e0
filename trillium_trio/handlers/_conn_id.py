"""An id for each request: in the response, and in each log line of the request."""

from __future__ import annotations

import logging
import re
import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING, final

from ..conn import Handler, OnConn
from ..http import parse_traceparent

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..conn import Conn, HasState

__all__ = ["ConnId", "ConnIdFilter"]

# What may be in a log line, a file name and a URL without escaping.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_current: ContextVar[str] = ContextVar("trillium_trio.conn_id", default="-")


@final
class _Id(OnConn, left_by="ConnId"):
    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value


@final
class ConnId(Handler):
    """Gives each request an id: ``ConnId.of(conn)`` returns it, and the response has it.

    A client's id is taken if it has at most 64 letters, digits, dots, underscores and hyphens;
    else the trace id of a ``traceparent`` field (W3C Trace Context); else a new one is made. It is
    in a context variable as well, which `ConnIdFilter` adds to log records. Put it first.

    Args:
      header: The request's field that may have an id. None: always make a new one.
      response_header: The response's field. None: none.
      make: Makes an id. Default: 16 random letters, digits, underscores and hyphens.
    """

    def __init__(
        self,
        *,
        header: str | None = "x-request-id",
        response_header: str | None = "x-request-id",
        make: Callable[[], str] | None = None,
    ) -> None:
        self._header = header
        self._response_header = response_header
        self._make = _random if make is None else make

    @staticmethod
    def of(conn: HasState) -> str:
        """Return the id of this conn.

        Raises:
          MisuseError: `ConnId` is not in front of the handler that asks.
        """
        return _Id.of(conn).value

    async def run(self, conn: Conn) -> Conn:
        """Choose the id, and leave it on the conn and in the context.

        Cancellation:
          None: it does not wait.
        """
        ident = self._sent(conn) or self._make()
        # One task serves all requests of a connection.
        conn.isolate()
        _current.set(ident)
        return conn.with_state(_Id(ident))

    async def before_send(self, conn: Conn) -> Conn:
        """Add the field to the response.

        Cancellation:
          None: it does not wait.
        """
        ident = conn.state(_Id)
        if ident is not None and self._response_header is not None:
            conn.response_headers.set(self._response_header, ident.value)
        return conn

    def _sent(self, conn: Conn) -> str | None:
        """Return the id that the client has sent, if it is one."""
        if self._header is None:
            return None
        headers = conn.request_headers
        given = headers.get(self._header)
        if given is not None and _ID.fullmatch(given):
            return given
        trace = parse_traceparent(headers.get("traceparent") or "")
        return None if trace is None else trace.trace_id


@final
class ConnIdFilter(logging.Filter):
    """Gives each log record a ``conn_id``, for the format: ``-`` outside a request.

    Add it to a logging handler: a filter of a logger does not see the records of its children::

        handler.addFilter(ConnIdFilter())
        handler.setFormatter(logging.Formatter("%(asctime)s %(conn_id)s %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id to the record, and keep it."""
        record.conn_id = _current.get()
        return True


def _random() -> str:
    return secrets.token_urlsafe(12)
