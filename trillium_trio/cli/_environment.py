"""The environment of the process that the command line owns: the only place that touches it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "can_move_cursor",
    "load_env_file",
    "take_control_fd",
    "wants_colour",
    "worker_environment",
]

_CONTROL: Final = "_TRILLIUM_TRIO_CONTROL"

# Those of an env file, which are read again when the code is reloaded.
_loaded: set[str] = set()


def load_env_file(path: Path | str) -> None:
    """Set the variables of a file that the environment does not have.

    Raises:
      ValueError: A line is not ``NAME=value``, or python-dotenv is not installed.
      OSError: The file cannot be read.
    """
    try:
        from dotenv import dotenv_values  # noqa: PLC0415 (optional)
        from dotenv.parser import parse_stream  # noqa: PLC0415 (optional)
    except ImportError:
        raise ValueError("needs python-dotenv: install trillium-trio[env-file]") from None
    with open(path, encoding="utf-8") as stream:
        for binding in parse_stream(stream):
            if binding.error:
                line = binding.original.string.strip()
                raise ValueError(f"line {binding.original.line} is not NAME=value: {line!r}")
    for name, value in dotenv_values(path).items():
        if value is not None and name not in os.environ:
            os.environ[name] = value
            _loaded.add(name)


def worker_environment(control_fd: int) -> dict[str, str]:
    """Return the environment for a worker, which reads the env file anew.

    The service manager is not notified: it would take the drain of one worker for its own.
    """
    dropped = {*_loaded, "NOTIFY_SOCKET"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, _CONTROL: str(control_fd)}


def take_control_fd() -> int | None:
    """Return the descriptor that the supervisor has passed, once; None in any other process."""
    # Removed, because the processes that the application starts are no workers.
    text = os.environ.pop(_CONTROL, None)
    return int(text) if text is not None and text.isdecimal() else None


def wants_colour() -> bool:
    """Whether a terminal should get colours (no-color.org)."""
    return not os.environ.get("NO_COLOR") and can_move_cursor()


def can_move_cursor() -> bool:
    """Whether a line on the terminal can be written over (terminfo(5): "dumb" cannot)."""
    return os.environ.get("TERM", "dumb") != "dumb"
