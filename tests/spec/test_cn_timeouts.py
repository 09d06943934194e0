"""CN-15 of docs/spec/connection.md: every timeout, exact under virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import lockstep_stream_pair

import trillium_trio as tt
from tests.wire import Peer, chunked, request, serving, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def read(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.read())


UPLOAD = request(method="PUT", body=b"x" * 100)[:-99]
CHUNKED = request("/", "Transfer-Encoding: chunked", method="PUT", body=chunked(b"x" * 9)[:-6])


@pytest.mark.parametrize(
    ("sent", "after", "status"),
    [
        pytest.param(b"", 10, 0, id="nothing"),
        pytest.param(b"\r\n", 10, 0, id="an-empty-line-is-no-head"),
        pytest.param(b"G", 10, 408, id="a-byte-of-a-head"),
        pytest.param(request()[:-1], 10, 408, id="all-of-a-head-but-a-byte"),
        pytest.param(UPLOAD, 30, 408, id="a-byte-of-a-body"),
        pytest.param(CHUNKED, 30, 408, id="a-chunk"),
    ],
)
async def test_cn_15_a_silent_peer(
    sent: bytes, after: float, status: int, autojump_clock: object
) -> None:
    async with serving(read) as app:
        client = app.connect()
        start = trio.current_time()
        await client.send(sent)
        response = await client.response()
        assert response.status == status
        assert trio.current_time() - start == after
        assert await client.ends()
        await settled()
        assert app.guards == 0


async def test_cn_15_each_timeout_has_its_setting(autojump_clock: object) -> None:
    async with serving(read, head_timeout=1, idle_timeout=2, body_timeout=4) as app:
        for sent, after in ((b"G", 1), (b"", 1), (request(), 2), (UPLOAD, 4)):
            client = app.connect()
            start = trio.current_time()
            await client.send(sent)
            await client.rest()
            assert trio.current_time() - start == after


@pytest.mark.parametrize("status", [0, 408], ids=["nothing", "a-part"])
async def test_cn_15_the_first_head_is_timed_from_the_accept(
    status: int, autojump_clock: object
) -> None:
    async with serving(read) as app:
        client = app.connect()
        start = trio.current_time()
        await trio.sleep(9)
        await client.send(request()[:-1] if status else b"\r\n")
        assert (await client.response()).status == status
        assert trio.current_time() - start == 10


async def test_cn_15_a_later_head_is_timed_from_its_first_byte(autojump_clock: object) -> None:
    async with serving(read) as app:
        client = app.connect()
        for _ in range(2):
            assert (await client.get()).status == 200
            await trio.sleep(59)
        start = trio.current_time()
        await client.send(request()[:-1])
        await trio.sleep(9)
        await client.send(request()[-1:])
        assert (await client.response()).status == 200
        await client.send(b"G")
        assert (await client.response()).status == 408
        assert trio.current_time() - start == 9 + 10
        await client.stream.aclose()


async def test_cn_15_a_head_has_one_timeout_for_all_its_bytes(autojump_clock: object) -> None:
    async with serving(read) as app:
        client = app.connect()
        start = trio.current_time()
        for byte in request()[:9]:
            await client.send(bytes([byte]))
            await trio.sleep(1)
        assert (await client.response()).status == 408
        assert trio.current_time() - start == 10


async def test_cn_15_a_handler_that_does_not_wait_for_the_peer_has_none(
    autojump_clock: object,
) -> None:
    async def slow(conn: tt.Conn) -> tt.Conn:
        await trio.sleep(1_000_000)
        return conn.ok("at last")

    async with serving(slow) as app:
        client = app.connect()
        # The idle timeout begins anew with each response.
        for _ in range(2):
            assert (await client.get()).body == b"at last"
            await trio.sleep(59)


async def test_cn_15_a_408_is_raised_from_the_read(autojump_clock: object) -> None:
    seen: list[Exception] = []

    async def lenient(conn: tt.Conn) -> tt.Conn:
        with pytest.raises(tt.RequestTimeout) as caught:
            await conn.request_body.read()
        # Nothing behind it can be read, now or later.
        with pytest.raises(tt.ClientDisconnected):
            await conn.request_body.read()
        seen.append(caught.value)
        return conn.ok("never mind")

    async with serving(lenient) as app:
        client = app.connect()
        await client.send(UPLOAD)
        response = await client.response()
        assert (response.body, response.closes) == (b"never mind", True)
        assert "1 bytes" in str(seen[0])


async def dribble(client: Peer, data: bytes, interval: float) -> None:
    for at in range(len(data)):
        await trio.sleep(interval)
        await client.send(data[at : at + 1])


@pytest.mark.parametrize(("rate", "is_cut"), [(256, True), (1, False), (0, False)])
async def test_cn_15_an_upload_has_to_keep_a_rate(
    rate: int, is_cut: bool, autojump_clock: object
) -> None:
    async with serving(read, min_rate=rate) as app, trio.open_nursery() as nursery:
        client = app.connect()
        await client.send(UPLOAD[:-1])
        start = trio.current_time()
        nursery.start_soon(dribble, client, b"x" * 100, 0.5)
        response = await client.response()
        took = trio.current_time() - start
        nursery.cancel_scope.cancel()
    assert response.status == (408 if is_cut else 200)
    # Two bytes a second: 60 in the body timeout, which are worth 60/256 of a second.
    assert took == (30 + 60 / 256 if is_cut else 50)


async def drink(client: Peer, interval: float) -> None:
    while await client.receive():
        await trio.sleep(interval)


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 64


@pytest.mark.parametrize(("rate", "is_cut"), [(256, True), (1, False), (0, False)])
async def test_cn_15_a_download_has_to_keep_a_rate(
    rate: int, is_cut: bool, autojump_clock: object
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(pieces(60))

    async with (
        serving(handler, pair=lockstep_stream_pair, min_rate=rate) as app,
        trio.open_nursery() as nursery,
    ):
        client = app.connect()
        await client.send(request("/", "Connection: close"))
        await settled()
        assert app.guards == 1
        nursery.start_soon(drink, client, 1)
        start = trio.current_time()
        while app.guards:
            await trio.sleep(0.5)
        took = trio.current_time() - start
    # 64 bytes and their framing in a second, which are worth a bit more than a quarter of one.
    assert (40 < took < 50) if is_cut else (took > 60)


async def test_cn_15_a_reader_that_stops_is_cut(autojump_clock: object) -> None:
    async with serving(b"x" * 200_000, pair=lockstep_stream_pair, linger_timeout=0) as app:
        client = app.connect()
        await client.send(request())
        start = trio.current_time()
        await client.stream.receive_some(10)
        with trio.move_on_after(29.5):
            await trio.sleep_forever()
        assert app.guards == 1
        await trio.sleep(1)
        assert app.guards == 0
        assert trio.current_time() - start == 30.5


@pytest.mark.parametrize("linger", [2, 5])
async def test_cn_15_the_close_waits_for_the_peer_so_long(
    linger: float, autojump_clock: object
) -> None:
    async with serving(read, linger_timeout=linger) as app:
        client = app.connect()
        await client.send(request("/", "Connection: close"))
        assert (await client.response()).closes
        assert await client.ends()
        start = trio.current_time()
        app.handle.shut_down()
        await app.handle
        assert trio.current_time() - start == linger
