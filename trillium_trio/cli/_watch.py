"""Which files the reload watches."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final, final

import click
import trio

from ._options import is_given

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

__all__ = ["Watch", "watch_from"]

_INCLUDED: Final = "*.py"
# Hidden files and folders (.git, .venv, what editors write), bytecode, and installed packages.
_EXCLUDED: Final = (".*", "__pycache__", "site-packages", "node_modules")

# Editors save in several steps, and a tool changes many files at once. A change is reported when
# nothing has followed it for the first time, or at the latest after the second.
_QUIET_MILLISECONDS: Final = 50
_MAX_MILLISECONDS: Final = 400


@final
class Watch:
    """Watches folders, and all folders below them.

    A pattern without a slash is for the name of a file, or of a folder that it is in; one with a
    slash is for the path below the watched folder.

    Args:
      folders: To watch.
      include: Patterns for files to watch besides ``*.py``; also hidden ones.
      exclude: Patterns for files not to watch; they win.

    Raises:
      click.UsageError: watchfiles is not installed.
    """

    def __init__(
        self, folders: Sequence[str], *, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> None:
        try:
            from watchfiles import awatch  # noqa: PLC0415 (optional)
        except ImportError:
            raise click.UsageError(
                "--reload needs watchfiles: install trillium-trio[reload]"
            ) from None
        self._awatch = awatch
        self._folders = tuple(dict.fromkeys(Path(each).resolve() for each in folders))
        self._include = tuple(include)
        self._exclude = tuple(exclude)
        self._stopping = trio.Event()
        # It logs each change as well, before it has been filtered.
        logging.getLogger("watchfiles").setLevel(logging.WARNING)

    async def changes(self) -> AsyncIterator[set[Path]]:
        """Wait for changes, and yield the files, until `stop`.

        It watches from its first wait on.

        Raises:
          OSError: The folders cannot be watched.

        Cancellation:
          Comes after the next change, because a thread waits for it: call `stop` before.
        """
        async for found in self._awatch(
            *self._folders,
            watch_filter=lambda _, path: self.is_watched(path),
            debounce=_MAX_MILLISECONDS,
            step=_QUIET_MILLISECONDS,
            stop_event=self._stopping,
            rust_timeout=0,
        ):
            yield {Path(path) for _, path in found}

    def stop(self) -> None:
        """End `changes` within a moment."""
        self._stopping.set()

    def is_watched(self, path: str) -> bool:
        """Whether a change of a file means new code."""
        return any(
            self._is_watched(PurePath(path).relative_to(folder))
            for folder in self._folders
            if PurePath(path).is_relative_to(folder)
        )

    def _is_watched(self, below: PurePath) -> bool:
        if _matches(below, self._exclude):
            return False
        if _matches(below, self._include):
            return True
        return fnmatchcase(below.name, _INCLUDED) and not _matches(below, _EXCLUDED)

    def __str__(self) -> str:
        return ", ".join(str(each) for each in self._folders)


def _matches(below: PurePath, patterns: Sequence[str]) -> bool:
    return any(
        fnmatchcase(below.as_posix(), pattern)
        if "/" in pattern
        else any(fnmatchcase(part, pattern) for part in below.parts)
        for pattern in patterns
    )


def watch_from(context: click.Context, target: str) -> Watch | None:
    """Return what the options say; None without ``--reload``.

    Raises:
      click.UsageError: Options contradict each other, or watchfiles is not installed.
    """
    values = context.params
    if not values["reload"]:
        for name in ("reload_dir", "reload_include", "reload_exclude"):
            if is_given(context, name):
                raise click.UsageError(f"--{name.replace('_', '-')} needs --reload")
        return None
    if values["check"]:
        raise click.UsageError("--check starts nothing that could be reloaded: drop --reload")
    return Watch(
        values["reload_dir"] or [_import_folder(target, values["app_dir"])],
        include=values["reload_include"],
        exclude=values["reload_exclude"],
    )


def _import_folder(target: str, app_dir: str | None) -> str:
    """Return the folder where modules are looked for first."""
    source = target.rpartition(":")[0]
    return app_dir or (str(Path(source).parent) if source.endswith(".py") else ".")
