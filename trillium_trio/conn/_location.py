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

__all__ = ["checked_root_path", "located", "mounted_prefix", "split_target"]


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


def located(path: str, root_path: str, prefix: str) -> tuple[str, str]:
    """Return where an application is, and the whole path; the former is a prefix of the latter.

    A proxy that strips ``root_path``, and one that passes it, lead to the same, unless the mount is
    in front of ``root_path``.

    Args:
      path: The path of the request, decoded. It may begin with ``root_path``.
      root_path: The path below which a proxy has mounted the server, without a slash at its end.
      prefix: The part of the path that routers have matched, decoded as the path is.
    """
    if path == root_path or path.startswith(f"{root_path}/"):
        # The path begins with both.
        return max(root_path, prefix, key=len), path
    return root_path + prefix, root_path + path
