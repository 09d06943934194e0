"""Active health checks: is an upstream there, and does it say that it is ready?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ._failure import UpstreamFailure

if TYPE_CHECKING:
    from ._upstream import Upstream

__all__ = ["check_for_ever"]


async def check_for_ever(upstream: Upstream, path: str, interval: float) -> None:
    """Check an upstream at once, and then every so many seconds.

    Each check has a connection of its own, so that a full pool does not fail it.

    Cancellation:
      Ends it.
    """
    while True:
        due = trio.current_time() + interval
        upstream.note_check(await _check(upstream, path, interval))
        await trio.sleep_until(due)


async def _check(upstream: Upstream, path: str, seconds: float) -> str | None:
    """Return why a check has failed, or None."""
    with trio.move_on_after(seconds):
        try:
            status = await _ask(upstream, path)
        except UpstreamFailure as failure:
            return failure.reason
        return None if 200 <= status < 400 else f"its answer is {status}"
    return f"no answer in {seconds:g} s"


async def _ask(upstream: Upstream, path: str) -> int:
    wire = await upstream.dialler.dial()
    try:
        authority = upstream.target.authority.encode("ascii")
        fields = [(b"host", authority), (b"connection", b"close")]
        await wire.send_head("GET", path, fields, b"")
        while (answer := await wire.receive_head()).status_code < 200:
            pass
        return int(answer.status_code)
    finally:
        await trio.aclose_forcefully(wire.stream)
