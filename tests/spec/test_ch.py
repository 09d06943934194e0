"""The clauses of docs/spec/channels.md, but for those that need a Redis: CH-9."""

from __future__ import annotations

import json
import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trillium_trio as tt
from tests.spec._stalling import Stalling
from trillium_trio import ConfigError, WebSocketClosed
from trillium_trio.handlers import Broker, Channel, ChannelError, Channels, WebSocket
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trio.testing import MockClock

    from trillium_trio.testing import TestWebSocket

log: list[str] = []


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    log.clear()


class Room(Channel):
    async def join(self, payload: Any) -> object:
        log.append(f"join {self.topic}")
        match payload:
            case {"secret": _}:
                raise ChannelError("forbidden")
            case {"bug": _}:
                raise ValueError("a bug in join")
            case {"welcome": text}:
                await self.broadcast_from("joined", {"who": text})
                return {"hello": text}
        return None

    async def receive(self, event: str, payload: Any) -> object:
        match event:
            case "say":
                await self.broadcast("said", payload)
            case "whisper":
                await self.broadcast_from("said", payload)
            case "echo":
                return payload
            case "push":
                await self.push("pushed", payload)
            case "bug":
                raise ValueError("a bug in receive")
            case "set":
                await self.broadcast("said", {1, 2})
            case "slow":
                await trio.sleep(2)
            case _:
                return await super().receive(event, payload)
        return None

    async def leave(self) -> None:
        log.append(f"leave {self.topic}")
        if self.topic.endswith("bad"):
            raise ValueError("a bug in leave")


class Special(Room):
    async def join(self, payload: Any) -> object:
        return {"special": self.topic}


ROUTES = {"lobby": Room, "room:*": Room, "room:special:*": Special}


class Phone:
    """A client of version 2."""

    def __init__(self, ws: TestWebSocket) -> None:
        self.ws = ws
        self.count = 0
        self.joins: dict[str, str] = {}

    async def send(
        self, topic: str, event: str, payload: object = None, *, join_ref: str | None = None
    ) -> str:
        self.count += 1
        ref = str(self.count)
        join_ref = join_ref or self.joins.get(topic)
        await self.ws.send(json.dumps([join_ref, ref, topic, event, payload]))
        return ref

    async def receive(self) -> list[Any]:
        message: list[Any] = json.loads(await self.ws.receive())
        return message

    async def ask(self, topic: str, event: str, payload: object = None) -> tuple[str, Any]:
        """Send, and return status and response of the reply, which must come next."""
        ref = await self.send(topic, event, payload)
        _, to, of, kind, reply = await self.receive()
        assert (to, of, kind) == (ref, topic, "phx_reply")
        return reply["status"], reply["response"]

    async def join(self, topic: str = "room:1", payload: object = None) -> Any:
        self.count += 1
        ref = self.joins[topic] = str(self.count)
        await self.ws.send(json.dumps([ref, ref, topic, "phx_join", payload]))
        message = await self.receive()
        assert message[:4] == [ref, ref, topic, "phx_reply"]
        return message[4]


@asynccontextmanager
async def phone(app: TestServer, target: str = "/?vsn=2.0.0") -> AsyncIterator[Phone]:
    async with app.websocket(target) as ws:
        yield Phone(ws)


OK: dict[str, Any] = {"status": "ok", "response": {}}


def error(reason: str) -> dict[str, Any]:
    return {"status": "error", "response": {"reason": reason}}


# -- CH-1 --------------------------------------------------------------------------------------


async def test_ch_1_version_1_is_objects_and_the_default() -> None:
    for target in ("/", "/?vsn=1.0.0"):
        async with TestServer(Channels(ROUTES)) as app, app.websocket(target) as ws:
            await ws.send('{"topic":"lobby","event":"phx_join","payload":{},"ref":"7"}')
            assert json.loads(await ws.receive()) == {
                "topic": "lobby",
                "event": "phx_reply",
                "payload": {"status": "ok", "response": {}},
                "ref": "7",
            }
            # Other clients than Phoenix's count in numbers.
            await ws.send('{"topic":"lobby","event":"echo","payload":[1],"ref":8}')
            assert json.loads(await ws.receive())["payload"]["response"] == [1]


