"""Telling an ASGI application from a handler."""

from __future__ import annotations

from .._util import takes_arguments

__all__ = ["is_asgi"]

_SCOPE_RECEIVE_SEND = 3


def is_asgi(value: object) -> bool:
    """Whether a value looks like an ASGI 3 application: it is called with three arguments.

    A handler is called with one.
    """
    if isinstance(value, type):
        return False
    # Both may work: ``def handler(conn, *args)``.
    return takes_arguments(value, _SCOPE_RECEIVE_SEND) and not takes_arguments(value, 1)
