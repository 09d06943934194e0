"""Files as response bodies on real sockets, where they are sent without being read."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.e2e._net import serving
from tests.wire import request, settled

if TYPE_CHECKING:
    from pathlib import Path

# More than the sockets of both sides take, with room to spare. Sparse: it is only read.
LARGE = 64 * 1024 * 1024


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(LARGE)
    return path


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
async def test_a_file_arrives_whole(size: int, tls: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = os.urandom(size)
    path.write_bytes(content)

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(path))

    async with serving(handler, tls=tls) as net:
        client = await (net.connect_tls() if tls else net.connect())
        # The second response begins where the first one ends.
        for _ in range(2):
            response = await client.get()
            assert response.headers["content-length"] == str(size)
            assert response.body == content
        await client.stream.aclose()


@pytest.mark.parametrize("tls", [False, True])
async def test_parts_of_a_file_arrive(tls: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = os.urandom(3_000_000)
    path.write_bytes(content)

    async def handler(conn: tt.Conn) -> tt.Conn:
        parts = (b"[", range(1_000_000, 2_999_999), b"|", range(1), b"]")
        return conn.ok(tt.Body.from_file(path.open("rb"), *parts))

    async with serving(handler, tls=tls) as net:
        client = await (net.connect_tls() if tls else net.connect())
        for _ in range(2):
            response = await client.get()
            assert response.body == b"[" + content[1_000_000:-1] + b"|" + content[:1] + b"]"
        await client.stream.aclose()


async def test_a_file_that_can_only_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3_000_000)
    tried = []

    def sendfile(*args: int) -> int:
        tried.append(args)
        raise OSError(errno.EINVAL, "not on this file system")

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(path))

    monkeypatch.setattr(os, "sendfile", sendfile)
    async with serving(handler) as net:
        client = await net.connect()
        for _ in range(2):
            assert (await client.get()).body == b"x" * 3_000_000
        await client.stream.aclose()
    assert len(tried) == 2


async def test_cn_6_a_file_is_sent_to_its_end(large: Path) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(large))

    async with serving(handler, grace=0) as net:
        client = await net.connect()
        await client.send(request())
        received = len(await client.receive())
        net.handle.shut_down()
        while piece := await client.receive():
            received += len(piece)
        assert received > LARGE
        assert (await net.handle).is_clean


async def test_cn_10_a_file_for_a_reader_that_stopped_is_cut(large: Path) -> None:
    sent = trio.Event()

    async def note(_: tt.Conn) -> None:
        sent.set()

    async def handler(conn: tt.Conn) -> tt.Conn:
        conn.after_send(note)
        return conn.ok(tt.Body.from_path(large))

    async with serving(handler, write_timeout=0.1) as net:
        client = await net.connect()
        await client.send(request())
        await sent.wait()
        assert len(await client.rest()) < LARGE


async def test_cn_21_a_file_that_shrinks_breaks_off(
    large: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(large))

    async with serving(handler) as net:
        client = await net.connect()
        await client.send(request())
        first = await client.receive()
        assert f"content-length: {LARGE}".encode() in first
        os.truncate(large, 1)
        assert len(await client.rest()) < LARGE
    assert f"where {LARGE} were declared" in caplog.text


async def test_cn_22_a_client_that_leaves_ends_a_file(large: Path) -> None:
    sent = trio.Event()

    async def note(_: tt.Conn) -> None:
        sent.set()

    async def handler(conn: tt.Conn) -> tt.Conn:
        conn.after_send(note)
        return conn.ok(tt.Body.from_path(large))

    async with serving(handler) as net:
        client = await net.connect()
        await client.send(request())
        await client.receive()
        await client.stream.aclose()
        await sent.wait()
        await settled()
        assert net.guards == 0


async def test_sv_7_a_file_that_is_cut_is_short(large: Path) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(large))

    async with serving(handler) as net:
        client = await net.connect()
        await client.send(request())
        await client.receive()
        net.handle.shut_down(timeout=0.1)
        assert not (await net.handle).is_clean
        assert len(await client.rest()) < LARGE


async def test_sv_10_a_file_that_is_being_sent_is_closed_when_serving_is_cancelled(
    large: Path,
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(large))

    before = len(os.listdir("/dev/fd"))
    config = tt.config().with_address("127.0.0.1", 0).without_signals()
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(config.server(handler).serve)
        client = await trio.open_tcp_stream("127.0.0.1", handle.port)
        await client.send_all(request())
        assert await client.receive_some(8) == b"HTTP/1.1"
        await settled()
        assert handle.swansong.guard_count == 1
        nursery.cancel_scope.cancel()
    assert handle.swansong.guard_count == 0
    await client.aclose()
    assert len(os.listdir("/dev/fd")) == before
