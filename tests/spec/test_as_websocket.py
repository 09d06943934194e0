"""The clauses of docs/spec/asgi.md about WebSockets."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.spec._asgi import answering
from tests.spec._websockets import CLOSE, HANDSHAKE, TEXT, close, frame, open_raw
from tests.wire import settled
from trillium_trio.asgi import Asgi, SendError
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from trillium_trio.asgi import Message, Receive, Scope, Send

ACCEPT: Message = {"type": "websocket.accept"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def test_as_13_the_scope_and_the_accept(autojump_clock: object) -> None:
    scopes = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        assert (await receive()) == {"type": "websocket.connect"}
        await send({**ACCEPT, "subprotocol": "two", "headers": [(b"X-Mine", b"1")]})
        assert (await receive())["text"] == "hello"

    handler = Asgi(answering(app), root_path="/r")
    async with (
        TestServer(handler) as server,
        server.websocket("/a%20b?q", subprotocols=["one", "two"]) as ws,
    ):
        assert ws.response is not None
        assert ws.response.headers["x-mine"] == "1"
        assert ws.response.headers["sec-websocket-protocol"] == "two"
        await ws.send("hello")
        assert [each async for each in ws] == []
        assert ws.close_code == 1000
    (scope,) = scopes
    assert (scope["type"], scope["scheme"], scope["path"]) == ("websocket", "ws", "/r/a b")
    assert scope["subprotocols"] == ["one", "two"]
    assert "method" not in scope
    assert scope["extensions"].keys() == {"websocket.http.response", "trillium.shutdown"}


async def test_as_13_text_and_bytes(autojump_clock: object) -> None:
    async with TestServer(Asgi(answering(echo))) as server, server.websocket() as ws:
        for message in ("text", b"bytes", "", b""):
            await ws.send(message)
            assert await ws.receive() == message


@pytest.mark.parametrize(
    "extra",
    [{"subprotocol": "three"}, {"headers": [(b"Sec-WebSocket-Protocol", b"one")]}],
    ids=["not offered", "in the headers"],
)
async def test_as_13_a_wrong_subprotocol_is_an_error(
    extra: Message, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**ACCEPT, **extra})

    async with TestServer(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(HANDSHAKE)
        (await peer.receive_response()).assert_status(500)
    assert sum(each.levelno >= logging.ERROR for each in caplog.records) == 1


@pytest.mark.parametrize("is_early", [False, True])
async def test_as_13_another_task_may_wait_for_the_first_message(
    is_early: bool, autojump_clock: object
) -> None:
    """As Quart receives in one task, and accepts in another."""
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

        async def listen() -> None:
            got.append(await receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            nursery.start_soon(listen)
            await trio.sleep(5)
            assert got == []
            await send(ACCEPT)

    async with TestServer(Asgi(answering(app))) as server:
        frames = [frame(TEXT, b"first"), frame(TEXT, b"second")]
        ws = await open_raw(server, *frames[:is_early])
        await ws.send(*frames[is_early:])
        await settled()
    assert sorted(each["text"] for each in got) == ["first", "second"]


@pytest.mark.parametrize("kind", ["websocket.close", "leave", "websocket.accept"])
async def test_as_13_what_ends_a_wait_for_the_first_message(
    kind: str, autojump_clock: object
) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

        async def listen() -> None:
            got.append(await receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.sleep(5)
            if kind == "websocket.accept":
                with pytest.raises(ValueError, match="has not offered"):
                    await send({"type": kind, "subprotocol": "none"})
                assert got == []
                await send({"type": "websocket.close"})
            elif kind == "websocket.close":
                await send({"type": kind})

    async with TestServer(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(HANDSHAKE)
        if kind == "leave":
            await peer.stream.aclose()
        else:
            (await peer.receive_response()).assert_status(403)
        await trio.sleep(10)
    assert got == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


async def test_as_13_close_before_accept_is_a_403(autojump_clock: object) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 4000})
        got.extend([await receive(), await receive(), await receive()])
        with pytest.raises(OSError, match="refused"):
            await send(ACCEPT)

    async with TestServer(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(HANDSHAKE)
        (await peer.receive_response()).assert_status(403)
    assert [each["type"] for each in got] == ["websocket.connect", *["websocket.disconnect"] * 2]
    assert got[1]["code"] == 1006


async def test_as_13_a_request_without_a_valid_handshake_is_not_a_websocket(
    autojump_clock: object,
) -> None:
    async with TestServer(Asgi(answering(echo))) as server:
        peer = server.connect()
        await peer.send(HANDSHAKE.replace(b"Version: 13", b"Version: 12"))
        response = await peer.receive_response()
        response.assert_status(426).assert_header("sec-websocket-version", "13")


async def test_as_13_a_handshake_during_the_drain_is_refused(autojump_clock: object) -> None:
    config = tt.config().with_drain_delay(10)
    async with TestServer(Asgi(answering(echo)), config) as server:
        server.shut_down()
        peer = server.connect()
        await peer.send(HANDSHAKE)
        (await peer.receive_response()).assert_status(503)


@pytest.mark.parametrize("raises", [False, True])
async def test_as_13_the_end_before_accept_is_a_500(
    raises: bool, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if raises:
            raise ValueError("boom")

    async with TestServer(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(HANDSHAKE)
        (await peer.receive_response()).assert_status(500)
    assert sum(each.levelno >= logging.ERROR for each in caplog.records) == 1


async def test_as_13_limits_are_those_of_websocket(autojump_clock: object) -> None:
    app = Asgi(answering(echo), websocket={"max_message_bytes": 125})
    async with TestServer(app) as server:
        ws = await open_raw(server, frame(TEXT, b"x" * 126))
        assert (await ws.receive_close())[0] == 1009


def test_as_13_a_wrong_setting_is_named() -> None:
    with pytest.raises(tt.ConfigError, match="max_message_bytes"):
        Asgi(answering(echo), websocket={"max_message_bytes": 1})


async def test_as_10_a_handshake_may_get_any_response(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["extensions"]["websocket.http.response"] == {}
        await receive()
        headers = [(b"x-why", b"1")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"no, ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"never"})
        assert (await receive())["type"] == "websocket.disconnect"

    async with TestServer(Asgi(answering(app))) as server:
        peer = server.connect()
        for _ in range(2):
            await peer.send(HANDSHAKE)
            response = await peer.receive_response()
            response.assert_status(401).assert_header("x-why", "1").assert_body("no, never")


async def test_as_10_an_unfinished_refusal_is_cut(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 401})
        await send({"type": "websocket.http.response.body", "body": b"no", "more_body": True})

    async with TestServer(Asgi(answering(app))) as server:
        peer = server.connect()
        await peer.send(HANDSHAKE)
        with pytest.raises(ConnectionResetError):
            await peer.receive_response()
    assert sum(each.levelno >= logging.ERROR for each in caplog.records) == 1


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (close(1000), 1000, ""),
        (close(4321, "done"), 4321, "done"),
        (frame(CLOSE), 1005, ""),
        (None, 1006, ""),
    ],
)
async def test_as_14_disconnect_has_the_code_and_the_reason_of_the_peer(
    sent: bytes | None, code: int, reason: str, autojump_clock: object
) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        got.extend([await receive(), await receive()])
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.send", "text": "late"})

    async with TestServer(Asgi(answering(app))) as server:
        ws = await open_raw(server)
        if sent is None:
            await ws.peer.stream.aclose()
        else:
            await ws.send(sent)
        await settled()
    expected = {"type": "websocket.disconnect", "code": code, "reason": reason}
    assert got == [expected, expected]


async def test_as_14_the_own_close_is_a_disconnect_too(autojump_clock: object) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": 3456, "reason": "enough"})
        got.append(await receive())
        await send({"type": "websocket.close"})
        with pytest.raises(SendError):
            await send({"type": "websocket.send", "bytes": b"late"})

    async with TestServer(Asgi(answering(app))) as server, server.websocket() as ws:
        assert [each async for each in ws] == []
        assert (ws.close_code, ws.close_reason) == (3456, "enough")
    assert (got[0]["type"], got[0]["code"]) == ("websocket.disconnect", 3456)


async def test_as_14_the_stop_closes_and_is_a_disconnect(autojump_clock: object) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        got.append(await receive())
        await trio.sleep(3)  # it may take its time

    async with TestServer(Asgi(answering(app))) as server, server.websocket() as ws:
        await settled()
        server.shut_down()
        assert [each async for each in ws] == []
        assert ws.close_code == 1001
        assert (await server.handle).is_clean
    assert got == [{"type": "websocket.disconnect", "code": 1001, "reason": ""}]


async def test_as_14_at_the_stop_a_silent_peer_is_1001_as_well(autojump_clock: object) -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        got.append(await receive())

    config = tt.config().with_drain_timeout(30)
    async with TestServer(Asgi(answering(app)), config) as server:
        ws = await open_raw(server)
        await settled()
        server.shut_down()
        assert await ws.receive_close() == (1001, "")
        assert (await server.handle).is_clean
    assert got == [{"type": "websocket.disconnect", "code": 1001, "reason": ""}]


async def test_as_14_the_stop_ends_a_sender_at_its_next_send(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await trio.sleep(1)

    async with TestServer(Asgi(answering(app))) as server, server.websocket() as ws:
        assert await ws.receive() == "tick"
        server.shut_down()
        assert {each async for each in ws} <= {"tick"}
        assert ws.close_code == 1001
        assert (await server.handle).is_clean


async def test_as_14_with_a_grace_the_application_says_goodbye(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await scope["extensions"]["trillium.shutdown"].shutting_down()
        await send({"type": "websocket.send", "text": "goodbye"})
        await receive()

    handler = Asgi(answering(app), websocket={"stop_grace": 2})
    async with TestServer(handler) as server, server.websocket() as ws:
        await settled()
        server.shut_down()
        assert [each async for each in ws] == ["goodbye"]
        assert ws.close_code == 1001


async def test_as_14_an_exception_is_a_1011(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        raise ValueError("boom")

    async with TestServer(Asgi(answering(app))) as server, server.websocket() as ws:
        assert [each async for each in ws] == []
        assert ws.close_code == 1011
    assert sum(each.levelno >= logging.ERROR for each in caplog.records) == 1


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ({"text": None, "bytes": b""}, b""),
        ({"text": "", "bytes": None}, ""),
        ({"text": "x"}, "x"),
        ({"text": None, "bytes": None}, None),
        ({"text": "x", "bytes": b"x"}, None),
        ({}, None),
    ],
)
async def test_as_14_a_message_is_text_or_bytes(
    message: Message, sent: str | bytes | None, autojump_clock: object
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        if sent is None:
            with pytest.raises(ValueError, match="either text or bytes"):
                await send({"type": "websocket.send", **message})
        else:
            await send({"type": "websocket.send", **message})

    async with TestServer(Asgi(answering(app))) as server, server.websocket() as ws:
        assert [each async for each in ws] == ([] if sent is None else [sent])
        assert ws.close_code == 1000


async def test_as_14_at_the_deadline_the_application_is_cut(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await trio.sleep_forever()

    config = tt.config().with_drain_timeout(8)
    handler = Asgi(answering(app), websocket={"stop_grace": 100})
    async with TestServer(handler, config) as server, server.websocket() as ws:
        await settled()
        server.shut_down()
        assert [each async for each in ws] == []
        report = await server.handle
    [entry] = report.cancelled.entries
    assert entry.labels == ("GET /",)


async def test_as_14_messages_out_of_order(autojump_clock: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(tt.MisuseError):
            await send({"type": "websocket.send", "text": "early"})
        await send(ACCEPT)
        for kind in ("websocket.accept", "websocket.http.response.start", "websocket.unknown"):
            with pytest.raises(tt.MisuseError):
                await send({"type": kind, "status": 200})

    async with TestServer(Asgi(answering(app))) as server, server.websocket() as ws:
        assert [each async for each in ws] == []
        assert ws.close_code == 1000
