"""The lifespan of an application: its start and its end, in one call, in one task."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, final

import trio

from .._log import SafeLogger, app_name
from ._errors import LifespanFailed, translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..swansong import Swansong
    from ._types import AsgiApp, Message

__all__ = ["Lifespan"]

logger = SafeLogger("trillium_trio.asgi")


@final
class Lifespan:
    """Calls an application once for its lifespan.

    .. code-block:: text

        call -> receive: startup -> send: complete | the server serves |
                                    receive: shutdown -> send: complete -> return

    An application that raises before it has received ``lifespan.startup`` has no lifespan.
    Whatever it raises afterwards, or says to have failed, ends the server.

    Args:
      app: The application.
      swansong: The server's: stopped if the application fails while it serves.

    Attributes:
      state: What requests get a copy of; None if the application has no lifespan.
    """

    def __init__(self, app: AsgiApp, swansong: Swansong) -> None:
        self.state: dict[str, Any] | None = {}  # Any: the application's
        self._app = app
        self._swansong = swansong
        self._has_begun = False
        self._is_started = trio.Event()
        self._is_stopping = trio.Event()
        self._failure: BaseException | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the application; stop it at the end.

        Raises:
          LifespanFailed: The application has said so.
          Exception: The application's own.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._call)
            await self._is_started.wait()
            if self._failure is None:
                # An exception of the block cancels the nursery, as it cancels what is in it.
                yield
                self._is_stopping.set()
            else:
                nursery.cancel_scope.cancel(reason="the startup has failed")
        if self._failure is not None:
            raise self._failure

    async def _call(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as error:  # the application's
            self._fail(error)
        else:
            if not self._is_started.is_set():
                logger.info("%s has no lifespan: it has returned", app_name(self._app))
                self.state = None
        self._is_started.set()

    def _fail(self, error: Exception) -> None:
        name = app_name(self._app)
        reported = translated(self._app, error)
        if self._has_begun or reported is not error:
            # Also where it has said so before: its own exception has the traceback.
            self._failure = reported
            # If it serves: there is no sense in it without what the application has held.
            self._swansong.shut_down()
        else:
            logger.info("%s has no lifespan: it has raised %r", name, error)
            self.state = None

    async def _receive(self) -> Message:
        if not self._has_begun:
            self._has_begun = True
            return {"type": "lifespan.startup"}
        await self._is_stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "lifespan.startup.complete":
                self._is_started.set()
            case "lifespan.shutdown.complete":
                pass
            case "lifespan.startup.failed" | "lifespan.shutdown.failed" as kind:
                text = message.get("message", "") or "no reason given"
                self._failure = LifespanFailed(f"{app_name(self._app)}: {kind}: {text}")
                self._is_started.set()
            case kind:
                raise ValueError(f"{kind!r} is not a message that can be sent in a lifespan")

    def __repr__(self) -> str:
        return f"<Lifespan of {app_name(self._app)}>"
