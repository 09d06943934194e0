"""Which media types are worth to be compressed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["skips"]

# Compressed by their own format, or a container of what is.
_SKIPPED = frozenset(
    {
        "application/brotli",
        "application/epub+zip",
        "application/font-woff",
        "application/gzip",
        "application/java-archive",
        "application/pdf",
        "application/vnd.android.package-archive",
        "application/vnd.rar",
        "application/x-7z-compressed",
        "application/x-bzip",
        "application/x-bzip2",
        "application/x-gzip",
        "application/x-rar-compressed",
        "application/x-xz",
        "application/x-zip-compressed",
        "application/zip",
        "application/zstd",
        # Whatever it is, its reader may want to know the length, and to continue a download.
        "application/octet-stream",
        "audio/*",
        "font/*",
        "image/*",
        "multipart/*",
        "video/*",
    }
)
# Not compressed by their format, although others of their kind are.
_NOT_SKIPPED = frozenset(
    {
        "font/collection",
        "font/otf",
        "font/sfnt",
        "font/ttf",
        "image/bmp",
        "image/svg+xml",
        "image/vnd.microsoft.icon",
        "image/x-icon",
    }
)
# Office documents are zip files.
_SKIPPED_PREFIXES = (
    "application/vnd.oasis.opendocument.",
    "application/vnd.openxmlformats-officedocument.",
)
_SKIPPED_SUFFIXES = ("+zip", "+gzip", "+zstd")

_MEDIA_TYPE = re.compile(r"[!#$%&'+.^_`|~0-9a-z-]+/(?:\*|[!#$%&'+.^_`|~0-9a-z-]+)")


def skips(more: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that says whether a Content-Type is not to be compressed.

    Args:
      more: Types beside those that are compressed already, such as ``model/*``.

    Raises:
      ConfigError: One is not a media type.
    """
    if isinstance(more, str):
        raise ConfigError(f"Compression: skip_types is a list, such as [{more!r}]")
    own = {each.lower() for each in more}
    for each in own:
        if _MEDIA_TYPE.fullmatch(each) is None:
            raise ConfigError(f"Compression: {each!r} is no media type, such as 'model/*'")
    skipped = _SKIPPED | own
    not_skipped = _NOT_SKIPPED - own

    def is_skipped(content_type: str) -> bool:
        kind = content_type.partition(";")[0].strip(" \t").lower()
        if kind in not_skipped:
            return f"{kind.partition('/')[0]}/*" in own
        return (
            kind in skipped
            or f"{kind.partition('/')[0]}/*" in skipped
            or kind.startswith(_SKIPPED_PREFIXES)
            or kind.endswith(_SKIPPED_SUFFIXES)
        )

    return is_skipped
