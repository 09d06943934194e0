"""Other people's frameworks under our command line: processes, asked over sockets, stopped."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
from mcp import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.e2e._command import PATIENCE, Process
from tests.interop.apps import LINES
from tests.meta._tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

UPLOAD = bytes(range(256)) * 8192  # 2 MiB

HAVE_WEBSOCKETS = ["starlette", "fastapi", "quart_trio", "litestar", "blacksheep"]
HAVE_NONE = ["connexion"]


@contextmanager
def command(framework: str, *options: str) -> Iterator[Process]:
    target = f"tests.interop.apps.{framework}_app:app"
    arguments = ["-m", "trillium_trio", target, "--bind", "127.0.0.1:0", *options]
    process = Process(arguments, ROOT)
    try:
        yield process
    finally:
        process.kill()


@pytest.mark.parametrize("framework", HAVE_WEBSOCKETS + HAVE_NONE)
def test_a_framework_serves_and_is_drained_while_it_is_busy(framework: str) -> None:
    with command(framework, "--drain-timeout", "20") as process:
        port = process.wait_port()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            serves(client)
            if framework in HAVE_WEBSOCKETS:
                echoes(port)
        is_drained(process, port, has_websockets=framework in HAVE_WEBSOCKETS)


def serves(client: httpx.Client) -> None:
    for path, text in {"/": "hello", "/sync": "sync", "/stream": "".join(LINES)}.items():
        response = client.get(path)
        assert (response.status_code, response.text) == (200, text), path
    for content in (UPLOAD, iter([UPLOAD[:100_000], UPLOAD[100_000:]])):  # the second in chunks
        response = client.post(
            "/upload", content=content, headers={"content-type": "application/octet-stream"}
        )
        assert response.is_success, response
        assert response.text == str(len(UPLOAD))
    assert client.get("/missing").status_code == 404
    assert client.head("/").text == ""
    assert client.get("/").text == "hello"


def echoes(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/echo") as ws:
        for text in ("hello", "ü" * 40_000):
            ws.send(text)
            assert ws.recv(PATIENCE) == text


def is_drained(process: Process, port: int, *, has_websockets: bool) -> None:
    """Stop a server in the middle of a request, a stream and a WebSocket: each has its end."""
    slow: list[httpx.Response] = []
    base_url = f"http://127.0.0.1:{port}"

    def ask() -> None:
        slow.append(httpx.get(f"{base_url}/slow", timeout=PATIENCE))

    thread = threading.Thread(target=ask)
    thread.start()
    process.wait_line("in progress")
    with httpx.stream("GET", f"{base_url}/endless", timeout=PATIENCE) as stream:
        pieces = stream.iter_text()
        text = next(pieces)
        process.wait_line("in progress")
        if has_websockets:
            with connect(f"{base_url.replace('http', 'ws')}/echo") as ws:
                ws.send("before")
                assert ws.recv(PATIENCE) == "before"
                process.process.send_signal(signal.SIGTERM)
                with pytest.raises(ConnectionClosed) as closed:
                    ws.recv(PATIENCE)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        else:
            process.process.send_signal(signal.SIGTERM)
        assert text + "".join(pieces) == "first\nlast\n"
    thread.join()
    assert [(each.status_code, each.text) for each in slow] == [(200, "finished")]
    assert process.wait_status() == 0
    assert "Traceback" not in process.log
    assert "ERROR" not in process.log


def test_mcp_serves_and_is_drained_while_it_is_busy() -> None:
    with command("mcp", "--drain-timeout", "20") as process:
        url = f"http://127.0.0.1:{process.wait_port()}/mcp"
        # The handshake of the older versions, with a session, and the newer without.
        for mode in ("legacy", "auto"):
            # Its client runs on asyncio; on trio it leaves generators behind.
            anyio.run(uses_tools, url, mode)
        anyio.run(is_drained_while_a_tool_runs, process, url)
        assert process.wait_status() == 0
        assert "Traceback" not in process.log


async def uses_tools(url: str, mode: str) -> None:
    steps = []

    async def report(
        progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        steps.append((progress, total, message))

    async with Client(url, mode=mode) as client:
        assert await text_of(client, "hello") == "hello"
        assert await text_of(client, "sync") == "sync"
        result = await client.call_tool("stream", progress_callback=report)
        assert result.structured_content == {"result": "".join(LINES)}
        assert steps == [(number, len(LINES), line) for number, line in enumerate(LINES)]
        size = 2 * 1024 * 1024
        assert await text_of(client, "upload", {"text": "x" * size}) == str(size)


async def text_of(client: Client, tool: str, arguments: dict[str, Any] | None = None) -> str:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error
    assert result.structured_content is not None
    return str(result.structured_content["result"])


async def is_drained_while_a_tool_runs(process: Process, url: str) -> None:
    texts = []

    async def use() -> None:
        texts.append(await text_of(client, "slow"))

    async with Client(url, mode="auto") as client:
        # Otherwise the client asks for it after the tool, when nothing listens any more.
        await client.list_tools()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use)
            await anyio.to_thread.run_sync(process.wait_line, "in progress")
            process.process.send_signal(signal.SIGTERM)
    assert texts == ["finished"]


@pytest.mark.parametrize(("framework", "name"), [("django", "ASGIHandler"), ("quart", "Quart")])
def test_as_17_what_runs_on_asyncio_only_is_refused_at_the_start(framework: str, name: str) -> None:
    with command(framework) as process:
        assert process.wait_status() == 3
        [line] = process.log.splitlines()
        assert f"{name} runs on asyncio only, and this server on trio" in line


def test_as_17_falcon_is_told_where_it_needs_asyncio() -> None:
    with command("falcon", "--drain-timeout", "20") as process:
        port = process.wait_port()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            assert client.get("/").text == "hello"
            assert client.get("/stream").text == "".join(LINES)
            assert client.post("/upload", content=UPLOAD).text == str(len(UPLOAD))
            assert client.get("/events").status_code == 500
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{port}/echo"):
            pass
        assert refused.value.response.status_code == 500
        process.process.send_signal(signal.SIGTERM)
        assert process.wait_status() == 0
        told = [line for line in process.log.splitlines() if "ERROR" in line]
        assert len(told) == 2
        assert all("App runs on asyncio only, and this server on trio" in line for line in told)
