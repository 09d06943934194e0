"""The fields of a line, by the names that gunicorn and hypercorn give them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, final

from ..._log import kind_of, text_of
from ...exceptions import ConfigError
from ...http import reason_phrase
from ._text import Stamps, began, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...conn import Conn, Sent
    from ...http import Headers, RequestHead

    Field = Callable[[Conn, Sent], object]

__all__ = ["Fields"]

# A percent sign and what belongs to it; the last alternative is anything else, for the message.
_ATOM = re.compile(r"%(?:(%)|\(([^()]*)\)s|.{0,12})", re.DOTALL)
# `{name}i` is of the request, `{name}o` of the response.
_HEADER = re.compile(r"\{([^{}]+)\}([io])")


@final
class Fields:
    """The fields that a line can have.

    Args:
      own: Functions of the application, by name.
      query: Whether the target is shown with its query.
      max_chars: Where values of header fields and functions end.

    Attributes:
      own: As given.
      stamps: Renders times.
    """

    def __init__(
        self, own: Mapping[str, Callable[[Conn], object]], *, query: bool, max_chars: int
    ) -> None:
        self.own = own
        self._query = query
        self._max_chars = max_chars
        self.stamps = Stamps()
        self._known: dict[str, Field] = {
            "h": lambda conn, _: escape(conn.peer_ip or "-"),
            "l": lambda *_: "-",
            "u": lambda *_: "-",
            "t": lambda conn, _: self.stamps.local(began(conn)),
            "r": self._request_line,
            "m": lambda conn, _: escape(conn.method),
            "U": lambda conn, _: escape(conn.path),
            "q": lambda conn, _: escape(conn.querystring) if query else "",
            "H": lambda conn, _: f"HTTP/{conn.http_version}",
            "S": lambda conn, _: "https" if conn.is_secure else "http",
            "s": lambda _, sent: sent.status or "-",
            "st": lambda _, sent: "-" if sent.status is None else reason_phrase(sent.status),
            "b": lambda _, sent: sent.body_bytes or "-",
            "B": lambda _, sent: sent.body_bytes,
            "f": self._header("referer", "i"),
            "a": self._header("user-agent", "i"),
            "T": lambda _, sent: int(sent.duration),
            "M": lambda _, sent: int(sent.duration * 1e3),
            "D": lambda _, sent: int(sent.duration * 1e6),
            "L": lambda _, sent: f"{sent.duration:.6f}",
            "p": lambda *_: f"<{os.getpid()}>",
            "outcome": lambda _, sent: sent.outcome.value,
        }

    def target(self, head: RequestHead) -> str:
        """Return the target of a request, with its query or without. Not escaped."""
        return head.target if self._query else head.target.partition("?")[0]

    def text(self, value: object) -> str:
        """Return a value as text, cut where values end. Not escaped."""
        text = value if type(value) is str else text_of(str, value)
        return text if len(text) <= self._max_chars else f"{text[: self._max_chars]}..."

    def compile(self, template: str) -> Callable[[Conn, Sent], str]:
        """Return a function that renders a template.

        Raises:
          ConfigError: The template has something that is no field.
        """
        if taken := self.own.keys() & self._known:
            raise ConfigError(f"Logger.fields: %({min(taken)})s is taken")
        getters: list[Field] = []
        unused = set(self.own)

        def replace(found: re.Match[str]) -> str:
            percent, name = found.groups()
            if percent:
                return "%%"
            unused.discard(name)
            getters.append(self._named(name, found[0]))
            return "%s"

        text = _ATOM.sub(replace, template)
        if not getters:
            raise ConfigError(f"Logger.format {template!r} is no format, and has no field: %(r)s")
        if unused:
            raise ConfigError(f"Logger.format {template!r} uses no %({min(unused)})s")

        def render(conn: Conn, sent: Sent) -> str:
            return text % tuple([get(conn, sent) for get in getters])

        return render

    def _named(self, name: str | None, shown: str) -> Field:
        header = _HEADER.fullmatch(name or "")
        if header is not None:
            return self._header(header[1], header[2])
        if name in self.own:
            return self._function(name or "")
        field = self._known.get(name or "")
        if field is None:
            raise ConfigError(f"Logger.format has no field {shown!r}: write %(r)s, or %% for %")
        return field

    def _request_line(self, conn: Conn, _: Sent) -> str:
        head = conn.head
        return escape(f"{head.method} {self.target(head)} HTTP/{head.version}")

    def _header(self, name: str, kind: str) -> Field:
        def get(conn: Conn, _: Sent) -> str:
            headers: Headers | None = conn.request_headers if kind == "i" else conn.raw_headers
            values = [] if headers is None else headers.get_all(name)
            return escape(self.text(", ".join(values))) if values else "-"

        return get

    def value(self, name: str, conn: Conn) -> object:
        """Return what a function of the application says of a conn, or what it has raised."""
        try:
            return self.own[name](conn)
        except Exception as error:
            return f"<{name} that raised {kind_of(error)}>"

    def _function(self, name: str) -> Field:
        def get(conn: Conn, _: Sent) -> str:
            value = self.value(name, conn)
            return "-" if value is None else escape(self.text(value))

        return get

    def __repr__(self) -> str:
        return f"<Fields {' '.join(self._known)}>"
