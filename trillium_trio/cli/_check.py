"""``--check``: all of a start but the listening, and all of an end."""

from __future__ import annotations

import dataclasses
from typing import final

import trio

from ..listeners import PreboundBind
from ..server import Server

__all__ = ["checking"]


def checking(server: Server) -> Server:
    """Return a server like this one that listens nowhere.

    The address may be in use by the server whose successor is being checked.
    """
    nowhere = (PreboundBind(_Nowhere(), "nowhere"),)
    config = dataclasses.replace(server.config, listeners=nowhere, drain_delay=0.0)
    return Server(server.handler, config)


@final
class _Nowhere(trio.abc.Listener[trio.abc.Stream]):
    """A listener to which nobody connects."""

    def __init__(self) -> None:
        self._closed = trio.Event()

    async def accept(self) -> trio.abc.Stream:
        """Wait until it is closed."""
        await self._closed.wait()
        raise trio.ClosedResourceError

    async def aclose(self) -> None:
        """Close it."""
        self._closed.set()
        await trio.lowlevel.checkpoint()
