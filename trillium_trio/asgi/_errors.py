"""What goes wrong between an ASGI application and its server."""

from __future__ import annotations

from typing import final

from .._log import app_name, leaves_of
from ..exceptions import ClientDisconnected, ConfigError, MisuseError, TrilliumError

__all__ = [
    "LifespanFailed",
    "SendError",
    "refuse_asyncio_only",
    "translated",
]

# Modules of applications that create asyncio tasks in their own handlers.
_ASYNCIO_ONLY = ("django.core.handlers.asgi", "quart.app", "aiohttp.")
# And of classes based on one of these that create trio's instead.
_ON_TRIO = ("quart_trio.",)


@final
class SendError(ClientDisconnected, OSError):
    """What ``send`` raises when the connection is closed: an `OSError`, as ASGI 2.4 has it.

    It is never logged as an error, however it leaves the application.
    """


@final
class LifespanFailed(TrilliumError):
    """The application has said ``lifespan.startup.failed`` or ``lifespan.shutdown.failed``."""


def refuse_asyncio_only(app: object) -> None:
    """Refuse an application that is known to run on asyncio only.

    Raises:
      ConfigError: It is one; the message says what to do.
    """
    for each in type(app).__mro__:
        module = f"{each.__module__}."
        if module.startswith(_ON_TRIO):
            return
        if module.startswith(_ASYNCIO_ONLY):
            raise ConfigError(_sentence(app))


def translated(app: object, error: BaseException) -> BaseException:
    """Return the exception to report: one sentence if the application has looked for asyncio."""
    for leaf in leaves_of(error):
        text = str(leaf) if isinstance(leaf, RuntimeError | TypeError) else ""
        if "no running event loop" in text or "unrecognized yield message" in text:
            failure = MisuseError(_sentence(app))
            failure.__cause__ = error
            return failure
    return error


def _sentence(app: object) -> str:
    return (
        f"the ASGI application {app_name(app)} runs on asyncio only, and this server on trio: "
        "serve it with an asyncio server, or use a framework that runs on anyio or trio"
    )
