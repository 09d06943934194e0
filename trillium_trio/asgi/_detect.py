"""Telling an ASGI application from a handler."""

from __future__ import annotations

import inspect

__all__ = ["is_asgi"]

_SCOPE_RECEIVE_SEND = 3


def is_asgi(value: object) -> bool:
    """Whether a value looks like an ASGI 3 application: it is called with three arguments.

    A handler is called with one.
    """
    if not callable(value) or isinstance(value, type):
        return False
    try:
        inspect.signature(value).bind(*range(_SCOPE_RECEIVE_SEND))
    except (TypeError, ValueError):
        return False
    try:
        inspect.signature(value).bind(None)
    except TypeError:
        return True
    # Both would work: ``def handler(conn, *args)``.
    return False
