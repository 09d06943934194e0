"""WS-4, WS-9 to WS-13: messages, limits, and peers that do not read or do not speak."""

from __future__ import annotations

import logging
import tracemalloc
import zlib
from math import inf
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trillium_trio as tt
from tests.spec._stalling import Stalling
from tests.spec._websockets import (
    BINARY,
    CLOSE,
    HANDSHAKE,
    PING,
    PONG,
    TEXT,
    RawSocket,
    close,
    echo,
    frame,
    head,
    open_raw,
    serving,
)
from trillium_trio import WebSocketClosed
from trillium_trio.handlers import WebSocket
from trillium_trio.testing import StallingStream, TestServer

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trillium_trio.handlers import WebSocketConn
    from trillium_trio.testing import MemoryStream

CONT = 0


# -- WS-4 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message", ["", "hello", "h\xe9\U0001f600", b"", b"\x00\xff", "x" * 70_000]
)
async def test_ws_4_text_is_str_and_binary_bytes(message: str | bytes) -> None:
    seen: list[str | bytes] = []

    async def fn(ws: WebSocketConn) -> None:
        seen.append(await ws.receive())
        await ws.send(seen[0])

    async with serving(fn) as app, app.websocket() as ws:
        await ws.send(message)
        assert await ws.receive() == message
    assert seen == [message]
    assert type(seen[0]) is type(message)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
async def test_ws_4_fragments_are_joined_however_they_come(step: int) -> None:
    text = "h\xe9llo \U0001f600".encode()
    data = b"".join(
        [
            frame(TEXT, text[:2], fin=False),  # inside a character
            frame(PING, b"between"),
            frame(CONT, b"", fin=False),
            frame(CONT, text[2:8], fin=False),
            frame(CONT, text[8:]),
            frame(BINARY, b"a", fin=False),
            frame(CONT, b"b"),
            frame(BINARY, b"c" * 300),
        ]
    )
    async with serving(echo) as app:
        client = await open_raw(app)
        for at in range(0, len(data), step):
            await client.send(data[at : at + step])
        assert await client.receive() == (PONG, b"between")
        assert await client.receive() == (TEXT, text)
        assert await client.receive() == (BINARY, b"ab")
        assert await client.receive() == (BINARY, b"c" * 300)
        client.peer.close()


@pytest.mark.parametrize(
    "message", [bytearray(b"abc"), memoryview(b"abc"), memoryview(b"aabbcc")[::2]]
)
async def test_ws_4_any_bytes_can_be_sent(message: bytearray | memoryview) -> None:
    async def fn(ws: WebSocketConn) -> None:
        await ws.send(message)
        for wrong in (None, 1, ["abc"]):
            with pytest.raises(TypeError, match="str or bytes"):
                await ws.send(wrong)  # type: ignore[arg-type]  # on purpose
        await ws.send("still there")

    async with serving(fn) as app, app.websocket() as ws:
        assert [message async for message in ws] == [bytes(message), "still there"]


async def test_ws_4_several_tasks_send_whole_messages_in_order() -> None:
    async def fn(ws: WebSocketConn) -> None:
        async def send(letter: str) -> None:
            for number in range(20):
                await ws.send(f"{letter}{number} " + letter * 50_000)

        async with trio.open_nursery() as nursery:
            for letter in "abc":
                nursery.start_soon(send, letter)

    async with serving(fn) as app, app.websocket() as ws:
        heads: dict[str, list[str]] = {}
        async for message in ws:
            assert isinstance(message, str)
            first, _, rest = message.partition(" ")
            assert rest == first[0] * 50_000
            heads.setdefault(first[0], []).append(first)
    assert heads == {each: [f"{each}{number}" for number in range(20)] for each in "abc"}


async def test_ws_4_a_cancelled_send_is_whole_or_not_at_all(autojump_clock: MockClock) -> None:
    async def fn(ws: WebSocketConn) -> None:
        for letter in "abc":
            with trio.move_on_after(1):
                await ws.send(letter * 200_000)
        stalling.stream.resume()
        await ws.send("end")

    stalling = Stalling(at=2)
    async with serving(fn) as app:
        client = await open_raw(app, wrap_server=stalling)
        # "a" was under way when its send was over, "b" and "c" had not begun.
        assert await client.receive() == (TEXT, b"a" * 200_000)
        assert await client.receive() == (TEXT, b"end")
        client.peer.close()


