"""CH with Phoenix's own client, the npm package ``phoenix``, in Node."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trillium_trio as tt
from trillium_trio.handlers import Channel, ChannelError, Channels

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NODE, NPM = shutil.which("node"), shutil.which("npm")
PROGRAM = Path(__file__).with_name("phoenix_client.js")
# `ws`, because Node has a WebSocket of its own only from version 22 on.
PACKAGES = ("phoenix@1.8.16", "ws@8.23.0")
# Generous: on a loaded machine nothing of this takes a fraction of it.
TIMEOUT = 60

pytestmark = pytest.mark.skipif(
    NODE is None or NPM is None, reason="needs Node: node and npm are not both installed"
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the client in a folder of its own."""
    assert NPM is not None
    folder = tmp_path_factory.mktemp("phoenix")
    result = subprocess.run(
        [NPM, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *PACKAGES],
        check=False,
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        pytest.skip(f"npm cannot install {', '.join(PACKAGES)}: {result.stderr.strip()[-200:]}")
    return folder


class Room(Channel):
    async def join(self, payload: Any) -> object:
        if self.topic.endswith("private"):
            raise ChannelError("members only")
        return {"payload": payload, "token": self.auth_token, "query": self.ws.querystring}

    async def receive(self, event: str, payload: Any) -> object:
        match event:
            case "echo":
                return payload
            case "say":
                await self.broadcast("said", payload)
            case "say-bytes":
                await self.broadcast("raw", payload)
            case "fail":
                raise RuntimeError("a bug")
            case _:
                return await super().receive(event, payload)
        return None


class Client:
    """The program, line by line."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._lines = self._read()
        self.heartbeats = 0

    async def next(self) -> list[Any]:
        """Return what it says next, beside its heartbeats."""
        while True:
            words: list[Any] = json.loads(await anext(self._lines))
            if words[0] != "heartbeat":
                return words
            assert words == ["heartbeat", "phx_reply", "ok"]
            self.heartbeats += 1

    async def next_heartbeat(self) -> None:
        while json.loads(await anext(self._lines))[0] != "heartbeat":
            pass
        self.heartbeats += 1

    async def _read(self) -> AsyncIterator[str]:
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line.decode()


async def test_ch_7_phoenix_joins_talks_and_comes_back_after_a_restart(
    packages: Path, caplog: pytest.LogCaptureFixture
) -> None:
    channels = Channels({"room:*": Room})
    # The same port for the second server.
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    config = tt.config().with_host("127.0.0.1").with_port(port).without_signals()
    async with trio.open_nursery() as nursery:
        with trio.fail_after(TIMEOUT):
            async with config.serving(channels):
                command = [str(NODE), str(PROGRAM), f"ws://127.0.0.1:{port}/socket"]
                process: trio.Process = await nursery.start(_run, command, packages)
                client = Client(process)
                await check_conversation(client)
                while not client.heartbeats:
                    await client.next_heartbeat()
                await channels.broadcast("room:1", "said", {"text": "news"})
                assert await client.next() == ["said", {"text": "news"}]
            # Told to come back, and by no word that its room is closed.
            assert await client.next() == [
                "room error",
                {"source": "transport", "reason": "connection_closed"},
            ]
            assert await client.next() == ["socket closed", 1001]
            async with config.serving(channels):
                words = await client.next()
                while words[0] != "joined":
                    # The port is not bound yet: it tries again.
                    assert words == ["socket closed", 1006]
                    words = await client.next()
                await channels.broadcast("room:1", "said", {"text": "again"})
                assert await client.next() == ["said", {"text": "again"}]
                assert process.stdin is not None
                await process.stdin.aclose()
                assert await process.wait() == 0
    failures = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert len(failures) == 1
    assert "Room.receive of 'room:1' failed" in failures[0]


async def check_conversation(client: Client) -> None:
    joined = [
        "joined",
        {"payload": {"name": "ann"}, "token": "secret", "query": "user=ann&vsn=2.0.0"},
    ]
    assert await client.next() == joined
    assert await client.next() == ["echo", "ok", {"text": "grüß dich"}]
    assert await client.next() == ["unknown", "error", {"reason": "unknown event"}]
    assert await client.next() == ["said", {"text": "hello"}]
    assert await client.next() == ["bytes", "ok", [0, 255, 10]]
    assert await client.next() == ["raw", [1, 2, 3]]
    assert await client.next() == ["refused", "error", {"reason": "members only"}]
    assert await client.next() == ["unmatched", "error", {"reason": "unmatched topic"}]
    assert (await client.next())[0] == "room error"
    assert await client.next() == joined
    assert await client.next() == ["echo again", "ok", {}]
    assert await client.next() == ["other closed"]
    assert await client.next() == ["left", "ok", {}]
    assert await client.next() == ["ready"]


async def _run(
    command: list[str], folder: Path, *, task_status: trio.TaskStatus[trio.Process]
) -> None:
    await trio.run_process(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        capture_stdout=False,
        stdout=subprocess.PIPE,
        task_status=task_status,
    )
