"""Checks of settings, shared by the configuration values of several layers."""

from __future__ import annotations

from math import inf

from .exceptions import ConfigError

__all__ = ["check_count", "check_number"]


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