async def test_ch_1_version_2_is_arrays() -> None:
    async with TestServer(Channels(ROUTES)) as app, phone(app) as client:
        assert await client.join() == OK
        assert await client.ask("room:1", "echo", {"a": "ü"}) == ("ok", {"a": "ü"})


async def test_ch_1_version_2_has_binary_messages() -> None:
    async with TestServer(Channels(ROUTES)) as app, phone(app) as client:
        await client.join()
        names: tuple[bytes, ...] = (b"1", b"2", b"room:1", b"echo")
        await client.ws.send(bytes([0, *map(len, names)]) + b"".join(names) + b"\x00\xff")
        names = (b"1", b"2", b"room:1", b"ok")
        assert await client.ws.receive() == (
            bytes([1, *map(len, names)]) + b"".join(names) + b"\x00\xff"
        )
        names = (b"1", b"", b"room:1", b"push")
        await client.ws.send(bytes([0, *map(len, names)]) + b"".join(names) + b"data")
        names = (b"1", b"room:1", b"pushed")
        assert await client.ws.receive() == bytes([0, *map(len, names)]) + b"".join(names) + b"data"
        names = (b"1", b"", b"room:1", b"say")
        await client.ws.send(bytes([0, *map(len, names)]) + b"".join(names))
        names = (b"room:1", b"said")
        assert await client.ws.receive() == bytes([2, *map(len, names)]) + b"".join(names)


async def test_ch_1_another_version_is_refused() -> None:
    async with TestServer(Channels(ROUTES)) as app:
        for target in ("/?vsn=3.0.0", "/?vsn=", "/?vsn=2.0.0&vsn=1.0.0"):
            response = await app.get(target)
            response.assert_status(400)
            assert "1.0.0, 2.0.0" in response.text


@pytest.mark.parametrize(
    "data",
    [
        "no json",
        "[" * 100_000,
        "{}",
        "[1,2,3]",
        '["1","1",5,"x",{}]',
        '["1","1","lobby",null,{}]',
        '["1","1","","x",{}]',
        '["1","1","lobby","",{}]',
        json.dumps(["1", "1", "ä" * 128, "x", {}]),
        json.dumps(["1", "1", "lobby", "x" * 256, {}]),
        '["1",{},"lobby","x",{}]',
        '["1","1","lobby","x",NaN]',
        '["1","1","lobby","x",-Infinity]',
        '["1","1","lobby","x",1e999]',
        '["1","1","lobby","x",' + "[" * 101 + "]" * 101 + "]",
        json.dumps(["1", "1" * 256, "lobby", "x", {}]),
        b"",
        b"\x00\x01\x01",
        b"\x01\x01\x01\x01\x01aaaa",
        b"\x00\x01\x01\x09\x01aaaa",
        b"\x00\x01\x01\x01\x01aa\xffa",
    ],
)
async def test_ch_1_what_is_no_message_ends_the_connection(data: str | bytes) -> None:
    routes = Channels(ROUTES, websocket=partial(WebSocket, max_message_bytes=1 << 20))
    async with TestServer(routes) as app, phone(app) as client:
        await client.ws.send(data)
        with pytest.raises(WebSocketClosed) as caught:
            await client.ws.receive()
        assert caught.value.code == 1008


async def test_ch_1_what_is_no_message_of_version_1() -> None:
    for data in ("[]", '{"topic":"lobby"}', b"\x00\x01\x01\x01\x01aaaa"):
        async with TestServer(Channels(ROUTES)) as app, app.websocket("/") as ws:
            await ws.send(data)
            with pytest.raises(WebSocketClosed) as caught:
                await ws.receive()
            assert caught.value.code == 1008


async def test_ch_1_names_of_255_bytes_are_fine() -> None:
    topic = "room:" + "x" * 250
    async with TestServer(Channels(ROUTES)) as app, phone(app) as client:
        assert await client.join(topic) == OK


async def test_ch_1_half_a_surrogate_pair_comes_back() -> None:
    async with TestServer(Channels(ROUTES)) as app, phone(app) as client:
        await client.join()
        assert await client.ask("room:1", "echo", "ü\ud800") == ("ok", "ü\ud800")


