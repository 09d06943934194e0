"""CN-13 and CN-14 of docs/spec/connection.md: how a connection closes, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.wire import Pair, request, serving, settled

if TYPE_CHECKING:
    import trillium_trio as tt


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello")


async def fail(conn: tt.Conn) -> tt.Conn:
    raise RuntimeError("broken")


async def read(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.read())


class Recording(trio.abc.HalfCloseableStream):
    """Notes what is done to a stream."""

    def __init__(self, stream: trio.abc.Stream, log: list[str]) -> None:
        assert isinstance(stream, trio.StapledStream)
        self._stream = stream
        self._log = log

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self._log.append(f"received {len(data)}")
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        self._log.append("send_eof")
        await self._stream.send_eof()

    async def aclose(self) -> None:
        self._log.append("aclose")
        await self._stream.aclose()


async def test_cn_13_half_close_then_read_to_the_end_then_close(autojump_clock: object) -> None:
    log: list[str] = []

    def pair() -> Pair:
        client, server = memory_stream_pair()
        return client, Recording(server, log)

    async with serving(hello, pair=pair) as app:
        client = app.connect()
        raw = request("/", "Connection: close")
        await client.send(raw)
        assert (await client.response()).closes
        assert await client.ends()
        await settled()
        # Sent into the half-closed connection: read, and thrown away.
        await client.send(b"x" * 10)
        await settled()
        await client.stream.aclose()
        await settled()
        assert log == [f"received {len(raw)}", "send_eof", "received 10", "received 0", "aclose"]


BIG = request(method="PUT", body=b"x" * 100_000)


@pytest.mark.parametrize(
    ("handler", "sent", "status"),
    [
        pytest.param(hello, b"GET / HTTP/1.1\r\n\r\n", 400, id="malformed"),
        pytest.param(hello, BIG, 200, id="unread"),
        pytest.param(read, b"GARBAGE\r\n\r\n", 400, id="garbage"),
        pytest.param(fail, request(), 500, id="failed"),
        pytest.param(hello, request("/", version="1.0"), 200, id="http-1.0"),
        pytest.param(hello, request()[:9], 0, id="half-a-head"),
        pytest.param(read, BIG[:-9], 0, id="half-a-body"),
        pytest.param(hello, b"", 0, id="nothing"),
        pytest.param(hello, request(), 200, id="plain"),
    ],
)
@pytest.mark.parametrize("is_half_close", [False, True])
async def test_cn_14_nothing_is_left(
    handler: object, sent: bytes, status: int, is_half_close: bool, autojump_clock: object
) -> None:
    task = trio.lowlevel.current_task()
    before = len(task.child_nurseries)
    async with serving(handler) as app:  # type: ignore[arg-type]  # handlers of all kinds
        client = app.connect()
        await client.send(sent)
        assert isinstance(client.stream, trio.StapledStream)
        await client.stream.send_eof()
        if is_half_close:
            assert (await client.response()).status == status
            assert await client.ends()
        await client.stream.aclose()
        await settled()
        assert app.guards == 0
        app.handle.shut_down()
        start = trio.current_time()
        await app.handle
        # No connection is left to be waited for.
        assert trio.current_time() == start
    assert len(task.child_nurseries) == before


async def test_cn_14_a_stop_at_any_time_releases_each_guard_once(autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(3)
        return conn.ok("x")

    for at in range(6):
        async with serving(handler) as app:
            client = app.connect()
            await trio.sleep(1)
            await client.send(request()[:9])
            await trio.sleep(1)
            await client.send(request()[9:])
            with trio.move_on_after(at):
                await client.response()
            app.handle.shut_down()
            report = await app.handle
            assert app.guards == 0
            assert report.is_clean
