"""Where an application of another interface is, and what of the path it gets.

ASGI and WSGI decode paths differently, and put the parts together differently; these are the parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import ConfigError
from ._on_conn import Mounted

if TYPE_CHECKING:
    from ..http import RequestHead
    from ._conn import Conn

__all__ = ["checked_root_path", "is_below", "mounted_prefix", "split_target"]


def checked_root_path(root_path: str) -> str:
    """Return the setting ``root_path`` without a slash at its end.

    Raises:
      ConfigError: It does not begin with a slash.
    """
    if root_path and not root_path.startswith("/"):
        raise ConfigError(f"root_path must be empty or begin with a slash, not {root_path!r}")
    return root_path.rstrip("/")


def split_target(head: RequestHead) -> tuple[str, str]:
    """Return path and query as received, neither of them decoded."""
    target = head.target
    if target[0] == "/":
        path, _, query = target.partition("?")
        return path, query
    return head.path, head.querystring


def mounted_prefix(conn: Conn) -> str:
    """Return the part of the path that routers have matched, not decoded; empty without a mount."""
    mounted = conn.state(Mounted)
    return "" if mounted is None else mounted.prefix


def is_below(path: str, root_path: str) -> bool:
    """Whether a path is ``root_path``, or goes on behind it with a slash. Both are decoded."""
    return path == root_path or path.startswith(f"{root_path}/")