async def test_ch_1_a_hundred_levels_come_back() -> None:
    deep: list[Any] = []
    for _ in range(99):
        deep = [deep]
    async with TestServer(Channels(ROUTES)) as app, phone(app) as client:
        await client.join()
        assert await client.ask("room:1", "echo", deep) == ("ok", deep)
        # Brackets in a string are no levels.
        assert await client.ask("room:1", "echo", "[" * 200) == ("ok", "[" * 200)
        assert await client.ask("room:1", "echo", 1.5) == ("ok", 1.5)


# -- CH-2 --------------------------------------------------------------------------------------


async def test_ch_2_the_class_of_the_longest_route() -> None:
    async with TestServer(Channels(ROUTES)) as app, phone(app) as client:
        reply = await client.join("room:special:1")
        assert reply == {"status": "ok", "response": {"special": "room:special:1"}}
        assert await client.join("room:specia") == OK
        assert await client.join("lobby") == OK
        assert await client.join("lobby2") == error("unmatched topic")
        assert await client.join("room:1", {"welcome": "you"}) == {
            "status": "ok",
            "response": {"hello": "you"},
        }


async def test_ch_2_a_join_may_be_refused() -> None:
    channels = Channels(ROUTES)
    async with TestServer(channels) as app, phone(app) as client:
        assert await client.join("room:1", {"secret": 1}) == error("forbidden")
        assert channels.topics == {}
        assert await client.ask("room:1", "echo") == ("error", {"reason": "unmatched topic"})
        assert await client.join("room:1") == OK
        assert channels.topics == {"room:1": 1}
    assert log == ["join room:1", "join room:1", "leave room:1"]


async def test_ch_2_topics_are_limited() -> None:
    async with TestServer(Channels(ROUTES, max_topics=2)) as app, phone(app) as client:
        assert await client.join("room:1") == OK
        assert await client.join("room:2") == OK
        assert await client.join("room:3") == error("too many topics")
        # This one is joined already.
        assert await client.join("room:2") == OK


async def test_ch_2_leaving() -> None:
    channels = Channels(ROUTES)
    async with TestServer(channels) as app, phone(app) as client:
        await client.join("room:1")
        assert await client.ask("room:1", "phx_leave") == ("ok", {})
        assert await client.receive() == ["1", "1", "room:1", "phx_close", {}]
        assert channels.topics == {}
        assert log == ["join room:1", "leave room:1"]
        # Both sides may have left at once.
        assert await client.ask("room:1", "phx_leave") == ("ok", {})


async def test_ch_2_a_second_join_leaves_the_first() -> None:
    async with TestServer(Channels(ROUTES)) as app, phone(app) as client:
        await client.join("room:1")
        await client.join("room:1")
        assert log == ["join room:1", "leave room:1", "join room:1"]
        await client.send("room:1", "echo", join_ref="1")  # of the first join
        assert await client.ask("phoenix", "heartbeat") == ("ok", {})


async def test_ch_2_a_client_that_is_gone_has_left() -> None:
    channels = Channels(ROUTES)
    async with TestServer(channels) as app:
        async with phone(app) as client:
            await client.join("room:1")
            await client.join("room:2")
        await wait_all_tasks_blocked()
        assert channels.topics == {}
        assert log[2:] == ["leave room:1", "leave room:2"]


@pytest.mark.parametrize("topic", ["", "a*b", "*:x", "phoenix"])
def test_ch_2_a_route_that_makes_no_sense_is_refused(topic: str) -> None:
    with pytest.raises(ConfigError, match="Channels: "):
        Channels({topic: Room})


def test_ch_2_a_route_needs_a_class() -> None:
    with pytest.raises(ConfigError, match="not a subclass of Channel"):
        Channels({"lobby": str})  # type: ignore[dict-item]  # that is the point
    with pytest.raises(ConfigError, match="no topics"):
        Channels({})
    with pytest.raises(ConfigError, match="max_queue_bytes"):
        Channels(ROUTES, max_queue_bytes=0)


