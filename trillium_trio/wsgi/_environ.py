"""The environ of a request: what WSGI says about it."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..conn import located, mounted_prefix, split_target
from ._file import FileWrapper

if TYPE_CHECKING:
    from ..conn import Conn

__all__ = ["environ_of", "latin_1_of"]

_DEFAULT_PORTS = {"http": "80", "https": "443"}


# Any: a key says what type its value has.
def environ_of(conn: Conn, *, root_path: str) -> dict[str, Any]:
    """Return the environ of a request, but for ``wsgi.input``.

    Args:
      conn: The request.
      root_path: In front of the paths that the server gets or could get, without a slash at its
        end; see `latin_1_of`. A router's mount is added to it.
    """
    head, transport = conn.head, conn.transport
    script_name, path_info, query = _location(conn, root_path)
    scheme = "https" if conn.is_secure else "http"
    environ: dict[str, Any] = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path_info,
        "QUERY_STRING": query,
        "REQUEST_URI": head.target,
        "SERVER_PROTOCOL": f"HTTP/{head.version}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
        "trillium.swansong": conn.swansong,
    }
    address = transport.server_address
    if isinstance(address, str):
        environ["SERVER_NAME"], environ["SERVER_PORT"] = "localhost", _DEFAULT_PORTS[scheme]
    else:
        environ["SERVER_NAME"], environ["SERVER_PORT"] = address[0], str(address[1])
    peer = conn.peer_address
    if peer is not None:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = peer[0], str(peer[1])
    for raw_name, raw_value in head.raw_headers:
        name = _variable(raw_name)
        if name is not None:
            value = raw_value.decode("latin-1")
            if name in environ:
                # RFC 9110, 5.3; RFC 6265, 5.4 for Cookie, which may come in several all the same.
                value = f"{environ[name]}{'; ' if name == 'HTTP_COOKIE' else ','}{value}"
            environ[name] = value
    return environ


def latin_1_of(text: str) -> str:
    """Return a text as WSGI has it: one character for each byte of its UTF-8."""
    return text.encode().decode("latin-1")


def _location(conn: Conn, root_path: str) -> tuple[str, str, str]:
    """Return SCRIPT_NAME, PATH_INFO and the query.

    A proxy that strips the prefix, and one that passes it, lead to the same.
    """
    raw_path, query = split_target(conn.head)
    # The asterisk of OPTIONS stands for the server.
    path = "/" if raw_path == "*" else _decoded(raw_path)
    script_name, path = located(path, root_path, _decoded(mounted_prefix(conn)))
    return script_name, path[len(script_name) :], query


def _decoded(path: str) -> str:
    return unquote(path, "latin-1") if "%" in path else path


# Peers choose the names, so the cache is bounded.
@lru_cache(maxsize=256)
def _variable(name: bytes) -> str | None:
    """Return the variable of a field, or None if it has to be left out."""
    text = name.decode("latin-1").upper()
    if "_" in text:
        # X_REAL_IP would be the variable of X-Real-IP, which a proxy sets or removes.
        return None
    text = text.replace("-", "_")
    return text if text in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{text}"
