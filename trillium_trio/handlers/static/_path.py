"""From the path of a request to the names of files."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

__all__ = ["names_of"]

_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
# A slash comes from %2F. A backslash separates names elsewhere, and browsers read it as a slash.
# Control characters, NUL among them, are in no name that is meant to be served.
_FORBIDDEN = re.compile(r"[/\\\x00-\x1f\x7f]")


def names_of(path: str, *, dotfiles: bool) -> tuple[str, ...] | None:
    """Return the decoded names of a path below the root, or None if it can be that of no file.

    The last name is empty if the path ends with a slash. No other name is empty, ``.`` or ``..``,
    or has a slash, a backslash or a control character in it; none begins with a dot unless
    ``dotfiles``. Each is decoded once, and must be UTF-8.

    Args:
      path: Not decoded, with a slash in front.
      dotfiles: Whether names may begin with a dot.
    """
    if not path.startswith("/"):
        return None
    if "%" in path and _BROKEN.search(path):
        return None
    names = []
    for segment in path[1:].split("/"):
        try:
            name = unquote_to_bytes(segment).decode() if "%" in segment else segment
        except UnicodeDecodeError:
            return None
        if name in {".", ".."} or _FORBIDDEN.search(name):
            return None
        if name.startswith(".") and not dotfiles:
            return None
        names.append(name)
    return tuple(names) if all(names[:-1]) else None
