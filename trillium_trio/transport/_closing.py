"""The polite close, so that a response is never destroyed by a reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import ClientDisconnected
from ._transport import Woken

if TYPE_CHECKING:
    from ._transport import Transport

# A client that reads only after it has sent everything must get its 413 all the same, so this is
# somewhat more than the default limit of bodies (10 MiB). Time is bounded by the caller.
_MAX_DISCARDED_BYTES = 16 * 1024 * 1024


async def close_politely(transport: Transport) -> None:
    """Half-close, discard what the peer still sends until it closes too, then close.

    To close a socket while bytes are unread sends a reset, which makes the peer's kernel throw
    away the response that it has not read yet (RFC 9112, 9.6). The state left: closed.

    The caller bounds the time: it clears an earlier wake, arms its timeout, and calls
    `Transport.wake`, after which this returns soon. Any wake ends the wait, and so do 16 MiB.

    Cancellation:
      Closes at once.
    """
    try:
        await transport.send_eof()
        await discard(transport)
    except (ClientDisconnected, Woken):
        pass  # Gone, or long enough.
    finally:
        await transport.aclose()


async def discard(transport: Transport) -> None:
    """Receive and throw away until the input ends, or 16 MiB of it.

    Raises:
      Exception: Whatever `Transport.receive_some` raises.

    Cancellation:
      What was received is gone.
    """
    discarded = 0
    while discarded < _MAX_DISCARDED_BYTES and (data := await transport.receive_some()):
        discarded += len(data)
