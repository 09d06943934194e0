"""Files of a package: read into memory once, wherever the package is installed."""

from __future__ import annotations

from contextlib import nullcontext
from importlib.resources import files
from typing import TYPE_CHECKING, final

from ...exceptions import ConfigError
from ...http import EntityTag
from ._found import DIRECTORY, SUFFIXES, Found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from importlib.resources.abc import Traversable

    from ._found import Describer, Directory

__all__ = ["Bundle"]

# What belongs into a package. More is a folder that was named by mistake.
_MAX_BYTES = 256 * 1024 * 1024


@final
class Bundle:
    """The files below a folder of a package.

    Args:
      package: Its name.
      folder: A path in it, with slashes; the empty string is the package itself.
      describer: Makes the fields.
      index: The name of the file that stands for its folder, or None.
      encodings: Whether files that are compressed beforehand are looked for.

    Raises:
      ConfigError: There is no such package or folder, or it has more than 256 MiB.
    """

    def __init__(
        self,
        package: str,
        folder: str,
        *,
        describer: Describer,
        index: str | None,
        encodings: bool,
    ) -> None:
        self.name = f"{package}:{folder}"
        self._index = index
        try:
            root = files(package).joinpath(folder)
            is_folder = root.is_dir()
        except (ImportError, OSError, TypeError, ValueError) as error:  # a module, a bad name
            raise ConfigError(f"Static cannot find the package {package!r}: {error}") from error
        if not is_folder:
            raise ConfigError(f"the package {package!r} has no folder {folder!r}")
        contents: dict[str, bytes] = {}
        room = _MAX_BYTES
        for path, file in _walk(root, ""):
            contents[path] = data = file.read_bytes()
            room -= len(data)
            if room < 0:
                raise ConfigError(f"the folder {folder!r} of {package!r} has more than 256 MiB")
        self._found: dict[str, dict[str | None, Found]] = {}
        for path, data in contents.items():
            forms: dict[str | None, bytes] = {None: data}
            for encoding, suffix in SUFFIXES.items() if encodings else ():
                if path + suffix in contents:
                    forms[encoding] = contents[path + suffix]
            self._found[path] = {
                encoding: describer.describe(
                    path,
                    len(form),
                    etag=EntityTag.of_content(form),
                    modified=None,
                    encoding=encoding,
                    data=form,
                )
                for encoding, form in forms.items()
            }

    def held(self) -> AbstractContextManager[None]:
        """See `Source`. Nothing has to be open."""
        return nullcontext()

    def hot(self, path: str, encodings: tuple[str, ...]) -> Found | None:
        """See `Source`. All is in memory: `find` does not wait either."""
        return None

    async def find(
        self, path: str, names: tuple[str, ...], encodings: tuple[str, ...]
    ) -> Found | Directory | None:
        """See `Source`.

        Cancellation:
          None: it does not wait.
        """
        wanted = "/".join(names)
        if not names[-1]:
            if self._index is None:
                return None
            wanted += self._index
        forms = self._found.get(wanted)
        if forms is None:
            has_index = self._index is not None and f"{wanted}/{self._index}" in self._found
            return DIRECTORY if has_index else None
        return next((forms[each] for each in encodings if each in forms), forms[None])

    def __repr__(self) -> str:
        return f"<Bundle {self.name}, {len(self._found)} files>"


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    """Yield all files below a folder with their paths, without compiled modules."""
    for each in folder.iterdir():
        if each.is_dir():
            if each.name != "__pycache__":
                yield from _walk(each, f"{prefix}{each.name}/")
        elif each.is_file():
            yield f"{prefix}{each.name}", each
