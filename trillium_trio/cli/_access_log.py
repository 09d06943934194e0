"""The access log that the command line asks for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, final

import click

from ..conn import as_handler, walk_handlers
from ..exceptions import ConfigError
from ..handlers import Logger
from ._environment import wants_colour

if TYPE_CHECKING:
    from typing import TextIO

    from ..conn import HandlerLike
    from ._live import LiveLine

__all__ = ["AccessLog"]


@final
class AccessLog:
    """The `Logger` that goes in front of what is served, unless that has one of its own.

    Args:
      context: Of the command.

    Attributes:
      is_unused: What is served has one of its own.

    Raises:
      click.UsageError: The format is none.
    """

    def __init__(self, context: click.Context) -> None:
        values = context.params
        log_format, path = values["access_log"], values["access_logfile"]
        self.is_unused = False
        self._terminal = _Terminal(sys.stdout)
        self._logger: Logger | None = None
        if log_format == "off":
            return
        is_terminal = path == "-" and sys.stdout.isatty()
        try:
            self._logger = Logger(
                log_format,
                target=self._terminal if is_terminal else None if path == "-" else path,
                colour=is_terminal and wants_colour(),
            )
        except ConfigError as error:
            raise click.UsageError(f"--access-log: {error}") from None

    @property
    def is_on(self) -> bool:
        """Whether one was asked for."""
        return self._logger is not None

    def in_front_of(self, handler: HandlerLike) -> HandlerLike:
        """Return the handler with the log in front of it."""
        if self._logger is None:
            return handler
        handler = as_handler(handler)
        if any(isinstance(each, Logger) for each in walk_handlers(handler)):
            self.is_unused = True
            return handler
        return (self._logger, handler)

    def share_terminal(self, live: LiveLine | None) -> None:
        """Write above the live line, which may be on the same terminal."""
        self._terminal.live = live

    def __repr__(self) -> str:
        return f"<AccessLog {self._logger!r}>"


@final
class _Terminal:
    """Standard output, where it is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.live: LiveLine | None = None
        self._stream = stream

    def write(self, text: str) -> int:
        if self.live is None:
            return self._stream.write(text)
        with self.live.hidden():
            written = self._stream.write(text)
            self._stream.flush()
        return written

    def flush(self) -> None:
        self._stream.flush()

    def __repr__(self) -> str:
        return "standard output"
