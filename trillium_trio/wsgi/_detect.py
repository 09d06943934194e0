"""Telling a WSGI application from a handler and from an ASGI application."""

from __future__ import annotations

import inspect

from .._util import takes_arguments

__all__ = ["is_async", "is_wsgi"]

_CALL = "__call__"
_ENVIRON_START_RESPONSE = 2


def is_wsgi(value: object) -> bool:
    """Whether a value looks like a WSGI application: it is called with two arguments.

    A handler is called with one, and an ASGI application with three. A class may be an application
    if its objects can be iterated over.
    """
    if is_async(value) or (isinstance(value, type) and not hasattr(value, "__iter__")):
        return False
    # Both may work: ``def handler(conn, *args)``.
    return takes_arguments(value, _ENVIRON_START_RESPONSE) and not takes_arguments(value, 1)


def is_async(value: object) -> bool:
    """Whether calling a value makes a coroutine, as far as that is known."""
    call = value if inspect.isroutine(value) else getattr(type(value), _CALL, None)
    return inspect.iscoroutinefunction(call)
