"""The accept loop: it survives transient errors, and never spins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from .._log import SafeLogger, add_note, text_of
from ._errors import is_exhausted, is_of_one_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..transport import Transport
    from ._bound import BoundListener

logger = SafeLogger("trillium_trio.listeners")

# How many connections to accept before other tasks run (CN-23).
_MAX_BATCH = 16

# A descriptor becomes free when a request ends; retrying ten times a second is soon enough.
_BACK_OFF_SECONDS = 0.1


async def accept_loop(listener: BoundListener, start: Callable[[Transport], None]) -> None:
    """Accept until the listener closes, then return. Close the listener in any case.

    Args:
      listener: No other task accepts from it.
      start: Called with each transport, and owns it unless it raises; synchronous.

    Raises:
      OSError: An error of the listener itself, with a note that names it (SV-14).

    Cancellation:
      No connection is lost; the listener is closed.
    """
    is_short = False
    try:
        while True:
            try:
                batch = await _accept_batch(listener)
            except OSError as exc:
                if is_of_one_connection(exc):
                    continue
                if not is_exhausted(exc):
                    raise
                if not is_short:
                    name, why = listener.facts.name, text_of(str, exc)
                    logger.warning("%s: cannot accept: %s; waiting", name, why)
                is_short = True
                await trio.sleep(_BACK_OFF_SECONDS)
                continue
            if is_short:
                logger.info("%s: accepting again", listener.facts.name)
                is_short = False
            _start_all(batch, start)
    except Exception as exc:
        if isinstance(exc, trio.ClosedResourceError) and listener.is_closing:
            return
        add_note(exc, f"while accepting on {listener.facts.name}")
        raise
    finally:
        await listener.aclose()


async def _accept_batch(listener: BoundListener) -> list[Transport]:
    """Wait for a connection; also accept those queued after it, up to `_MAX_BATCH`."""
    batch = [await listener.accept()]
    share = listener.share
    try:
        while len(batch) < _MAX_BATCH:
            if share is not None and share.is_ahead(len(batch)):
                break
            transport = listener.accept_nowait()
            if transport is None:
                break
            batch.append(transport)
    except OSError:
        pass  # If it lasts, the next accept raises it too, when there is no batch to lose.
    return batch


def _start_all(batch: list[Transport], start: Callable[[Transport], None]) -> None:
    while batch:
        try:
            start(batch[0])
        except BaseException:
            for transport in batch:
                transport.abort()
            raise
        del batch[0]
