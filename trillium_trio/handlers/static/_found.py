"""What has been found: one representation of a file."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, Protocol, final

from ...exceptions import ConfigError
from ...http import EntityTag, Headers, Validators, http_date
from ._types import CONTENT_TYPES, content_type_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from typing import BinaryIO

__all__ = ["CODINGS", "DIRECTORY", "SUFFIXES", "Describer", "Directory", "Found", "Source"]

SUFFIXES = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}
"""The content codings that files may have beside them, the preferred one first."""

CODINGS = tuple(SUFFIXES)
"""Their names."""


@final
class Found:
    """A representation of a file, and where its bytes are.

    Attributes:
      length: In bytes.
      current: Its validators.
      fields: The fields of every response with it.
      content_type: One of these.
      data: Its bytes, or None if they are in the file.
      file: The open file, whoever sends it closes it; or None.
      varies: Whether Accept-Encoding decides which form is sent.
    """

    __slots__ = ("content_type", "current", "data", "fields", "file", "length", "varies")

    def __init__(
        self,
        length: int,
        *,
        current: Validators,
        fields: tuple[tuple[str, str], ...],
        content_type: str,
        data: bytes | None,
        file: BinaryIO | None,
        varies: bool,
    ) -> None:
        self.length = length
        self.current = current
        self.fields = fields
        self.content_type = content_type
        self.data = data
        self.file = file
        self.varies = varies

    def close(self) -> None:
        """Close the file, if there is one."""
        if self.file is not None:
            self.file.close()


@final
class Directory:
    """What is found instead of a file, if the path lacks the slash of a directory with an index."""


DIRECTORY = Directory()


class Source(Protocol):
    """Where files are.

    Attributes:
      name: The folder or package, for logs.
    """

    name: str

    def held(self) -> AbstractContextManager[None]:
        """Keep open what has to be open while files are served."""

    def hot(self, path: str, encodings: tuple[str, ...]) -> Found | None:
        """Return what was found before and is still the same, at once; else None."""

    async def find(
        self, path: str, names: tuple[str, ...], encodings: tuple[str, ...]
    ) -> Found | Directory | None:
        """Return what a path leads to, if anything.

        Args:
          path: As it was sent.
          names: As `names_of` returns them.
          encodings: The codings that may be sent, the best first.

        Raises:
          HttpError: 403, the file cannot be read.
          OSError: Another failure of the file system.

        Cancellation:
          A file that is being opened is opened first, and returned.
        """


@final
class Describer:
    """Makes the fields of files from the settings.

    Args:
      content_types: More types by suffix, or other ones.
      cache_control: The value of Cache-Control; by pattern, or for all.
      varies: Whether which form is sent depends on Accept-Encoding.

    Raises:
      ConfigError: A setting is wrong; the message names it.
    """

    def __init__(
        self,
        *,
        content_types: Mapping[str, str] | None,
        cache_control: str | Mapping[str | re.Pattern[str], str] | None,
        varies: bool,
    ) -> None:
        self._types = dict(CONTENT_TYPES)
        for suffix, kind in (content_types or {}).items():
            _check_field("Static.content_types", kind)
            self._types[suffix.removeprefix(".").lower()] = kind
        if isinstance(cache_control, str):
            cache_control = {"*": cache_control}
        self._cache_control: list[tuple[re.Pattern[str], str]] = []
        for pattern, value in (cache_control or {}).items():
            _check_field("Static.cache_control", value)
            if isinstance(pattern, str):
                # `translate` says only where a match ends.
                pattern = re.compile(rf"\A{translate(pattern)}")  # noqa: PLW2901 (one of two forms)
            self._cache_control.append((pattern, value))
        self._varies = varies

    def describe(
        self,
        name: str,
        length: int,
        *,
        etag: EntityTag,
        modified: float | None,
        encoding: str | None = None,
        data: bytes | None = None,
        file: BinaryIO | None = None,
    ) -> Found:
        """Describe a file.

        Args:
          name: With the folders that it is in, below the root.
          length: In bytes.
          etag: Of this form of it.
          modified: When, in seconds since the epoch; or None.
          encoding: Its content coding.
          data: Its bytes, or None.
          file: The open file, or None.
        """
        kind = content_type_of(name, self._types)
        fields = [("content-type", kind), ("etag", str(etag)), ("accept-ranges", "bytes")]
        if modified is not None:
            fields.append(("last-modified", http_date(max(modified, 0)).decode()))
        if encoding is not None:
            fields.append(("content-encoding", encoding))
        for pattern, value in self._cache_control:
            if pattern.search(name):
                fields.append(("cache-control", value))
                break
        return Found(
            length,
            current=Validators(etag, None if modified is None else max(modified, 0)),
            fields=tuple(fields),
            content_type=kind,
            data=data,
            file=file,
            varies=self._varies,
        )


def _check_field(setting: str, value: object) -> None:
    try:
        Headers([("x", value)])  # type: ignore[list-item]  # raises if it is not a str, too
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{setting} has a value that cannot be sent: {value!r}") from error
