"""An event stream in curl, which tells a proper end from one that was cut."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import trio

from tests.e2e._net import serving
from trillium_trio.handlers import Event, EventStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import trillium_trio as tt

CURL = shutil.which("curl")
# Nothing here waits longer than it has to.
PATIENCE = 60


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
async def test_se_4_curl_gets_the_whole_stream() -> None:
    output = b""

    async def events(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        yield Event(data="hello", id="1")
        await conn.swansong.shutting_down()
        yield Event(event="goodbye", data="bye")

    async def curl(url: str) -> None:
        nonlocal output
        process = await trio.lowlevel.open_process(
            ["curl", "-sSN", "--fail", url], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        async for chunk in process.stdout:
            output += chunk
            started.set()
        # 18: the transfer was cut.
        assert await process.wait() == 0

    started = trio.Event()
    with trio.fail_after(PATIENCE):
        async with (
            serving(EventStream(events, retry=(0.1, 0.2))) as net,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(curl, net.handle.url)
            await started.wait()
            net.handle.shut_down()
    assert re.fullmatch(
        rb"id: 1\ndata: hello\n\nevent: goodbye\ndata: bye\n\nretry: [12]\d\d\n\n", output
    ), output