# -- WS-9 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "code"), [(999, None), (1000, None), (1001, 1009)])
@pytest.mark.parametrize("fragments", [1, 2, 10])
async def test_ws_9_the_length_of_a_message(size: int, code: int | None, fragments: int) -> None:
    payload = b"x" * size
    step = -(-size // fragments)
    pieces = [payload[at : at + step] for at in range(0, size, step)]
    async with serving(echo, max_message_bytes=1000) as app:
        client = await open_raw(app)
        for number, piece in enumerate(pieces):
            is_last = number == len(pieces) - 1
            await client.send(frame(CONT if number else BINARY, piece, fin=is_last))
        if code is None:
            assert await client.receive() == (BINARY, payload)
        else:
            assert (await client.receive_close())[0] == code
            await client.peer.expect_close()
        client.peer.close()


@pytest.mark.parametrize(("size", "code"), [(199, None), (200, None), (201, 1009)])
async def test_ws_9_the_length_of_a_frame(size: int, code: int | None) -> None:
    async with serving(echo, max_message_bytes=1000, max_frame_bytes=200) as app:
        client = await open_raw(app)
        await client.send(frame(BINARY, b"x" * 200, fin=False), frame(CONT, b"y" * size))
        if code is None:
            assert await client.receive() == (BINARY, b"x" * 200 + b"y" * size)
        else:
            assert (await client.receive_close())[0] == code
        client.peer.close()


@pytest.mark.parametrize(("count", "code"), [(9, None), (10, None), (11, 1008)])
async def test_ws_9_the_number_of_fragments(count: int, code: int | None) -> None:
    async with serving(echo, max_fragments=10) as app:
        client = await open_raw(app)
        # Empty ones: they would pass any limit of bytes.
        await client.send(frame(TEXT, fin=False), *[frame(CONT, fin=False)] * (count - 2))
        await client.send(frame(CONT))
        if code is None:
            assert await client.receive() == (TEXT, b"")
        else:
            assert await client.receive_close() == (1008, "more than 10 fragments")
            await client.peer.expect_close()
        client.peer.close()


async def test_ws_9_a_declared_size_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(echo) as app:
        client = await open_raw(app)
        await wait_all_tasks_blocked()
        caplog.clear()
        await client.send(head(BINARY, 2**62) + b"mask")
        assert (await client.receive_close())[0] == 1009
        await client.peer.expect_close()
        client.peer.close()
        await wait_all_tasks_blocked()
        [record] = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("unix: GET /chat: ")


DEFLATE = "permessage-deflate; client_max_window_bits"


async def open_deflated(app: TestServer) -> RawSocket:
    peer = app.connect()
    offer = f"\r\nSec-WebSocket-Extensions: {DEFLATE}\r\n\r\n".encode()
    await peer.send(HANDSHAKE.replace(b"\r\n\r\n", offer))
    (await peer.receive_response()).assert_header("sec-websocket-extensions")
    return RawSocket(peer)


def deflated(data: bytes) -> bytes:
    """Return the payload of a compressed frame (RFC 7692, 7.2.1)."""
    deflate = zlib.compressobj(wbits=-12)
    return (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("size", "code"), [(99_999, None), (100_000, None), (100_001, 1009), (50_000_000, 1009)]
)
async def test_ws_9_with_compression_the_inflated_size_counts(size: int, code: int | None) -> None:
    async with serving(echo, max_message_bytes=100_000, compression=True) as app:
        client = await open_deflated(app)
        bomb = frame(BINARY, deflated(bytes(size)), rsv1=True)
        tracemalloc.start()
        await client.send(bomb)
        opcode, payload = await client.receive()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if code is None:
            inflate = zlib.decompressobj(wbits=-12)
            assert inflate.decompress(payload + b"\0\0\xff\xff") == bytes(size)
        else:
            assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, code)
        # Compressed, 50 MB are 50 kB.
        assert peak < 2_000_000
        client.peer.close()