async def test_ch_2_none_is_missed_after_the_reply_and_none_comes_before() -> None:
    channels = Channels(ROUTES)
    async with TestServer(channels) as app, phone(app) as client:
        async with trio.open_nursery() as nursery:

            async def broadcast() -> None:
                for number in range(100):
                    await channels.broadcast("room:1", "news", number)
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(broadcast)
            assert await client.join("room:1") == OK  # it is the first message
        first = (await client.receive())[4]
        rest = [(await client.receive())[4] for _ in range(99 - first)]
        assert rest == list(range(first + 1, 100))


async def test_ch_2_the_token_of_the_client() -> None:
    class Named(Channel):
        async def join(self, payload: Any) -> object:
            return self.auth_token

    async def token(*subprotocols: str) -> object:
        async with app.websocket("/?vsn=2.0.0", subprotocols=subprotocols) as ws:
            assert ws.response is not None
            selected = ws.response.headers.get("sec-websocket-protocol")
            assert selected == ("phoenix" if subprotocols else None)
            return (await Phone(ws).join("me"))["response"]

    async with TestServer(Channels({"me": Named})) as app:
        # "tök" as btoa writes it, without padding.
        assert await token("phoenix", "base64url.bearer.phx.dPZr") == "t\xf6k"
        assert await token("phoenix", "base64url.bearer.phx.YQ") == "a"
        assert await token("phoenix", "base64url.bearer.phx.A") == {}
        assert await token("phoenix") == {}
        assert await token() == {}


# -- CH-3 --------------------------------------------------------------------------------------


async def test_ch_3_each_message_gets_its_reply_in_order() -> None:
    async with TestServer(Channels(ROUTES)) as app, phone(app) as client:
        await client.join("room:1")
        refs = [await client.send("room:1", "echo", number) for number in range(20)]
        for number, ref in enumerate(refs):
            reply = {"status": "ok", "response": number}
            assert await client.receive() == ["1", ref, "room:1", "phx_reply", reply]


async def test_ch_3_without_ref_no_reply() -> None:
    async with TestServer(Channels(ROUTES)) as app, phone(app) as client:
        await client.join("room:1")
        await client.ws.send('["1",null,"room:1","echo",1]')
        assert await client.ask("phoenix", "heartbeat") == ("ok", {})


async def test_ch_3_errors_are_replies() -> None:
    async with TestServer(Channels(ROUTES)) as app, phone(app) as client:
        assert await client.ask("room:1", "echo") == ("error", {"reason": "unmatched topic"})
        await client.join("room:1")
        assert await client.ask("room:1", "dance") == ("error", {"reason": "unknown event"})


# -- CH-4 --------------------------------------------------------------------------------------


async def test_ch_4_a_channel_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    channels = Channels(ROUTES)
    async with TestServer(channels) as app, phone(app) as client:
        await client.join("room:1")
        await client.join("room:2")
        await client.send("room:1", "bug")
        assert await client.receive() == ["1", "1", "room:1", "phx_error", {}]
        assert channels.topics == {"room:2": 1}
        assert log[2:] == ["leave room:1"]
        assert await client.join("room:1") == OK
        assert await client.join("room:3", {"bug": 1}) == error("join crashed")
        assert await client.join("room:bad") == OK
        assert await client.ask("room:bad", "phx_leave") == ("ok", {})
    failures = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert [each.getMessage() for each in failures] == [
        "unix: GET /: Room.receive of 'room:1' failed",
        "unix: GET /: Room.join of 'room:3' failed",
        "unix: GET /: Room.leave of 'room:bad' failed",
    ]
    assert all(each.exc_info for each in failures)


async def test_ch_4_a_reply_that_cannot_be_encoded(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Channel):
        async def receive(self, event: str, payload: Any) -> object:
            return {1, 2}

    async with TestServer(Channels({"odd": Odd})) as app, phone(app) as client:
        await client.join("odd")
        await client.send("odd", "go")
        assert await client.receive() == ["1", "1", "odd", "phx_error", {}]
    assert "Odd.receive of 'odd' failed" in caplog.text
    assert "TypeError" in caplog.text


async def test_ch_4_every_reply_that_cannot_be_encoded_is_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Odd(Channel):
        async def join(self, payload: Any) -> object:
            if payload == "refuse":
                raise ChannelError("no", {1, 2})
            return {1, 2}

        async def leave(self) -> None:
            log.append("leave")

    async with TestServer(Channels({"odd": Odd})) as app, phone(app) as client:
        assert await client.join("odd", "refuse") == error("join crashed")
        assert log == []
        assert await client.join("odd") == error("join crashed")
        # Its `join` had returned.
        assert log == ["leave"]
        assert await client.ask("phoenix", "heartbeat") == ("ok", {})
    assert caplog.text.count("Odd.join of 'odd' failed") == 2


