"""Event streams in real clients: curl, and a browser that lives through a restart."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from trillium_trio.handlers import Event, EventStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

CURL = shutil.which("curl")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
# Nothing here waits longer than it has to.
PATIENCE = 60

PAGE = """<!doctype html><script>
const seen = [];
const source = new EventSource("/events");
const say = (text) => {
  seen.push(text);
  fetch("/seen", {method: "POST", body: JSON.stringify(seen)}).catch(() => {});
};
source.onopen = () => say("open");
source.onmessage = (event) => say(`${event.data} after ${event.lastEventId}`);
source.addEventListener("goodbye", (event) => say(event.data));
source.onerror = () => say(["connecting", "open", "closed"][source.readyState]);
</script>"""


class Instance:
    """One of several servers that follow one another on a port."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[str] = []
        self.changed = trio.Event()

    async def handle(self, conn: tt.Conn) -> tt.Conn:
        match conn.method, conn.path:
            case "GET", "/":
                return conn.ok(PAGE).with_response_header("content-type", "text/html")
            case "POST", "/seen":
                # They overtake one another; each has all that was seen before.
                self.seen = max(self.seen, await conn.request_body.json(), key=len)
                self.changed.set()
                return conn.ok("")
        return conn

    async def events(self, conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        yield Event(data=f"{self.name} ({EventStream.last_id(conn)})", id=f"of {self.name}")
        await conn.swansong.shutting_down()
        yield Event(event="goodbye", data="goodbye")

    async def wait_for(self, text: str) -> None:
        """Wait until the page has said it."""
        while text not in self.seen:
            self.changed = trio.Event()
            await self.changed.wait()

    def serving(self, port: int) -> AbstractAsyncContextManager[tt.ServerHandle]:
        stream = EventStream(self.events, retry=(0.1, 0.2))
        config = tt.config().with_address("127.0.0.1", port)
        return config.serving((self.handle, stream))


async def browse(url: str, folder: Path) -> None:
    """Open a page in a browser, until cancelled."""
    command = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--remote-debugging-port=0", f"--user-data-dir={folder}"),
        url,
    ]
    quiet = subprocess.DEVNULL
    await trio.run_process(command, check=False, stdout=quiet, stderr=quiet)


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
async def test_se_4_a_browser_sees_the_goodbye_and_comes_back(tmp_path: Path) -> None:
    first, second = Instance("first"), Instance("second")
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            async with first.serving(0) as handle:
                nursery.start_soon(browse, handle.url, tmp_path)
                await first.wait_for("first (None) after of first")
            async with second.serving(handle.port):
                await second.wait_for("second (of first) after of second")
            nursery.cancel_scope.cancel()
    seen = second.seen[: second.seen.index("second (of first) after of second") + 1]
    assert seen[:3] == ["open", "first (None) after of first", "goodbye"]
    # It may have come back on its connection, within the grace of that, to another goodbye.
    assert seen[-2:] == ["open", "second (of first) after of second"]
    # It calls the end of a stream an error, and connects again.
    assert "connecting" in seen
    assert "closed" not in seen


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
async def test_se_4_curl_gets_the_whole_stream() -> None:
    instance = Instance("first")
    output = b""
    with trio.fail_after(PATIENCE):
        async with (
            instance.serving(0) as handle,
            trio.open_nursery() as nursery,
        ):
            started = trio.Event()

            async def curl() -> None:
                nonlocal output
                process = await trio.lowlevel.open_process(
                    ["curl", "-sSN", "--fail", f"{handle.url}/events"], stdout=subprocess.PIPE
                )
                assert process.stdout is not None
                async for chunk in process.stdout:
                    output += chunk
                    started.set()
                # 18: the transfer was cut.
                assert await process.wait() == 0

            nursery.start_soon(curl)
            await started.wait()
            handle.shut_down()
    assert output.startswith(
        b"id: of first\ndata: first (None)\n\nevent: goodbye\ndata: goodbye\n\n"
    )
    assert re.search(rb"\n\nretry: [12]\d\d\n\n$", output), output
