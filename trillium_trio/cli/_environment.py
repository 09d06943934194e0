"""The environment of the process that the command line owns: the only place that touches it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "can_move_cursor",
    "child_environment",
    "load_env_file",
    "successor_environment",
    "take_control",
    "take_handover",
    "wants_colour",
    "worker_environment",
]

_CONTROL: Final = "_TRILLIUM_TRIO_CONTROL"
_HANDOVER: Final = "_TRILLIUM_TRIO_HANDOVER"

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


def child_environment(**more: str) -> dict[str, str]:
    """Return the environment for a process of our own, which reads the env file anew.

    Args:
      more: What it has besides.
    """
    return {name: value for name, value in os.environ.items() if name not in _loaded} | more


def worker_environment(control_fd: int, *numbers: int) -> dict[str, str]:
    """Return the environment for a worker.

    The service manager is not notified: it would take the drain of one worker for its own.

    Args:
      control_fd: Of its control socket.
      numbers: The descriptor of the page that balances connections, the cell in it, and the slot.
    """
    text = ",".join(str(each) for each in (control_fd, *numbers))
    kept = child_environment(**{_CONTROL: text})
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
        kept.pop(name, None)
    return kept


def successor_environment(control_fd: int) -> dict[str, str]:
    """Return the environment for a new supervisor, which takes over from this one."""
    kept = child_environment(**{_HANDOVER: str(control_fd)})
    # It notifies the watchdog when the service manager knows it as the main process.
    kept.pop("WATCHDOG_PID", None)
    return kept


def take_control() -> list[int]:
    """Return the numbers that `worker_environment` has passed, once; none in any other process."""
    # Removed, because the processes that the application starts are no workers.
    return [int(each) for each in os.environ.pop(_CONTROL, "").split(",") if each.isdecimal()]


def take_handover() -> int | None:
    """Return the descriptor that `successor_environment` has passed, once; else None."""
    text = os.environ.pop(_HANDOVER, "")
    return int(text) if text.isdecimal() else None


def wants_colour() -> bool:
    """Whether a terminal should get colours (no-color.org)."""
    return not os.environ.get("NO_COLOR") and can_move_cursor()


def can_move_cursor() -> bool:
    """Whether a line on the terminal can be written over (terminfo(5): "dumb" cannot)."""
    return os.environ.get("TERM", "dumb") != "dumb"
