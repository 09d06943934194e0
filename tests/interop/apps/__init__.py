"""A small application of each framework, all of them with the same paths; see test_frameworks.py.

.. code-block:: text

    GET  /          "hello"
    GET  /sync      "sync", from a function that is not async
    GET  /stream    ten lines, one piece each
    POST /upload    the number of bytes that were sent
    GET  /slow      waits for the stop, then "finished"
    GET  /endless   lines until the stop, and then the last one
    /echo           a WebSocket that echoes text, if the framework has them
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio.lowlevel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Any

LINES = [f"line {number}\n" for number in range(10)]


async def lines() -> AsyncIterator[str]:
    for line in LINES:
        yield line
        await anyio.lowlevel.checkpoint()


async def wait_for_stop(scope: Mapping[str, Any]) -> None:
    """Log that a request is in progress, and keep it so until the server stops."""
    print("in progress", file=sys.stderr, flush=True)
    await scope["extensions"]["trillium.shutdown"].shutting_down()


async def lines_until_stop(scope: Mapping[str, Any]) -> AsyncIterator[str]:
    yield "first\n"
    await wait_for_stop(scope)
    yield "last\n"