async def test_ws_9_a_fragmented_bomb_is_met_on_the_way() -> None:
    async with serving(echo, max_message_bytes=100_000, compression=True) as app:
        client = await open_deflated(app)
        payload = deflated(bytes(10_000_000))
        await client.send(frame(BINARY, payload[:1000], fin=False, rsv1=True))
        assert (await client.receive_close())[0] == 1009
        client.peer.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"max_message_bytes": 124},
        {"max_message_bytes": 1e6},
        {"max_frame_bytes": 124},
        {"max_fragments": 0},
        {"ping_interval": -1},
        {"ping_timeout": "1"},
        {"write_timeout": float("nan")},
        {"close_timeout": None},
        {"stop_grace": True},
    ],
)
def test_ws_9_settings_are_held_to_their_range(settings: dict[str, object]) -> None:
    [name] = settings
    with pytest.raises(tt.ConfigError, match=name):
        WebSocket(echo, **settings)  # type: ignore[arg-type]  # on purpose


# -- WS-10 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (b"\x81\x01x", 1002),  # no mask
        (frame(3), 1002),  # an opcode that is none
        (frame(TEXT, b"x", rsv1=True), 1002),
        (frame(CONT, b"x"), 1002),
        (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
        (frame(PING, fin=False), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(CLOSE, b"x"), 1002),
        (close(1005), 1002),
        (close(2999), 1002),
        (frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),  # a surrogate
        (frame(TEXT, b"\xc3"), 1007),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"x", fin=False), 1007),
    ],
)
async def test_ws_10_broken_rules_have_their_code_and_one_line(
    broken: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str | bytes] = []

    async def fn(ws: WebSocketConn) -> None:
        async for message in ws:
            seen.append(message)
        with pytest.raises(WebSocketClosed):
            await ws.send("more")

    caplog.set_level(logging.INFO)
    async with serving(fn) as app, app.websocket() as other:
        client = await open_raw(app)
        await wait_all_tasks_blocked()
        caplog.clear()
        await client.send(frame(TEXT, b"before"), broken, frame(TEXT, b"behind"))
        assert (await client.receive_close())[0] == code
        await client.peer.expect_close()
        client.peer.close()
        await wait_all_tasks_blocked()
        records = list(caplog.records)
        await other.send("unharmed")
    assert seen == ["before", "unharmed"]
    assert [each.levelname for each in records] == ["INFO"]


async def test_ws_10_a_message_in_front_of_the_fault_is_answered() -> None:
    async with serving(echo) as app:
        client = await open_raw(app)
        await client.send(frame(TEXT, b"before"), frame(3))
        assert await client.receive() == (TEXT, b"before")
        assert (await client.receive_close())[0] == 1002
        client.peer.close()


async def test_ws_10_a_close_may_interrupt_a_message() -> None:
    async with serving(echo) as app:
        client = await open_raw(app)
        await client.send(frame(TEXT, b"half", fin=False), close(1000), frame(CONT, b"more"))
        assert await client.receive_close() == (1000, "")
        client.peer.close()


