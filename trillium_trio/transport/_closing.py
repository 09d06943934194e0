"""The polite close, so that a response is never destroyed by a reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import ClientDisconnected
from ._transport import Woken

if TYPE_CHECKING:
    from ._transport import Transport

# Somewhat more than the default limit of bodies (10 MiB), so that a client that reads only after it
# has sent everything still gets its 413. The caller limits the time.
_MAX_DISCARDED_BYTES = 16 * 1024 * 1024


async def close_politely(transport: Transport) -> None:
    """Half-close, discard what the peer still sends until it closes too, then close.

    Closing a socket with unread bytes sends a reset, which makes the peer's kernel discard the
    response if the peer has not read it yet (RFC 9112, 9.6). Leaves the transport closed.

    The caller limits the time: it clears an earlier wake and arms a timeout that calls
    `Transport.wake`. Any wake ends the wait, and so do 16 MiB.

    Cancellation:
      Closes at once.
    """
    try:
        await transport.send_eof()
        await discard(transport)
    except (ClientDisconnected, Woken):
        pass  # Disconnected, or timed out.
    finally:
        await transport.aclose()


async def discard(transport: Transport) -> None:
    """Receive and discard until the end of the input, at most 16 MiB.

    Raises:
      Exception: Whatever `Transport.receive_some` raises.

    Cancellation:
      The received bytes are lost.
    """
    discarded = 0
    while discarded < _MAX_DISCARDED_BYTES and (data := await transport.receive_some()):
        discarded += len(data)