# -- CH-5 --------------------------------------------------------------------------------------


async def test_ch_5_all_that_have_joined_get_it_in_order() -> None:
    channels = Channels(ROUTES)
    async with TestServer(channels) as app, phone(app) as a, phone(app) as b, phone(app) as c:
        await a.join("room:1")
        await b.join("room:1")
        await c.join("room:2")
        await a.send("room:1", "say", "one")
        await a.send("room:1", "whisper", "two")
        assert await a.receive() == [None, None, "room:1", "said", "one"]
        assert (await a.receive())[3] == "phx_reply"
        assert (await a.receive())[3] == "phx_reply"
        for text in ("one", "two"):
            assert await b.receive() == [None, None, "room:1", "said", text]
        await channels.broadcast("room:2", "news", {"n": 1})
        assert await c.receive() == [None, None, "room:2", "news", {"n": 1}]


async def test_ch_5_in_join_to_the_others() -> None:
    async with TestServer(Channels(ROUTES)) as app, phone(app) as a, phone(app) as b:
        await a.join("room:1")
        await b.join("room:1", {"welcome": "b"})
        assert await a.receive() == [None, None, "room:1", "joined", {"who": "b"}]


async def test_ch_5_what_cannot_be_encoded_reaches_nobody() -> None:
    channels = Channels(ROUTES)
    async with TestServer(channels) as app, phone(app) as client:
        await client.join("room:1")
        recursive: list[object] = []
        recursive.append(recursive)
        for payload in ({1, 2}, float("nan"), recursive):
            with pytest.raises((TypeError, ValueError)):
                await channels.broadcast("room:1", "news", payload)
        for topic, event in (("", "x"), ("x" * 256, "x"), ("room:1", ""), ("room:1", "x" * 256)):
            with pytest.raises(ValueError, match="255"):
                await channels.broadcast(topic, event)
        assert await client.ask("phoenix", "heartbeat") == ("ok", {})


async def test_ch_5_both_versions_get_it(caplog: pytest.LogCaptureFixture) -> None:
    channels = Channels(ROUTES)
    async with TestServer(channels) as app, app.websocket("/") as old, phone(app) as new:
        await old.send('{"topic":"room:1","event":"phx_join","payload":{},"ref":"1"}')
        await old.receive()
        await new.join("room:1")
        await channels.broadcast("room:1", "news", b"\xff")
        await channels.broadcast("room:1", "news", 5)
        assert json.loads(await old.receive())["payload"] == 5
        assert await new.ws.receive() == b"\x02\x06\x04room:1news\xff"
        assert (await new.receive())[4] == 5
    assert caplog.text.count("which 1 clients of version 1.0.0 cannot be sent") == 1


# -- CH-6 --------------------------------------------------------------------------------------