# -- WS-11 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 100, 60_000, 1_000_000])
async def test_ws_11_what_is_not_received_stays_with_the_peer(size: int) -> None:
    """The handler sends now and then, so it is read ahead, up to a limit."""
    go_on = trio.Event()

    async def fn(ws: WebSocketConn) -> None:
        for _ in range(100):
            await ws.send("tick")
        await go_on.wait()
        async for _ in ws:
            seen.append(1)

    seen: list[int] = []
    message = frame(BINARY, bytes(size))
    async with serving(fn) as app:
        taken = TakenStream()
        client = await open_raw(app, wrap_server=taken.wrap)
        before = taken.size
        count = max(5, 300_000 // len(message))
        await client.send(*[message] * count)
        await wait_all_tasks_blocked()
        # 64 KiB of messages, the one that passes it, and one receive behind that.
        assert taken.size - before <= 65_536 + len(message) + 65_536
        go_on.set()
        await client.send(close(1000))
        while (await client.receive())[0] != CLOSE:
            pass
        client.peer.close()
    assert len(seen) == count


class TakenStream:
    """Counts the bytes that the server receives."""

    def __init__(self) -> None:
        self.size = 0

    def wrap(self, stream: MemoryStream) -> StallingStream:
        outer = self

        class Counting(StallingStream):  # type: ignore[misc]  # final for all but this test
            async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
                data = await super().receive_some(max_bytes)
                outer.size += len(data)
                return data

        return Counting(stream, at=1 << 30)


async def test_ws_11_a_handler_that_neither_receives_nor_sends_reads_nothing(
    autojump_clock: MockClock,
) -> None:
    async def fn(ws: WebSocketConn) -> None:
        await done.wait()

    done = trio.Event()
    taken = TakenStream()
    async with serving(fn, ping_interval=inf) as app:
        client = await open_raw(app, wrap_server=taken.wrap)
        before = taken.size
        await client.send(*[frame(BINARY, bytes(1000))] * 1000)
        await trio.sleep(100)
        assert taken.size == before
        done.set()
        client.peer.close()


async def test_ws_11_pings_are_answered_while_the_handler_only_sends() -> None:
    async def fn(ws: WebSocketConn) -> None:
        await ws.send("one")
        await ws.send("two")
        await go_on.wait()

    go_on = trio.Event()
    async with serving(fn) as app:
        client = await open_raw(app)
        assert await client.receive() == (TEXT, b"one")
        assert await client.receive() == (TEXT, b"two")
        await client.send(frame(PING, b"?"), frame(TEXT, b"unread"), frame(PING, b"!"))
        assert await client.receive() == (PONG, b"?")
        assert await client.receive() == (PONG, b"!")
        go_on.set()
        client.peer.close()


@pytest.mark.parametrize("how", ["close", "eof", "reset"])
async def test_ws_11_the_end_is_noticed_while_the_handler_only_sends(
    how: str, autojump_clock: MockClock
) -> None:
    async def fn(ws: WebSocketConn) -> None:
        try:
            while True:
                await ws.send("tick")
                await trio.sleep(1)
        except WebSocketClosed as error:
            ends.append((trio.current_time(), error.code))
            raise

    ends: list[tuple[float, int]] = []
    async with serving(fn) as app:
        client = await open_raw(app)
        start = trio.current_time()
        await trio.sleep(10.5)
        match how:
            case "close":
                await client.send(close(4001))
            case "eof":
                await client.peer.send_eof()
            case "reset":
                client.peer.reset()
        await trio.sleep(2)
        client.peer.close()
    assert ends == [(start + 11, 4001 if how == "close" else 1006)]


async def test_ws_11_a_handler_that_only_sent_receives_again(autojump_clock: MockClock) -> None:
    """What was read ahead comes first, in order, with what comes later."""

    async def fn(ws: WebSocketConn) -> None:
        for _ in range(3):
            for _ in range(5):
                await ws.send("tick")
            await trio.sleep(1)
            for _ in range(4):
                seen.append(await ws.receive())

    seen: list[str | bytes] = []
    async with serving(fn) as app, app.websocket() as ws:
        for number in range(12):
            await trio.sleep(0.4)
            await ws.send(str(number))
        assert len([message async for message in ws]) == 15
        assert ws.close_code == 1000
    assert seen == [str(number) for number in range(12)]


async def test_ws_11_others_have_their_turn_in_a_flood_of_pings() -> None:
    turns: list[int] = []

    async def fn(ws: WebSocketConn) -> None:
        await ws.receive()
        turns.append(-1)

    async def other() -> None:
        while -1 not in turns:
            turns.append(1)
            await trio.lowlevel.checkpoint()

    flood = b"".join([frame(PING)] * 10_000) + frame(TEXT, b"end")
    async with serving(fn) as app:
        client = await open_raw(app)
        await client.send(flood)
        await other()
        client.peer.close()
    # In each receive of 64 KiB there are some 10,000 of them: 64 at a time.
    assert len(turns) > 100


# -- WS-12 -------------------------------------------------------------------------------------


async def test_ws_12_a_peer_that_does_not_read_is_cut(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def fn(ws: WebSocketConn) -> None:
        async def read() -> None:
            async for _ in ws:
                pass
            ends.append("receiving")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            try:
                while True:
                    await ws.send("x" * 1000)
                    sent.append(1)
            except WebSocketClosed as error:
                ends.append(f"sending {error.code}")
                times.append(trio.current_time())

    sent: list[int] = []
    ends: list[str] = []
    times: list[float] = []
    caplog.set_level(logging.INFO)
    config = tt.Config(http=tt.HttpConfig(write_timeout=7.0))
    async with serving(fn, config) as app:
        client = await open_raw(app, wrap_server=Stalling(at=2))
        start = trio.current_time()
        caplog.clear()
        await trio.sleep(10)
        assert [each.getMessage() for each in caplog.records] == [
            "unix: GET /chat: took nothing for 7 s, 1004 bytes are left"
        ]
        client.peer.close()
    assert sorted(ends[:2]) == ["receiving", "sending 1006"]
    assert times == [start + 7]
    # One is under way, the next waits for it.
    assert len(sent) == 1


async def test_ws_8_others_may_send_to_a_socket_that_was_cut(autojump_clock: MockClock) -> None:
    async def fn(ws: WebSocketConn) -> None:
        sockets.append(ws)
        if len(sockets) == 1:
            await ws.send("x" * 1000)
            await trio.sleep_forever()
        with trio.CancelScope(shield=True):
            await trio.sleep(6)
            with pytest.raises(WebSocketClosed):
                await sockets[0].send("still there?")
            ends.append("raised")

    sockets: list[WebSocketConn] = []
    ends: list[str] = []
    async with serving(fn, tt.Config(drain_timeout=5.0)) as app:
        first = await open_raw(app, wrap_server=Stalling(at=2))
        second = await open_raw(app)
        await wait_all_tasks_blocked()
        app.shut_down()
        await trio.sleep(10)
        first.peer.close()
        second.peer.close()
    assert ends == ["raised"]


async def test_ws_12_the_handler_has_its_own_write_timeout(autojump_clock: MockClock) -> None:
    async def fn(ws: WebSocketConn) -> None:
        with pytest.raises(WebSocketClosed):
            while True:
                await ws.send("x")
        times.append(trio.current_time())

    times: list[float] = []
    async with serving(fn, write_timeout=3.0) as app:
        client = await open_raw(app, wrap_server=Stalling(at=2))
        start = trio.current_time()
        await trio.sleep(5)
        client.peer.close()
    assert times == [start + 3]


async def test_ws_12_pings_without_a_reader_are_bounded(autojump_clock: MockClock) -> None:
    """The answers wait for the peer to read, and so do the next pings."""
    taken = TakenStream()
    stalling = Stalling(at=2)
    flood = b"".join([frame(PING, b"x" * 100)] * 1000)
    async with serving(echo, ping_interval=inf) as app:
        client = await open_raw(app, wrap_server=lambda each: taken.wrap(stalling(each)))  # type: ignore[arg-type]  # a wrapper in a wrapper
        before = taken.size
        for _ in range(30):
            await client.send(flood)
        await wait_all_tasks_blocked()
        assert taken.size - before < 1_000_000
        stalling.stream.resume()
        for _ in range(30_000):
            assert await client.receive() == (PONG, b"x" * 100)
        client.peer.close()


async def test_ws_4_a_cancelled_receive_loses_no_message(autojump_clock: MockClock) -> None:
    """Not even while answers to pings wait for the peer."""

    async def fn(ws: WebSocketConn) -> None:
        while len(seen) < 200:
            with trio.move_on_after(0.1):
                seen.append(await ws.receive())
        stalling.stream.resume()

    seen: list[str | bytes] = []
    stalling = Stalling(at=2)
    async with serving(fn, write_timeout=inf) as app:
        client = await open_raw(app, wrap_server=stalling)
        await client.send(*(frame(PING) + frame(TEXT, b"%d" % each) for each in range(200)))
        with trio.fail_after(100):
            while len(seen) < 200:
                await trio.sleep(1)
        client.peer.close()
    assert seen == [str(each) for each in range(200)]


async def test_ws_12_the_stop_reaches_a_reader_whose_answers_wait(
    autojump_clock: MockClock,
) -> None:
    async def fn(ws: WebSocketConn) -> None:
        async for _ in ws:
            pass
        ends.append(trio.current_time())

    ends: list[float] = []
    async with serving(fn, tt.Config(drain_timeout=20.0), write_timeout=10.0) as app:
        client = await open_raw(app, wrap_server=Stalling(at=2))
        for _ in range(100):
            await client.send(frame(PING))
            await wait_all_tasks_blocked()
        start = trio.current_time()
        app.shut_down()
        await trio.sleep(1)
        client.peer.close()
    assert ends == [start]


# -- WS-13 -------------------------------------------------------------------------------------


async def test_ws_13_a_silent_peer_is_pinged_and_given_up(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def fn(ws: WebSocketConn) -> None:
        async for _ in ws:
            pass
        ends.append((trio.current_time(), ws.close_code, ws.sent_close_code))

    ends: list[tuple[float, int | None, int | None]] = []
    caplog.set_level(logging.INFO)
    async with serving(fn, ping_interval=20.0, ping_timeout=10.0) as app:
        client = await open_raw(app)
        start = trio.current_time()
        await wait_all_tasks_blocked()
        caplog.clear()
        assert await client.receive() == (PING, b"")
        assert trio.current_time() == start + 20
        assert await client.receive_close() == (1011, "no answer to a ping in 10 s")
        assert trio.current_time() == start + 30
        await client.peer.expect_close()
        client.peer.close()
        await wait_all_tasks_blocked()
        assert [each.getMessage() for each in caplog.records] == [
            "unix: GET /chat: no answer to a ping in 10 s"
        ]
    assert ends == [(start + 30, 1006, 1011)]


@pytest.mark.parametrize("sign", [frame(PONG), frame(TEXT, b"x"), frame(PING), b"\x81"])
async def test_ws_13_any_byte_is_a_sign_of_life(sign: bytes, autojump_clock: MockClock) -> None:
    async with serving(echo, ping_interval=20.0, ping_timeout=10.0) as app:
        client = await open_raw(app)
        start = trio.current_time()
        for _ in range(1 if sign == b"\x81" else 5):
            while (await client.receive())[0] != PING:
                pass
            await trio.sleep(9)
            await client.send(sign)
        await trio.sleep(15)
        assert trio.current_time() > start + 40
        assert app.swansong.guard_count == 1
        client.peer.close()


async def test_ws_13_who_speaks_is_not_pinged(autojump_clock: MockClock) -> None:
    async with serving(echo, ping_interval=20.0) as app:
        client = await open_raw(app)
        for _ in range(10):
            await trio.sleep(15)
            await client.send(frame(TEXT, b"x"))
            assert await client.receive() == (TEXT, b"x")
        client.peer.close()


async def test_ws_13_a_peer_of_a_busy_handler_is_kept(autojump_clock: MockClock) -> None:
    """It neither receives nor sends; what the peer answers is read all the same."""

    async def fn(ws: WebSocketConn) -> None:
        await trio.sleep(1000)
        seen.extend([message async for message in ws])

    seen: list[str | bytes] = []
    async with serving(fn, ping_interval=20.0, ping_timeout=10.0) as app:
        client = await open_raw(app)
        await client.send(frame(TEXT, b"early"))
        for _ in range(49):
            assert await client.receive() == (PING, b"")
            await client.send(frame(PONG))
        await trio.sleep(30)
        await client.send(close(1000))
        while (await client.receive())[0] != CLOSE:
            pass
        client.peer.close()
    assert seen == ["early"]


async def test_ws_13_a_peer_whose_messages_are_left_unread_is_kept(
    autojump_clock: MockClock,
) -> None:
    async def fn(ws: WebSocketConn) -> None:
        await trio.sleep(1000)
        async for message in ws:
            seen.append(len(message))

    seen: list[int] = []
    async with serving(fn, ping_interval=20.0, ping_timeout=10.0) as app:
        client = await open_raw(app)
        # More than is read ahead: its pong would be behind that.
        await client.send(*[frame(BINARY, bytes(50_000))] * 10, close(1000))
        while (await client.receive())[0] != CLOSE:
            pass
        client.peer.close()
    assert seen == [50_000] * 10


async def test_ws_13_pings_can_be_turned_off_and_sent_by_hand(autojump_clock: MockClock) -> None:
    async def fn(ws: WebSocketConn) -> None:
        await ws.ping(b"a")
        await ws.pong(b"b")
        for send in (ws.ping, ws.pong):
            with pytest.raises(ValueError, match="125"):
                await send(b"x" * 126)
        await ws.receive()

    async with serving(fn, ping_interval=inf) as app:
        client = await open_raw(app)
        assert await client.receive() == (PING, b"a")
        assert await client.receive() == (PONG, b"b")
        await trio.sleep(1000)
        await client.send(close(1000))
        assert (await client.receive_close())[0] == 1000
        client.peer.close()
