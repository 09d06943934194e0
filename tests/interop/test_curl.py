"""curl: an event stream, of which it tells a proper end from a cut, files, and codings."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import trio

from tests.e2e._net import serving
from trillium_trio.handlers import Compression, Event, EventStream, Static
from trillium_trio.http import Body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

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

    async def follow(url: str) -> None:
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
            nursery.start_soon(follow, net.handle.url)
            await started.wait()
            net.handle.shut_down()
    assert re.fullmatch(
        rb"id: 1\ndata: hello\n\nevent: goodbye\ndata: bye\n\nretry: [12]\d\d\n\n", output
    ), output


async def curl(*arguments: str) -> bytes:
    process = await trio.run_process(["curl", "-sS", "--fail", *arguments], capture_stdout=True)
    return process.stdout


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
async def test_st_5_curl_resumes_a_download_and_asks_for_changes(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "file.bin").write_bytes(content)
    part, etag = tmp_path / "part", tmp_path / "etag"
    part.write_bytes(content[:1_000_000])
    with trio.fail_after(PATIENCE):
        async with serving(Static(tmp_path)) as net:
            url = f"{net.handle.url}/file.bin"
            report = ("-w", "%{http_code} %{size_download}")
            resumed = await curl("-C", "-", "-o", os.fspath(part), *report, url)
            assert (resumed, part.read_bytes()) == (b"206 2000000", content)
            several = await curl("-r", "0-9,-10", "-D", "-", url)
            assert b"multipart/byteranges" in several
            assert content[:10] in several
            assert content[-10:] in several
            to_nothing = ("-o", os.devnull, *report)
            await curl("--etag-save", os.fspath(etag), *to_nothing, url)
            assert await curl("--etag-compare", os.fspath(etag), *to_nothing, url) == b"304 0"
            assert await curl("-z", os.fspath(part), *to_nothing, url) == b"304 0"


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
async def test_st_8_curl_decodes_a_precompressed_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("plain")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"compressed"))
    with trio.fail_after(PATIENCE):
        async with serving(Static(tmp_path, precompressed=True)) as net:
            url = f"{net.handle.url}/a.txt"
            assert await curl("--compressed", url) == b"compressed"
            assert await curl(url) == b"plain"


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
@pytest.mark.parametrize("kind", ["memory", "stream", "file"])
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_co_1_curl_decodes_what_it_has_asked_for(
    coding: str, kind: str, tmp_path: Path
) -> None:
    features = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
    name = {"gzip": "libz", "br": "brotli", "zstd": "zstd"}[coding]
    data = b"".join(b"line %d\n" % n for n in range(50_000))
    (tmp_path / "file").write_bytes(data)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 10_000):
            yield data[start : start + 10_000]

    async def answer(conn: tt.Conn) -> tt.Conn:
        bodies = {
            "memory": Body(data),
            "stream": Body.streaming(pieces(), len(data)),
            "file": Body.from_path(tmp_path / "file"),
        }
        return conn.ok(bodies[kind])

    with trio.fail_after(PATIENCE):
        async with serving((Compression(codings=[coding]), answer)) as net:
            decoded = await curl("--compressed", "-D", f"{tmp_path / 'head'}", net.handle.url)
    head = (tmp_path / "head").read_text(encoding="latin-1")
    # One that was built without the library does not ask for the coding.
    assert (f"content-encoding: {coding}" in head) is (name in features.stdout)
    assert decoded == data
