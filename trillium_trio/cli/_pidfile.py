"""The file with the process's id."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, final

from .._log import SafeLogger
from ._load import CannotStart

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["PidFile"]

logger = SafeLogger("trillium_trio.cli")


@final
class PidFile:
    """Holds the process's id from `write` to the end of the ``with`` block.

    Args:
      path: Of the file, which is replaced. None: there is no file.
    """

    def __init__(self, path: str | None) -> None:
        # Absolute, because the working directory may change.
        self._path = None if path is None else Path(path).absolute()
        self._text = f"{os.getpid()}\n"

    def write(self) -> None:
        """Write it, in one step: no reader sees half of a number.

        Raises:
          CannotStart: The file cannot be written.
        """
        if self._path is None:
            return
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            new.write_text(self._text, encoding="ascii")
            new.replace(self._path)
        except OSError as error:
            raise CannotStart(f"--pidfile {self._path}: {error.strerror}") from None

    def __enter__(self) -> PidFile:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Unless a successor has replaced it.
        try:
            if self._path is not None and self._path.read_text(encoding="ascii") == self._text:
                self._path.unlink()
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            logger.warning("cannot remove %s: %s", self._path, error)