async def test_ch_6_a_client_that_does_not_read_is_disconnected(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    channels = Channels(ROUTES, max_queue_bytes=100_000)
    stalling = Stalling(at=3)  # after the 101 and the reply to the join
    async with TestServer(channels) as app, phone(app) as quick:
        async with app.websocket("/?vsn=2.0.0", wrap_server=stalling) as ws:
            slow = Phone(ws)
            await slow.join("room:1")
            await quick.join("room:1")
            start = trio.current_time()
            for number in range(30):
                await channels.broadcast("room:1", "news", [number, "x" * 10_000])
                assert (await quick.receive())[4][0] == number
                await wait_all_tasks_blocked()
            assert channels.topics == {"room:1": 1}
            assert log[2:] == ["leave room:1"]
            assert trio.current_time() == start
            stalling.stream.resume()
            received = []
            with pytest.raises(WebSocketClosed) as caught:
                while True:
                    received.append((await slow.receive())[4][0])
            assert caught.value.code == 1013
            # Nothing is missing in the middle: what came is the beginning.
            assert received == list(range(len(received)))
            assert 0 < len(received) < 10
        assert await quick.ask("phoenix", "heartbeat") == ("ok", {})
    assert channels.too_slow == 1
    assert caplog.text.count("unix: GET /: does not read what is broadcast: disconnected") == 1


async def test_ch_6_one_that_never_reads_again_holds_no_drain_up(
    autojump_clock: MockClock,
) -> None:
    channels = Channels(ROUTES, max_queue_bytes=1)
    stalling = Stalling(at=3)  # after the 101 and the reply to the join
    http = tt.HttpConfig(write_timeout=4)
    config = tt.config().with_drain_timeout(60).with_http(http)
    async with (
        TestServer(channels, config) as app,
        app.websocket("/?vsn=2.0.0", wrap_server=stalling) as ws,
    ):
        await Phone(ws).join("room:1")
        for _ in range(4):
            await channels.broadcast("room:1", "news")
            await wait_all_tasks_blocked()
        assert channels.too_slow == 1
        start = trio.current_time()
        assert (await app.shut_down()).is_clean
        # The server's write timeout.
        assert trio.current_time() - start <= 4


async def test_ch_6_a_reply_waits_for_room_and_the_next_message_with_it(
    autojump_clock: MockClock,
) -> None:
    stalling = Stalling(at=3)  # after the 101 and the reply to the join
    count = 0

    class Counting(Channel):
        async def receive(self, event: str, payload: Any) -> object:
            nonlocal count
            count += 1
            return payload

    channels = Channels({"room:1": Counting}, max_queue_bytes=1)
    async with (
        TestServer(channels) as app,
        app.websocket("/?vsn=2.0.0", wrap_server=stalling) as ws,
    ):
        client = Phone(ws)
        await client.join("room:1")
        refs = [await client.send("room:1", "echo", number) for number in range(30)]
        await wait_all_tasks_blocked()
        assert count < 6
        stalling.stream.resume()
        for number, ref in enumerate(refs):
            reply = {"status": "ok", "response": number}
            assert await client.receive() == ["1", ref, "room:1", "phx_reply", reply]
    assert channels.too_slow == 0


# -- CH-7 --------------------------------------------------------------------------------------


async def test_ch_7_the_stop(autojump_clock: MockClock) -> None:
    channels = Channels(ROUTES)
    async with TestServer(channels) as app, phone(app) as client:
        await client.join("room:1")
        await client.join("room:2")
        for number in range(3):
            await channels.broadcast("room:1", "news", number)
        completion = app.shut_down()
        with pytest.raises(WebSocketClosed) as caught:
            messages: list[object] = []
            while True:
                messages.append((await client.receive())[3:])
        assert messages == [["news", 0], ["news", 1], ["news", 2]]
        assert caught.value.code == 1001
        assert (await completion).is_clean
    assert log[2:] == ["leave room:1", "leave room:2"]


async def test_ch_7_a_message_in_progress_is_finished(autojump_clock: MockClock) -> None:
    async with TestServer(Channels(ROUTES)) as app, phone(app) as client:
        await client.join("room:1")
        ref = await client.send("room:1", "slow")
        await wait_all_tasks_blocked()
        completion = app.shut_down()
        assert (await client.receive())[1] == ref
        with pytest.raises(WebSocketClosed):
            await client.receive()
        assert (await completion).is_clean


async def test_ch_7_at_the_deadline_it_is_cut_and_has_left(autojump_clock: MockClock) -> None:
    channels = Channels(ROUTES)
    async with TestServer(channels) as app, phone(app) as client:
        await client.join("room:1")
        await client.send("room:1", "slow")
        await wait_all_tasks_blocked()
        report = await app.shut_down(timeout=1)
        assert not report.is_clean
        assert channels.topics == {}


async def test_ch_7_at_the_deadline_every_channel_gets_its_leave(
    autojump_clock: MockClock,
) -> None:
    class Slow(Channel):
        async def receive(self, event: str, payload: Any) -> object:
            await trio.sleep_forever()

        async def leave(self) -> None:
            log.append(self.topic)
            await trio.lowlevel.checkpoint()
            log.append("not reached")

    async with TestServer(Channels({"*": Slow})) as app, phone(app) as client:
        for topic in ("a", "b", "c"):
            await client.join(topic)
        await client.send("a", "go")
        await wait_all_tasks_blocked()
        assert not (await app.shut_down(timeout=1)).is_clean
    assert log == ["a", "b", "c"]


# -- CH-8 --------------------------------------------------------------------------------------


class Exchange:
    """Brokers that stand beside one another, in one process."""

    def __init__(self) -> None:
        self.deliver: list[Callable[[bytes], None]] = []
        self.is_cancelled = False

    async def run(self, deliver: Callable[[bytes], None]) -> None:
        self.deliver.append(deliver)
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            self.is_cancelled = True
            raise

    async def publish(self, message: bytes) -> None:
        for each in self.deliver:
            each(message)


@pytest.mark.parametrize("payload", [{"a": [1, None, "ü"]}, None, 5])
async def test_ch_8_a_broker_carries_broadcasts(payload: object) -> None:
    exchange: Broker = Exchange()
    one, two = Channels(ROUTES, broker=exchange), Channels(ROUTES, broker=exchange)
    async with (
        TestServer(one) as first,
        TestServer(two) as second,
        phone(first) as a,
        phone(second) as b,
    ):
        await a.join("room:1")
        await b.join("room:1")
        await a.send("room:1", "say", payload)
        expected = [None, None, "room:1", "said", {} if payload is None else payload]
        assert await b.receive() == expected
        assert await a.receive() == expected
        assert (await a.receive())[3] == "phx_reply"  # and it has come once
        await two.broadcast("room:1", "raw", b"\x00\n\xff")
        assert await a.ws.receive() == b"\x02\x06\x03room:1raw\x00\n\xff"


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"junk\n{}",
        b"[1,2]\n3",
        b'["a","b","c",false]\njunk',
        b'["a",1,"c",false]\n1',
        b'["a","b","",true]\n1',
    ],
)
async def test_ch_8_what_is_no_broadcast_is_dropped(
    packed: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = Exchange()
    async with TestServer(Channels(ROUTES, broker=exchange)) as app, phone(app) as client:
        await client.join("room:1")
        await exchange.publish(packed)
        assert await client.ask("phoenix", "heartbeat") == ("ok", {})
    assert "what is not a broadcast" in caplog.text


async def test_ch_8_the_broker_ends_after_the_last_connection(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    async with TestServer(Channels(ROUTES, broker=exchange)) as app, phone(app) as client:
        await client.join("room:1")
        await client.send("room:1", "slow")
        await wait_all_tasks_blocked()
        completion = app.shut_down()
        await wait_all_tasks_blocked()
        assert not exchange.is_cancelled
        await client.receive()
        await completion
        assert exchange.is_cancelled


async def test_ch_8_servers_that_share_a_handler_deliver_once() -> None:
    exchange = Exchange()
    shared, other = Channels(ROUTES, broker=exchange), Channels(ROUTES, broker=exchange)
    async with TestServer(other), TestServer(shared) as second:
        async with TestServer(shared) as first, phone(first) as a:
            await a.join("room:1")
            await wait_all_tasks_blocked()
            assert len(exchange.deliver) == 2
            await other.broadcast("room:1", "news", 1)
            assert (await a.receive())[4] == 1
            assert await a.ask("phoenix", "heartbeat") == ("ok", {})
        async with phone(second) as b:
            await b.join("room:1")
            await wait_all_tasks_blocked()
            exchange.deliver = exchange.deliver[:1] + exchange.deliver[-1:]
            await other.broadcast("room:1", "news", 2)
            assert (await b.receive())[4] == 2
            assert await b.ask("phoenix", "heartbeat") == ("ok", {})


# -- as a handler ------------------------------------------------------------------------------


async def test_it_is_a_handler_like_any_other() -> None:
    async def name(conn: tt.Conn) -> tt.Conn:
        return conn.with_state("ann")

    class Named(Channel):
        async def join(self, payload: Any) -> object:
            return self.ws.state(str)

    channels = Channels({"me": Named, "you:*": Named})
    assert channels.name == "Channels(me, you:*)"
    async with TestServer((name, channels)) as app, phone(app) as client:
        assert (await client.join("me"))["response"] == "ann"
        (await app.get("/?vsn=2.0.0")).assert_status(426)
