"""Who gets in: the limit of connections, and the answer to those beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from .._log import SafeLogger
from ..codec import render_error
from ..driver import Http1Connection
from ..exceptions import ClientDisconnected
from ..transport import close_politely

if TYPE_CHECKING:
    from ..driver import Service
    from ..transport import Transport

__all__ = ["Admission"]

logger = SafeLogger("trillium_trio.server")

# A refusal takes a descriptor and a task as well: so many at a time, and for so long.
_MAX_REFUSALS = 64
_REFUSAL_SECONDS = 1.0
_RETRY_AFTER_SECONDS = 1


@final
class Admission:
    """Starts a connection for each transport, up to a limit; answers 503 beyond it.

    Args:
      service: What connections are made of.
      nursery: Where they run.
      limit: How many may be open at a time.
    """

    def __init__(self, service: Service, nursery: trio.Nursery, limit: int) -> None:
        self._service = service
        self._nursery = nursery
        self._limit = limit
        self._refusals = 0
        self._is_full = False

    def start(self, transport: Transport) -> None:
        """Take over a transport that was just accepted."""
        if len(self._service.connections) < self._limit:
            self._is_full = False
            connection = Http1Connection(self._service, transport)
            self._nursery.start_soon(connection.run)
            return
        if not self._is_full:
            # Once per episode: a flood must not fill the log as well.
            self._is_full = True
            logger.warning("%d connections are open: refusing %s", self._limit, transport.peer)
        # A TLS peer cannot read plaintext, and a handshake is what a flood should not get.
        is_answered = self._refusals < _MAX_REFUSALS and not transport.is_secure
        self._refusals += 1
        self._nursery.start_soon(self._refuse, transport, is_answered)

    async def _refuse(self, transport: Transport, is_answered: bool) -> None:
        try:
            if is_answered:
                with trio.move_on_after(_REFUSAL_SECONDS):
                    await self._answer(transport)
        except ClientDisconnected as error:
            logger.debug("%s: %s", transport.peer, error)
        finally:
            self._refusals -= 1
            # Does nothing after a proper close.
            transport.abort()
            await transport.aclose()

    async def _answer(self, transport: Transport) -> None:
        response = render_error(
            503,
            date_line=self._service.date_line(),
            server_line=self._service.server_line,
            retry_after=_RETRY_AFTER_SECONDS,
        )
        if transport.send_nowait(response) == 0:
            await transport.send_some(response)
        await close_politely(transport)

    def __repr__(self) -> str:
        return f"<Admission of {self._limit}, {self._refusals} being refused>"
