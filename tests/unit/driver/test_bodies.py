"""Where response bodies come from, and that their sources are closed whatever happens."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest
import trio
from anyio.to_thread import run_sync
from trio.testing import lockstep_stream_pair, memory_stream_one_way_pair

import trillium_trio as tt
from tests.wire import UPGRADE, request, serving, settled
from trillium_trio.driver._outbound import OpenFile

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
    from pathlib import Path

    from trillium_trio.http import BodyLike


class Source:
    """An async iterable that makes a generator each time, and notes what is closed."""

    def __init__(self, log: list[str], *, breaks: bool = False) -> None:
        self._log = log
        self._breaks = breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            yield b"one"
            if self._breaks:
                raise RuntimeError("broken")
            await trio.lowlevel.checkpoint()
            yield b"two"
        finally:
            self._log.append("iterator")

    async def aclose(self) -> None:
        self._log.append("source")


class Stream(trio.abc.ReceiveStream):
    def __init__(self, log: list[str]) -> None:
        self._log = log
        self._pieces = [b"two", b"one"]

    async def receive_some(self, max_bytes: int | None = None) -> bytearray:
        await trio.lowlevel.checkpoint()
        return bytearray(self._pieces.pop() if self._pieces else b"")

    async def aclose(self) -> None:
        self._log.append("source")


async def unchanged(pieces: AsyncIterable[bytes | memoryview]) -> AsyncGenerator[bytes, None]:
    async for piece in pieces:
        yield bytes(piece)


def through(log: list[str]) -> tt.Body:
    return tt.Body.of(Stream(log)).through(unchanged)


def through_twice(log: list[str]) -> tt.Body:
    return through(log).through(unchanged)


@pytest.mark.parametrize("kind", [Source, Stream, through, through_twice])
@pytest.mark.parametrize(
    ("how", "status", "body"),
    [
        ("sent", 200, b"onetwo"),
        ("head", 200, b""),
        ("no content", 204, b""),
        ("raises", 500, b"Internal Server Error\n"),
        ("status", 409, b"Conflict\n"),
        ("gone", 0, b""),
        ("before_send", 500, b"Internal Server Error\n"),
        ("upgrade", 101, b""),
        ("cut", 503, b"Service Unavailable\n"),
    ],
)
async def test_a_source_is_closed_once(
    kind: Callable[[list[str]], BodyLike],
    how: str,
    status: int,
    body: bytes,
    autojump_clock: object,
) -> None:
    log: list[str] = []

    class Handler(tt.Handler):
        async def run(self, conn: tt.Conn) -> tt.Conn:
            conn.with_body(kind(log))
            match how:
                case "no content":
                    conn.with_status(204)
                case "raises":
                    raise RuntimeError
                case "status":
                    raise tt.HttpError(409)
                case "gone":
                    raise tt.ClientDisconnected
                case "upgrade":
                    conn.upgrade()
                case "cut":
                    await trio.sleep_forever()
            return conn

        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            if how == "before_send":
                raise RuntimeError
            return conn

        def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
            return True

    async with serving(Handler()) as app:
        client = app.connect()
        method = "HEAD" if how == "head" else "GET"
        await client.send(request("/", *UPGRADE, method=method))
        await settled()
        if how == "cut":
            app.handle.cancel("now")
        response = await client.response(method)
        assert (response.status, response.body) == (status, body)
        await settled()
        assert log.count("source") == 1


@pytest.mark.parametrize("how", ["breaks", "leaves"])
async def test_the_generator_of_an_iterable_is_closed(how: str, autojump_clock: object) -> None:
    log: list[str] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(Source(log, breaks=how == "breaks"))

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request())
        if how == "leaves":
            while not log:
                await client.receive()
                await client.stream.aclose()
                await trio.lowlevel.checkpoint()
        else:
            assert not (await client.response()).is_whole
        await settled()
        assert log == ["iterator", "source"]


@pytest.mark.parametrize("how", ["is sent", "source breaks", "function breaks", "leaves"])
async def test_cn_20_a_body_goes_through_a_function(how: str, autojump_clock: object) -> None:
    log: list[str] = []

    class Held(Source):
        async def __aenter__(self) -> None:
            log.append("entered")

        async def __aexit__(self, *_: object) -> None:
            log.append("exited")

    async def upper(pieces: AsyncIterable[bytes | memoryview]) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in pieces:
                yield bytes(piece).upper()
                if how == "function breaks":
                    raise RuntimeError("broken")
            yield b"!"
        finally:
            log.append("function")

    async def handler(conn: tt.Conn) -> tt.Conn:
        body = tt.Body.streaming(Held(log, breaks=how == "source breaks"), length=6)
        return conn.ok(body.through(upper))

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request())
        if how == "leaves":
            while len(log) < 2:
                await client.receive()
                await client.stream.aclose()
                await trio.lowlevel.checkpoint()
        else:
            response = await client.response()
            assert response.headers["transfer-encoding"] == "chunked"
            assert response.is_whole == (how == "is sent")
            assert response.body == (b"ONETWO!" if how == "is sent" else b"ONE")
        await settled()
    assert sorted(log[1:3]) == ["function", "iterator"]
    assert [log[0], *log[3:]] == ["entered", "exited", "source"]


@pytest.mark.parametrize("length", [2, 5, 7])
async def test_cn_21_a_body_that_goes_through_a_function_has_its_length(
    length: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.streaming(Source([]), length).through(unchanged))

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request())
        assert not (await client.response()).is_whole
        await client.stream.aclose()
    given = 3 if length == 2 else 6
    assert f"the body gave {given} bytes where {length} were declared" in caplog.text


async def test_cn_20_a_piece_of_another_type_does_not_reach_the_function(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def wrong() -> AsyncIterator[Any]:
        yield b""
        yield "text"

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.streaming(wrong()).through(unchanged))

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request())
        response = await client.response()
        assert (response.is_whole, response.body) == (False, b"")
        await client.stream.aclose()
    assert "stream async_generator, length unknown> gave a piece of type str" in caplog.text


async def test_a_receive_stream_of_trio(autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        send, receive = memory_stream_one_way_pair()

        async def feed() -> None:
            await send.send_all(b"fed")
            await send.aclose()

        conn.start_soon(feed)
        return conn.ok(receive)

    async with serving(handler) as app:
        assert (await app.connect().get()).body == b"fed"


@pytest.mark.parametrize("size", [0, 5, 1_000_000])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_file(size: int, method: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(path))

    async with serving(handler) as app:
        client = app.connect()
        for _ in range(2):
            await client.send(request(method=method))
            response = await client.response(method)
            assert response.headers["content-length"] == str(size)
            assert len(response.body) == (size if method == "GET" else 0)
        await client.stream.aclose()


@pytest.mark.parametrize("change", [1, -1])
async def test_cn_21_a_file_is_sent_as_long_as_it_was(
    change: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1_000_000)

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(path))

    # The server has read the first piece, and waits for the client to take it.
    async with serving(handler, pair=lockstep_stream_pair) as app:
        client = app.connect()
        await client.send(request())
        client.leftover = await client.receive()
        os.truncate(path, 1_000_000 + change)
        response = await client.response()
        assert response.headers["content-length"] == "1000000"
        assert response.is_whole == (change > 0)
        await client.stream.aclose()
    assert ("gave 999999 bytes where 1000000 were declared" in caplog.text) == (change < 0)


async def test_a_file_that_says_it_is_empty_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    opened = OpenFile.of_path(path)
    path.write_bytes(b"more")  # as in /proc, where every file says 0
    assert [piece async for piece in opened] == [b"more"]
    assert "0 bytes" in repr(opened)
    opened.file.close()


PARTS = (b"[", range(5), b"|", range(999_000, 1_000_000), range(7, 7), b"]")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_parts_of_a_file(method: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = os.urandom(1_000_000)
    path.write_bytes(content)
    opened: list[BinaryIO] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        opened.append(path.open("rb"))
        return conn.ok(tt.Body.from_file(opened[-1], *PARTS))

    async with serving(handler) as app:
        client = app.connect()
        for _ in range(2):
            response = await client.get(method=method)
            expected = b"[" + content[:5] + b"|" + content[999_000:] + b"]"
            assert response.headers["content-length"] == str(len(expected))
            assert response.body == (expected if method == "GET" else b"")
        await client.stream.aclose()
    assert [file.closed for file in opened] == [True, True]


async def test_cn_21_a_part_that_is_not_there_is_missed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_file(path.open("rb"), range(2, 12), b"never"))

    async with serving(handler) as app:
        client = app.connect()
        response = await client.get()
        assert not response.is_whole
        assert response.body == b"23456789"
        await client.stream.aclose()
    assert "where 15 were declared" in caplog.text


async def test_a_file_whose_body_is_not_sent_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    opened: list[BinaryIO] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        opened.append(path.open("rb"))
        conn.ok(tt.Body.from_file(opened[-1], range(7)))
        raise tt.HttpError(503)

    async with serving(handler) as app:
        client = app.connect()
        assert (await client.get()).status == 503
        await client.stream.aclose()
    assert [file.closed for file in opened] == [True]


@pytest.mark.parametrize("part", [range(-1, 5), range(0, 5, 2), range(5, 0, -1)])
def test_what_is_no_part_of_a_file(part: range, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with path.open("rb") as file, pytest.raises(ValueError, match="is not a part of a file"):
        tt.Body.from_file(file, part)


async def test_a_file_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(tmp_path / "nothing"))

    async with serving(handler) as app:
        client = app.connect()
        assert (await client.get()).status == 500
        await client.stream.aclose()
    assert "FileNotFoundError" in caplog.text


async def test_a_pipe_has_no_length(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(b"piped"))
    writer.start()

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(path))

    async with serving(handler) as app:
        client = app.connect()
        response = await client.get()
        assert response.headers["transfer-encoding"] == "chunked"
        assert response.body == b"piped"
        await client.stream.aclose()
    await run_sync(writer.join)
