"""Files on real sockets: the drain, a cut, a client that leaves, and what stays open."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.e2e._net import reset, serving
from tests.wire import request, settled
from trillium_trio.handlers import Static

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e._net import Net

# More than the sockets of both sides take, with room to spare. Sparse: it is only read.
LARGE = 64 * 1024 * 1024


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGE)
    (tmp_path / "middle").write_bytes(os.urandom(3_000_000))
    (tmp_path / "small").write_bytes(b"small")
    return tmp_path


def open_files(root: Path) -> list[str]:
    """Name the files below a folder that this process has open, and the folder itself as a dot."""
    names = {}
    for path in (root, *root.iterdir()):
        status = path.stat()
        names[status.st_dev, status.st_ino] = "." if path == root else path.name
    found = []
    for fd in os.listdir("/dev/fd"):
        try:
            status = os.fstat(int(fd))
        except OSError:
            continue  # that of the listing
        found.append(names.get((status.st_dev, status.st_ino), ""))
    return sorted(filter(None, found))


async def nothing_is_served(net: Net) -> None:
    """Wait until no request is in progress: its file has been closed by then."""
    while net.guards:
        await settled()


@pytest.mark.parametrize("tls", [False, True])
async def test_st_5_files_and_ranges_arrive(tls: bool, root: Path) -> None:
    content = (root / "middle").read_bytes()
    async with serving(Static(root), tls=tls) as net:
        client = await (net.connect_tls() if tls else net.connect())
        for _ in range(2):
            assert (await client.get("/middle")).body == content
            assert (await client.get("/small")).body == b"small"
            response = await client.get("/middle", "Range: bytes=1000000-")
            assert response.status == 206
            assert response.body == content[1_000_000:]
            response = await client.get("/middle", "Range: bytes=0-9,-1000000")
            assert content[:10] in response.body
            assert content[-1_000_000:] in response.body
        await client.stream.aclose()


async def test_st_13_a_drain_waits_for_a_file(root: Path) -> None:
    async with serving(Static(root), grace=0) as net:
        client = await net.connect()
        await client.send(request("/large"))
        received = len(await client.receive())
        net.handle.shut_down()
        while piece := await client.receive():
            received += len(piece)
        assert received > LARGE
        assert (await net.handle).is_clean
        await client.stream.aclose()
    assert "large" not in open_files(root)


async def test_st_13_a_file_that_is_cut_is_closed(root: Path) -> None:
    async with serving(Static(root)) as net:
        client = await net.connect()
        await client.send(request("/large"))
        await client.receive()
        net.handle.shut_down(timeout=0.1)
        assert not (await net.handle).is_clean
        assert len(await client.rest()) < LARGE
        await client.stream.aclose()
    assert "large" not in open_files(root)


@pytest.mark.parametrize("resets", [False, True])
async def test_st_13_a_client_that_leaves(resets: bool, root: Path) -> None:
    async with serving(Static(root)) as net:
        client = await net.connect()
        await client.send(request("/large"))
        await client.receive()
        assert open_files(root) == [".", "large"]
        if resets:
            await reset(client)
        else:
            await client.stream.aclose()
        await nothing_is_served(net)
        assert open_files(root) == ["."]


async def test_st_13_what_is_not_sent_is_closed(root: Path) -> None:
    async with serving(Static(root)) as net:
        client = await net.connect()
        tag = (await client.get("/middle")).headers["etag"]
        for field, status in (
            (f"If-None-Match: {tag}", 304),
            ("If-Match: x", 412),
            ("Range: bytes=5000000-", 416),
        ):
            assert (await client.get("/middle", field)).status == status
        head = await client.get("/middle", method="HEAD")
        assert head.headers["content-length"] == "3000000"
        await settled()
        assert open_files(root) == ["."]
        await client.stream.aclose()


async def test_st_13_a_response_that_another_handler_replaces(root: Path) -> None:
    class Breaks(tt.Handler):
        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            raise tt.HttpError(503)

    async with serving((Breaks(), Static(root))) as net:
        client = await net.connect()
        assert (await client.get("/middle")).status == 503
        assert open_files(root) == ["."]
        await client.stream.aclose()


async def test_st_13_the_root_is_open_while_it_is_served(root: Path) -> None:
    handler = Static(root)
    assert open_files(root) == []
    for _ in range(2):
        async with serving(handler), serving((tt.State(1), handler)):
            assert open_files(root) == ["."]
        assert open_files(root) == []
    (root / "gone").mkdir()
    handler = Static(root / "gone")
    (root / "gone").rmdir()
    with pytest.raises(tt.ConfigError, match=r"gone': No such file"):
        async with serving(handler):
            raise AssertionError


async def test_st_13_without_its_lifespan(root: Path) -> None:
    handler = Static(root)

    async def wrapper(conn: tt.Conn) -> tt.Conn:
        return await handler.run(conn)

    async with serving(wrapper) as net:
        client = await net.connect()
        for _ in range(2):
            assert (await client.get("/small")).body == b"small"
            assert len((await client.get("/middle")).body) == 3_000_000
            assert (await client.get("/none")).status == 404
        await settled()
        assert open_files(root) == []
        await client.stream.aclose()


async def test_st_10_a_file_that_is_replaced_is_sent_as_it_was(root: Path) -> None:
    async with serving(Static(root)) as net:
        client = await net.connect()
        await client.send(request("/large"))
        await client.receive()
        (root / "new").write_bytes(b"new")
        (root / "new").rename(root / "large")
        client.leftover = b""
        received = 0
        with trio.fail_after(20):
            while received < LARGE - 10_000_000:
                received += len(await client.receive())
        await client.stream.aclose()
        other = await net.connect()
        assert (await other.get("/large")).body == b"new"
        await other.stream.aclose()
