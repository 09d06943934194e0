"""A page in Chromium lives through a restart, with an event stream and a WebSocket open."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from trillium_trio.handlers import Event, EventStream, WebSocket, WebSocketConn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
# Nothing here waits longer than it has to.
PATIENCE = 60
# What a page that is served well never has in its console. Its reports to us may fail: a POST is
# not sent again when its connection closes.
TROUBLE = re.compile(r"CONSOLE.*(Uncaught|EventSource|WebSocket|/events|/chat)")

PAGE = """<!doctype html><script>
const seen = [];
const say = (text) => {
  seen.push(text);
  fetch("/seen", {method: "POST", body: JSON.stringify(seen)}).catch(() => {});
};
const source = new EventSource("/events");
source.onopen = () => say("events: open");
source.onmessage = (event) => say(`events: ${event.data} after ${event.lastEventId}`);
source.addEventListener("goodbye", (event) => say(`events: ${event.data}`));
source.onerror = () => say(`events: ${["connecting", "open", "closed"][source.readyState]}`);
const chat = () => {
  const ws = new WebSocket(`ws://${location.host}/chat`);
  ws.onmessage = (event) => say(`chat: ${event.data}`);
  ws.onerror = () => say("chat: error");
  ws.onclose = (event) => {
    say(`chat: closed ${event.code} ${event.wasClean ? "cleanly" : "abruptly"}`);
    setTimeout(chat, 100);
  };
};
chat();
</script>"""


class Instance:
    """One of two servers that follow one another at a listening socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[str] = []
        self._changed = trio.Event()
        self._stream = EventStream(self._events, retry=(0.1, 0.2))

    async def _handle(self, conn: tt.Conn) -> tt.Conn:
        match conn.method, conn.path:
            case "GET", "/":
                return conn.ok(PAGE).with_response_header("content-type", "text/html")
            case "GET", "/favicon.ico":
                return conn.with_status(404).halt()
            case "GET", "/events":
                return await self._stream.run(conn)
            case "POST", "/seen":
                # They overtake one another; each has all that was seen before.
                self.seen = max(self.seen, await conn.request_body.json(), key=len)
                self._changed.set()
                return conn.ok("")
        return conn

    async def _events(self, conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        yield Event(data=f"{self.name} ({EventStream.last_id(conn)})", id=f"of {self.name}")
        await conn.swansong.shutting_down()
        yield Event(event="goodbye", data="goodbye")

    async def _chat(self, ws: WebSocketConn) -> None:
        await ws.send(self.name)
        async for _ in ws:
            pass
        await ws.send("goodbye")

    async def wait_for(self, *texts: str) -> None:
        """Wait until the page has said them."""
        while not {*texts} <= {*self.seen}:
            self._changed = trio.Event()
            await self._changed.wait()

    @asynccontextmanager
    async def serving(self, sock: socket.socket) -> AsyncIterator[tt.ServerHandle]:
        """Serve at a descriptor of the socket; who connects after the stop waits in its queue."""
        config = tt.config().bind_fd(os.dup(sock.fileno())).without_signals()
        async with config.serving((self._handle, WebSocket(self._chat))) as handle:
            yield handle


async def browse(url: str, folder: Path, log: list[str]) -> None:
    """Open a page in a browser, until cancelled; the log has its console."""
    command = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--remote-debugging-port=0", f"--user-data-dir={folder}", "--enable-logging=stderr"),
        url,
    ]
    process = await trio.lowlevel.open_process(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    text = b""
    try:
        async for chunk in process.stderr:
            text += chunk
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stderr.aclose()
        log += text.decode(errors="replace").splitlines()


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
async def test_ws_5_a_browser_sees_both_goodbyes_and_comes_back(tmp_path: Path) -> None:
    first, second = Instance("first"), Instance("second")
    console: list[str] = []
    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        trio.fail_after(PATIENCE),
    ):
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/"
        async with trio.open_nursery() as nursery:
            async with first.serving(sock):
                nursery.start_soon(browse, url, tmp_path, console)
                await first.wait_for("events: first (None) after of first", "chat: first")
            async with second.serving(sock):
                await second.wait_for("events: second (of first) after of second", "chat: second")
                nursery.cancel_scope.cancel()
    events = [each for each in second.seen if each.startswith("events: ")]
    assert events[:3] == [
        "events: open",
        "events: first (None) after of first",
        "events: goodbye",
    ]
    # It may have come back on its connection, within the grace of that, to another goodbye.
    assert events[-2:] == ["events: open", "events: second (of first) after of second"]
    assert [each for each in second.seen if each.startswith("chat: ")] == [
        "chat: first",
        "chat: goodbye",
        "chat: closed 1001 cleanly",
        "chat: second",
    ]
    assert [line for line in console if TROUBLE.search(line)] == []
