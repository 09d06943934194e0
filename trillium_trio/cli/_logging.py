"""The log on standard error: lines, in colour on a terminal, or JSON; or as a file says."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, final

import click

from .._log import text_of
from ._environment import wants_colour
from ._live import LiveLine

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["configure_from_file", "is_set_up", "log_to_stderr"]

_COLOURS = {
    logging.DEBUG: "2",  # faint
    logging.WARNING: "33",  # yellow
    logging.ERROR: "31",  # red
    logging.CRITICAL: "1;31",  # bold red
}

# What every record has; anything else came with ``extra``.
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime"}


def configure_from_file(path: str) -> None:
    """Set up logging from a file: ``.json`` and ``.yaml`` hold a dictionary, others are ini.

    Loggers that exist stay enabled unless the file says otherwise.

    Raises:
      click.UsageError: The file is not a configuration of logging.
    """
    try:
        match Path(path).suffix.lower():
            case ".json":
                _configure(json.loads(Path(path).read_text(encoding="utf-8")))
            case ".yaml" | ".yml":
                _configure(_read_yaml(path))
            case _:
                logging.config.fileConfig(path, disable_existing_loggers=False)
    except Exception as error:  # logging.config raises many
        cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
        text = text_of(str, error) or repr(error)
        raise click.UsageError(f"--log-config {path}: {text}{cause}") from error


def _configure(settings: object) -> None:
    if not isinstance(settings, dict):
        raise TypeError("expected a dictionary, as for logging.config.dictConfig")
    logging.config.dictConfig({"disable_existing_loggers": False, **settings})


def _read_yaml(path: str) -> object:
    try:
        import yaml  # noqa: PLC0415 (optional)
    except ImportError:
        raise ValueError("needs PyYAML: install trillium-trio[yaml]") from None
    settings: object = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return settings


def is_set_up() -> bool:
    """Whether the application, or a file, has set up logging."""
    return bool(logging.getLogger().handlers)


def log_to_stderr(level: str, kind: str, slot: int | None = None) -> LiveLine | None:
    """Log to standard error.

    Args:
      level: The lowest level.
      kind: ``"plain"`` or ``"json"``.
      slot: Of this worker, which has to be told from others; None: there is only one process.

    Returns:
      The live line below the log, if standard error is a terminal that can show one.
    """
    live = LiveLine.of(sys.stderr) if kind == "plain" else None
    handler = _Handler(sys.stderr, live)
    if kind == "json":
        handler.setFormatter(JsonFormatter(slot=slot))
    else:
        is_terminal = sys.stderr.isatty()
        is_coloured = is_terminal and wants_colour()
        handler.setFormatter(
            PlainFormatter(has_date=not is_terminal, is_coloured=is_coloured, slot=slot)
        )
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())
    return live


@final
class _Handler(logging.StreamHandler["TextIO"]):
    """Writes records above the live line."""

    def __init__(self, stream: TextIO, live: LiveLine | None) -> None:
        super().__init__(stream)
        self._live = live

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        if self._live is None:
            super().emit(record)
        else:
            with self._live.hidden():
                super().emit(record)


@final
class PlainFormatter(logging.Formatter):
    """Time, level, the slot and the process id of a worker, logger and message.

    Args:
      has_date: Whether the time has its date and milliseconds. Without them, the line of a listener
        fits 80 columns.
      is_coloured: Whether the level is in colour.
      slot: Of this worker; None: it is none.
    """

    def __init__(self, *, has_date: bool, is_coloured: bool, slot: int | None = None) -> None:
        worker = "" if slot is None else f" [{slot}:%(process)d]"
        super().__init__(
            f"%(asctime)s %(levelname)s{worker} %(name)s: %(message)s",
            None if has_date else "%H:%M:%S",
        )
        self._is_coloured = is_coloured

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name in logging)
        """Format the record without its traceback."""
        text = super().formatMessage(record)
        colour = _COLOURS.get(record.levelno) if self._is_coloured else None
        if colour is None:
            return text
        return text.replace(record.levelname, f"\033[{colour}m{record.levelname}\033[0m", 1)


@final
class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, traceback, extras.

    Args:
      slot: Of this worker, whose lines have it, and the process id; None: it is none.
    """

    def __init__(self, *, slot: int | None = None) -> None:
        super().__init__()
        self._slot = slot

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        time = datetime.fromtimestamp(record.created, UTC)
        values: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._slot is not None:
            values |= {"worker": self._slot, "pid": record.process}
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            values["traceback"] = record.exc_text
        if record.stack_info:
            values["stack"] = self.formatStack(record.stack_info)
        extras = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        # One line, whatever an extra is, and none replaces what comes before it.
        return json.dumps(values | extras | values, default=_text, skipkeys=True)


def _text(value: object) -> str:
    return text_of(str, value)
