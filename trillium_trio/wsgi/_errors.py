"""What an application gets if its client cannot be reached any more."""

from __future__ import annotations

from typing import final

from ..exceptions import ClientDisconnected

__all__ = ["ConnectionLost"]


@final
class ConnectionLost(ClientDisconnected, OSError):
    """The request's body cannot be read on, or the response cannot be sent.

    Raised by ``wsgi.input`` and ``write()``. An `OSError`, as applications expect of them. It is
    never logged as an error, however it leaves the application.
    """
