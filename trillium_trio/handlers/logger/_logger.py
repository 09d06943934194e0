"""The handler."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast, final

from ..._util import check_count
from ...conn import Handler
from ...exceptions import ConfigError
from ._fields import Fields
from ._formats import combined, common, dev, json_lines
from ._writer import FileSink, StreamSink, Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from typing import TypeAlias

    from ...conn import Conn, Info, Sent
    from ._writer import TextStream

    Target: TypeAlias = (
        str | os.PathLike[str] | TextStream | logging.Logger | Callable[[str], object]
    )

__all__ = ["Logger"]


@final
class Logger(Handler):
    r"""Writes a line for each request when it is over, with what was sent of its response.

    Put it first, so that it sees what all other handlers have made of the request.

    .. code-block:: python

        handler = (Logger("combined", target="/var/log/shop/access.log"), shop)
        handler = (Logger('%(h)s %(r)s %(s)s %(L)s "%({x-request-id}i)s"'), shop)
        handler = (Logger("json", fields={"user": lambda conn: User.of(conn).name}), shop)

    Args:
      format: ``"dev"``, ``"common"``, ``"combined"``, ``"json"``, or a template with the fields of
        gunicorn and hypercorn. Default: ``"dev"``.
      target: Where lines go: the path of a file, to whose end they are written; a text stream; a
        `logging.Logger`, at level INFO; or a function, which is called with each line. Default:
        standard output. Files and streams are written to by a thread, ten times a second.
      fields: Functions that return a value for a conn, by name: members of ``"json"``, and fields
        of a template.
      query: Whether the target is logged with its query. Default: True.
      colour: Whether ``"dev"`` has colours. Default: if it goes to a terminal.
      max_field_chars: Where values of header fields and functions end. Default: 1024. Prevents:
        lines as long as a client likes.

    Raises:
      ConfigError: The format has something that is no field, or a setting is wrong.
    """

    def __init__(
        self,
        format: str = "dev",  # noqa: A002 (as in logging)
        *,
        target: Target | None = None,
        fields: Mapping[str, Callable[[Conn], object]] | None = None,
        query: bool = True,
        colour: bool | None = None,
        max_field_chars: int = 1024,
    ) -> None:
        check_count("Logger.max_field_chars", max_field_chars, least=1)
        known = Fields(fields or {}, query=query, max_chars=max_field_chars)
        self._format = format
        self._line: Callable[[Conn, Sent], str]
        match format:
            case "dev":
                is_coloured = _is_terminal(target) if colour is None else colour
                self._line = dev(known, colour=is_coloured)
            case "common":
                self._line = common(known)
            case "combined":
                self._line = combined(known)
            case "json":
                self._line = json_lines(known)
            case _:
                self._line = known.compile(format)
        if fields and format in {"dev", "common", "combined"}:
            raise ConfigError(f"Logger.fields: the format {format!r} shows none")
        self._writer: Writer | None = None
        self._write: Callable[[str], object]
        match target:
            case logging.Logger():
                self._write = target.info
            case None | str() | os.PathLike():
                sink = StreamSink() if target is None else FileSink(Path(target))
                self._writer = Writer(sink)
                self._write = self._writer.write
            case _ if hasattr(target, "write"):
                self._writer = Writer(StreamSink(cast("TextStream", target)))
                self._write = self._writer.write
            case _ if callable(target):
                self._write = target
            case _:
                raise ConfigError(f"Logger.target cannot be {target!r}")

    @asynccontextmanager
    async def lifespan(self, info: Info) -> AsyncIterator[None]:
        """Open the target; after the last request, write what is left.

        Raises:
          ConfigError: The file cannot be opened.
        """
        if self._writer is None:
            yield
            return
        self._writer.start()
        try:
            yield
        finally:
            self._writer.stop()

    def after_send(self, conn: Conn, sent: Sent) -> None:
        """Have the line of a request written."""
        self._write(self._line(conn, sent))

    @property
    def name(self) -> str:
        """Logger and its format."""
        return f"Logger({self._format})"


def _is_terminal(target: object) -> bool:
    stream = sys.stdout if target is None else target
    try:
        return bool(stream.isatty())  # type: ignore[union-attr]  # it may have none
    except (AttributeError, ValueError):
        return False
