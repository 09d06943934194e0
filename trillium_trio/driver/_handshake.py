"""The TLS handshake of a connection: its deadline, and the answer if it fails."""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING

from .._log import printable
from ..codec import render_whole
from ..exceptions import ClientDisconnected
from ..transport import Woken, close_politely
from ._errors import logger

if TYPE_CHECKING:
    from ..transport import HandshakeError, Transport
    from ._service import Service
    from ._wire import Wire

__all__ = ["handshake_deadline", "refuse_handshake", "shake_hands"]

_HTTP_FIELDS = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
_HTTP_BODY = b"A plain HTTP request was sent to an HTTPS port.\n"


def handshake_deadline(service: Service, transport: Transport, accepted: float) -> float:
    """Return the deadline of the handshake (CN-11).

    The stop makes it earlier; during a drain, the first bytes of the peer make it later.
    """
    deadline = accepted + service.http.handshake_timeout
    if not service.is_draining:
        return deadline
    grace = max(service.drain_time, accepted) + service.keepalive_grace
    if not transport.is_silent:
        grace = max(grace, service.drain_time + service.http.handshake_grace)
    return min(deadline, grace)


async def shake_hands(service: Service, wire: Wire, accepted: float) -> None:
    """Do the handshake; log why it fails.

    Raises:
      HandshakeError: It failed; see `refuse_handshake`.
      ClientDisconnected: The peer disconnected or took too long.

    Cancellation:
      The transport can only be closed.
    """
    try:
        await _shake_hands_in_time(service, wire, accepted)
    except ClientDisconnected as error:
        transport = wire.transport
        # Health checks and port scans connect and send nothing, perhaps every second.
        level = logging.DEBUG if transport.is_silent else logging.INFO
        logger.log(level, "%s: no TLS: %s", transport.peer, printable(str(error)))
        raise


async def _shake_hands_in_time(service: Service, wire: Wire, accepted: float) -> None:
    transport = wire.transport
    try:
        while True:
            # The deadline accounts for a stop that came before this task ran.
            if transport.wake_reason is not None:
                transport.clear_wake()
            service.watchdog.arm(wire, handshake_deadline(service, transport, accepted))
            try:
                return await transport.handshake()
            except Woken:
                if service.now() >= handshake_deadline(service, transport, accepted):
                    raise ClientDisconnected("the handshake took too long") from None
                # The first bytes have come since the deadline was armed, and made it later.
    finally:
        wire.deadline = inf
        if transport.wake_reason is not None:
            transport.clear_wake()


async def refuse_handshake(service: Service, wire: Wire, error: HandshakeError) -> None:
    """Close so that the peer learns why: by the alert, or in plaintext if it uses that.

    Cancellation:
      Closes at once.
    """
    service.watchdog.arm(wire, service.now() + service.http.linger_timeout)
    if error.is_http:
        response = render_whole(
            400,
            _HTTP_FIELDS,
            _HTTP_BODY,
            date_line=service.date_line(),
            server_line=service.server_line,
        )
        try:
            await error.below.send_all(response)
        except (ClientDisconnected, Woken):
            pass  # The close will fail the same way.
    await close_politely(error.below)
