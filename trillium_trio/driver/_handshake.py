"""What precedes the first request: a proxy's header, the TLS handshake, and their deadline."""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING

from .._log import printable
from ..codec import read_proxy_header, render_whole
from ..exceptions import ClientDisconnected
from ..transport import TlsTransport, Woken, close_politely
from ._errors import logger

if TYPE_CHECKING:
    from ..transport import HandshakeError
    from ._service import Service
    from ._wire import Wire

__all__ = ["handshake_deadline", "refuse_handshake", "shake_hands"]

_HTTP_FIELDS = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
_HTTP_BODY = b"A plain HTTP request was sent to an HTTPS port.\n"


def handshake_deadline(service: Service, wire: Wire, accepted: float) -> float:
    """Return the deadline of the handshake (CN-11), and of a proxy's header before it (FW-9).

    The stop makes it earlier; during a drain, the first bytes of the peer make it later.
    """
    deadline = accepted + service.http.handshake_timeout
    if not service.is_draining:
        return deadline
    grace = max(service.drain_time, accepted) + service.keepalive_grace
    if not _is_silent(wire):
        grace = max(grace, service.drain_time + service.http.handshake_grace)
    return min(deadline, grace)


async def shake_hands(service: Service, wire: Wire, accepted: float) -> None:
    """Read the proxy's header and do the handshake, if there are to be any; log why it fails.

    Raises:
      HandshakeError: TLS failed; see `refuse_handshake`.
      ClientDisconnected: The peer disconnected or took too long, or is not a proxy as expected.

    Cancellation:
      The transport can only be closed.
    """
    transport = wire.transport
    proxies = transport.listener.proxy_protocol
    if proxies is not None and not proxies.has_peer(transport.peer_ip):
        logger.info("%s: closed, because proxy_protocol does not trust it", transport.peer)
        raise ClientDisconnected("not a trusted proxy")
    try:
        await _shake_hands_in_time(service, wire, accepted)
    except ClientDisconnected as error:
        # Health checks and port scans connect and send nothing, perhaps every second.
        level = logging.DEBUG if _is_silent(wire) else logging.INFO
        what = "PROXY header" if transport.expects_proxy else "TLS"
        logger.log(level, "%s: no %s: %s", transport.peer, what, printable(str(error)))
        raise


async def _shake_hands_in_time(service: Service, wire: Wire, accepted: float) -> None:
    transport = wire.transport
    try:
        while True:
            # The deadline accounts for a stop that came before this task ran.
            if transport.wake_reason is not None:
                transport.clear_wake()
            service.watchdog.arm(wire, handshake_deadline(service, wire, accepted))
            try:
                if transport.expects_proxy:
                    await _read_proxy_header(wire)
                return await transport.handshake()
            except Woken:
                if service.now() >= handshake_deadline(service, wire, accepted):
                    what = "header" if transport.expects_proxy else "handshake"
                    raise ClientDisconnected(f"the {what} took too long") from None
                # The first bytes have come since the deadline was armed, and made it later.
    finally:
        wire.deadline = inf
        if transport.wake_reason is not None:
            transport.clear_wake()


async def _read_proxy_header(wire: Wire) -> None:
    """Read a header of the PROXY protocol; what comes after it is left for TLS or the requests.

    Raises:
      ClientDisconnected: The peer disconnected, or sent something else.
      Woken: The bytes so far are in the wire's buffer; a later call continues.

    Cancellation:
      As for `Woken`.
    """
    transport = wire.transport
    below = transport.below if isinstance(transport, TlsTransport) else transport
    try:
        while (read := read_proxy_header(wire.buffer)) is None:
            try:
                data = await below.receive_some()
            except Woken:
                # Too late, unless something has just arrived.
                late = below.receive_nowait()
                if late is None:
                    raise
                data = late
            if not data:
                raise ClientDisconnected("the peer disconnected before its end")
            wire.buffer += data
    except ValueError as error:
        raise ClientDisconnected(str(error)) from error
    header, used = read
    rest, wire.buffer = wire.buffer[used:], b""
    transport.introduce(header.source, header.destination)
    if isinstance(transport, TlsTransport):
        transport.feed(rest)
    else:
        wire.buffer = rest


def _is_silent(wire: Wire) -> bool:
    """Whether nothing is known to have been received yet."""
    transport = wire.transport
    return not wire.buffer if transport.expects_proxy else transport.is_silent


async def refuse_handshake(service: Service, wire: Wire, error: HandshakeError) -> None:
    """Close so that the peer learns why: by the alert, or in plaintext if it uses that.

    Cancellation:
      Closes at once.
    """
    service.watchdog.arm(wire, service.now() + service.http.linger_timeout)
    if error.is_http:
        response = render_whole(
            400, _HTTP_FIELDS, _HTTP_BODY, service.date_line(), service.server_line
        )
        try:
            await error.below.send_all(response)
        except (ClientDisconnected, Woken):
            pass  # The close will fail the same way.
    await close_politely(error.below)
