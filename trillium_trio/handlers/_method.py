"""Handlers that have those after them see another method."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from ..conn import Handler
from ..exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..conn import Conn

__all__ = ["Head", "MethodOverride"]

# Their requests and responses are framed in a way of their own.
_FRAMED = frozenset({"CONNECT", "HEAD", "TRACE"})


@final
class Head(Handler):
    """Answers HEAD with what GET would have, without the body: handlers see a GET.

    A body in memory and a file give the length; a stream is not started. A `Router` answers HEAD
    by itself. Put it in front of handlers that look for GET.
    """

    async def run(self, conn: Conn) -> Conn:
        """Change HEAD to GET.

        Cancellation:
          None: it does not wait.
        """
        return conn.with_method("GET") if conn.method == "HEAD" else conn


@final
class MethodOverride(Handler):
    """Lets a form of HTML send other methods: ``<form method=post action="/x?_method=delete">``.

    Only a POST is changed, and only by the querystring. A page of another site can send such a form
    as well, without the preflight that its DELETE would need: the handlers behind this one have to
    be as careful as with a POST. Cookies with ``SameSite=Lax`` are not sent with it.

    Args:
      methods: What a POST may become.
      parameter: The parameter of the querystring.

    Raises:
      ConfigError: A method is framed in a way of its own: CONNECT, HEAD or TRACE.
    """

    def __init__(
        self,
        *,
        methods: Iterable[str] = ("DELETE", "PATCH", "PUT"),
        parameter: str = "_method",
    ) -> None:
        self._methods = frozenset(method.upper() for method in methods)
        self._parameter = parameter
        if wrong := self._methods & _FRAMED:
            raise ConfigError(f"MethodOverride: a POST cannot become {', '.join(sorted(wrong))}")

    async def run(self, conn: Conn) -> Conn:
        """Change the method of a POST that asks for it; any other value changes nothing.

        Cancellation:
          None: it does not wait.
        """
        if conn.method == "POST" and self._parameter in conn.querystring:
            method = conn.query.get(self._parameter, [""])[0].upper()
            if method in self._methods:
                conn.with_method(method)
        return conn
