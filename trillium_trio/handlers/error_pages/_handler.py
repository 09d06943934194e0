"""The handler: gives responses that only have a status a body."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, final

from ..._log import SafeLogger
from ...conn import Conn, Failure, Handler
from ...exceptions import ConfigError
from ...http import add_vary, media_weight, reason_phrase
from ._debug import debug_page
from ._plain import CONTENT_SECURITY_POLICY, html_page, problem_document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ...conn import Info

__all__ = ["ErrorPages"]

logger = SafeLogger("trillium_trio.handlers")

_HTML = "text/html"
_PROBLEM = "application/problem+json"
_JSON = "application/json"


@final
class ErrorPages(Handler):
    """Gives errors a page: responses of status 400 and more whose body says no more than that.

    Those are the answers to exceptions, and to requests that no handler has answered. A body that a
    handler has set is kept. The client gets HTML, a problem document (RFC 9457) or text, whichever
    its Accept field prefers. Put it in front of the handlers whose errors it is for.

    Args:
      pages: By status, an async function that takes the conn and sets its body; ``conn.status``
        stays what it was.
      debug: Whether a client on this machine sees the traceback and the local variables of an
        exception that is not an `HttpError`. For development only: they may have secrets.

    Raises:
      ConfigError: A key of ``pages`` is not the status of an error.
    """

    def __init__(
        self,
        *,
        pages: Mapping[int, Callable[[Conn], Awaitable[Conn]]] | None = None,
        debug: bool = False,
    ) -> None:
        self._pages = dict(pages or {})
        self._debug = debug
        for status in self._pages:
            if not 400 <= status <= 599:
                raise ConfigError(f"ErrorPages: {status!r} is not the status of an error")

    async def init(self, info: Info) -> None:
        """Warn of ``debug``.

        Cancellation:
          None: it does not wait.
        """
        if self._debug:
            logger.warning(
                "ErrorPages(debug=True) shows local variables to clients on this machine"
            )

    async def before_send(self, conn: Conn) -> Conn:
        """Set the body of an error that has none.

        Cancellation:
          That of the application's page.
        """
        status = conn.status
        if status is None:
            if conn.raw_body is not None:
                return conn
            # No handler has answered.
            status = 404
        if status < 400 or not _is_bare(conn, status):
            return conn
        failure = conn.state(Failure)
        if self._debug and failure is not None and _is_local(conn):
            _set_page(conn, status, debug=debug_page(failure.error, str(conn.head)))
        elif status in self._pages:
            await self._pages[status](conn.with_body(None))
            conn.with_status(status)
        else:
            _set_page(conn, status)
        return conn


def _is_bare(conn: Conn, status: int) -> bool:
    """Whether the body is none, or the one that the server gives an error."""
    body = conn.raw_body
    return body is None or body == f"{reason_phrase(status) or status}\n"


def _is_local(conn: Conn) -> bool:
    ip = conn.peer_ip
    return ip is None or ipaddress.ip_address(ip).is_loopback


def _set_page(conn: Conn, status: int, *, debug: str | None = None) -> None:
    """Set the body in the format that the client prefers; of equals the first: text, HTML, JSON."""
    accept = conn.request_headers.get_all("accept")
    html = media_weight(accept, _HTML)
    problem = max(media_weight(accept, _PROBLEM), media_weight(accept, _JSON))
    text = media_weight(accept, "text/plain")
    headers = conn.response_headers
    add_vary(headers, "Accept")
    conn.with_status(status)
    if text >= max(html, problem) and debug is None:
        headers.set("content-type", "text/plain; charset=utf-8")
        conn.with_body(f"{reason_phrase(status) or status}\n")
    elif html >= problem:
        headers.set("content-type", f"{_HTML}; charset=utf-8")
        if "content-security-policy" not in headers:
            headers.set("content-security-policy", CONTENT_SECURITY_POLICY)
        conn.with_body((debug or html_page(status)).encode())
    else:
        headers.set("content-type", _PROBLEM)
        conn.with_body(problem_document(status).encode())
