"""What several layers share: checks of settings, and a log that harms nobody."""

from __future__ import annotations

import logging
import traceback
from math import inf
from typing import Any, final

from .exceptions import ConfigError

__all__ = ["SafeLogger", "check_count", "check_number", "printable"]


@final
class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose failures stay its own.

    A filter or a handler of logs may raise, and would then end what it was told of: a connection,
    and with it the server. Here it is printed, unless `logging.raiseExceptions` is off.

    Args:
      name: Of the logger.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name))

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log; every other method comes here. Any: what `logging` takes."""
        try:
            # The caller's line, and not this one.
            super().log(level, msg, *args, stacklevel=2, **kwargs)
        except Exception:
            if logging.raiseExceptions:
                traceback.print_exc()


def printable(text: str) -> str:
    """Escape what could end a line of a log or command a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def check_number(name: str, value: object, *, least: float) -> None:
    """Hold a setting in seconds to its type and range; ``inf`` is for ever.

    Raises:
      ConfigError: It is no number of at least ``least``.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and least <= value <= inf):  # type: ignore[operator]  # is_number says so
        raise ConfigError(f"{name} must be a number of seconds from {least:g}, not {value!r}")


def check_count(name: str, value: object, *, least: int) -> None:
    """Hold a size or a count to its type and range.

    Raises:
      ConfigError: It is no whole number of at least ``least``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} must be a whole number from {least}, not {value!r}")
