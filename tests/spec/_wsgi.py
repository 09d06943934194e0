"""What the tests of WSGI applications share: small applications, and a result that is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication

    Environ = dict[str, Any]
    App = Callable[[Environ, StartResponse], Iterable[bytes]]

TEXT = ("Content-Type", "text/plain")


class Noting:
    """An application that notes the environ of its last call, and answers with ``ok``."""

    def __init__(self) -> None:
        self.environ: Environ = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.environ = environ
        start_response("200 OK", [TEXT])
        return [b"ok"]


def answering(
    *pieces: bytes, status: str = "200 OK", fields: Iterable[tuple[str, str]] = ()
) -> App:
    """Return an application that yields these pieces, one by one."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [*fields])
        return (piece for piece in pieces)

    return app


class Closing:
    """A result that counts how often it is closed, and says when it is.

    Args:
      pieces: What it yields; an exception is raised.
    """

    def __init__(self, *pieces: bytes | Exception, on_close: Callable[[], object]) -> None:
        self._pieces = pieces
        self._on_close = on_close
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        self.closed += 1
        self._on_close()


def validated(app: App) -> WSGIApplication:
    """Return an application that checks what it gets and what it does against PEP 3333."""
    return validator(app)
