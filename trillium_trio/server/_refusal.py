"""The 503 for connections beyond the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from .._log import SafeLogger
from ..codec import render_error
from ..exceptions import ClientDisconnected, ServiceUnavailable
from ..transport import close_politely

if TYPE_CHECKING:
    from ..driver import Service
    from ..transport import Transport

__all__ = ["Refusals"]

logger = SafeLogger("trillium_trio.server")

# A refusal also uses a descriptor and a task, so their number and duration are limited.
_MAX_AT_A_TIME = 64
_MAX_SECONDS = 1.0
_RETRY_AFTER_SECONDS = 1


@final
class Refusals:
    """Answers 503 and closes, without a connection of the driver.

    Args:
      service: The context of all connections.
      nursery: Where the answers are sent.
      limit: The limit of connections, for the log.

    Attributes:
      total: How many connections were refused, answered or not.
      is_logged: Whether this episode of refusals is in the log.
    """

    def __init__(self, service: Service, nursery: trio.Nursery, limit: int) -> None:
        self.total: int = 0
        self.is_logged: bool = False
        self._service = service
        self._nursery = nursery
        self._limit = limit
        self._active = 0

    def start(self, transport: Transport) -> None:
        """Take ownership of a transport, and refuse it."""
        self.total += 1
        if not self.is_logged:
            self.is_logged = True
            logger.warning("%d connections are open: refusing %s", self._limit, transport.peer)
        # A TLS peer cannot read plaintext, and a flood should not cost us handshakes.
        is_answered = self._active < _MAX_AT_A_TIME and not transport.is_secure
        self._active += 1
        self._nursery.start_soon(self._refuse, transport, is_answered)

    async def _refuse(self, transport: Transport, is_answered: bool) -> None:
        try:
            if is_answered:
                with trio.move_on_after(_MAX_SECONDS):
                    await self._send_503(transport)
        except ClientDisconnected as error:
            logger.debug("%s: %s", transport.peer, error)
        finally:
            self._active -= 1
            # No effect after a proper close.
            transport.abort()
            await transport.aclose()

    async def _send_503(self, transport: Transport) -> None:
        response = render_error(
            503,
            date_line=self._service.date_line(),
            server_line=self._service.server_line,
            fields=ServiceUnavailable(retry_after=_RETRY_AFTER_SECONDS).headers,
        )
        if transport.send_nowait(response) == 0:
            await transport.send_some(response)
        await close_politely(transport)

    def __repr__(self) -> str:
        return f"<Refusals {self._active} in progress, {self.total} in all>"
