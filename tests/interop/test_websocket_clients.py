"""Our WebSockets and other people's clients, over real sockets: `websockets` and wsproto."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e._net import Net, serving
from tests.interop._websocket_clients import CLIENTS, Client, Closed
from trillium_trio.exceptions import BadRequest
from trillium_trio.handlers import WebSocket, WebSocketConn

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

LARGE = "h\xe9 " * 100_000

Offer = dict[str, int | bool] | None


@pytest.fixture(params=CLIENTS)
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def open_(
    library: str,
    net: Net,
    *,
    tls: bool = False,
    deflate: Offer = None,
    speaks: tuple[str, ...] = (),
) -> AbstractAsyncContextManager[Client]:
    return CLIENTS[library](net.handle.port, tls=tls, deflate=deflate, subprotocols=list(speaks))


async def farewell(ws: WebSocketConn) -> None:
    async for message in ws:
        await ws.send(message)
    await ws.send("bye")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("deflate", [None, {}])
async def test_ws_5_a_client_sees_echo_and_goodbye(
    library: str, *, tls: bool, deflate: Offer
) -> None:
    handler = WebSocket(farewell, compression=deflate is not None)
    async with (
        serving(handler, tls=tls) as net,
        open_(library, net, tls=tls, deflate=deflate) as client,
    ):
        for message in ("hello", b"\x00\xff", "", LARGE, LARGE.encode()):
            await client.send(message)
            assert await client.receive() == message
        await client.send("in ", "three ", "fragments")
        assert await client.receive() == "in three fragments"
        await client.ping(b"?")
        completion = net.handle.shut_down()
        assert await client.receive() == "bye"
        with pytest.raises(Closed) as caught:
            await client.receive()
        assert caught.value.code == 1001
        assert (await completion).is_clean


@pytest.mark.parametrize(
    "deflate",
    [
        {"client_no_context_takeover": True},
        {"server_no_context_takeover": True},
        {"client_no_context_takeover": True, "server_no_context_takeover": True},
        {"server_max_window_bits": 9},
        {"client_max_window_bits": 9},
        {"client_max_window_bits": 15, "server_max_window_bits": 15},
    ],
    ids=str,
)
async def test_ws_15_a_client_may_offer_any_compression(library: str, deflate: Offer) -> None:
    async with (
        serving(WebSocket(farewell, compression=True)) as net,
        open_(library, net, deflate=deflate) as client,
    ):
        # The second is made of what the first has left in the window.
        for _ in range(2):
            await client.send(LARGE)
            assert await client.receive() == LARGE


async def test_ws_3_a_client_learns_the_subprotocol(library: str) -> None:
    async with (
        serving(WebSocket(farewell, subprotocols=["chat", "soap"])) as net,
        open_(library, net, speaks=("ftp", "soap", "chat")) as client,
    ):
        assert client.subprotocol == "soap"


async def _return(ws: WebSocketConn) -> None:
    await ws.receive()


async def _close(ws: WebSocketConn) -> None:
    await ws.receive()
    await ws.close(4000, "enough")


async def _blame(ws: WebSocketConn) -> None:
    await ws.receive()
    raise BadRequest("no")


async def _fail(ws: WebSocketConn) -> None:
    await ws.receive()
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("function", "code", "reason"),
    [(_return, 1000, ""), (_close, 4000, "enough"), (_blame, 1008, ""), (_fail, 1011, "")],
)
async def test_ws_7_a_client_sees_why_the_server_closes(
    library: str, function: object, code: int, reason: str
) -> None:
    async with serving(WebSocket(function)) as net, open_(library, net) as client:  # type: ignore[arg-type]  # each is a function of a WebSocketConn
        await client.send("now")
        with pytest.raises(Closed) as caught:
            await client.receive()
    assert (caught.value.code, caught.value.reason) == (code, reason)


async def test_ws_9_a_client_sees_that_its_message_is_too_long(library: str) -> None:
    async with (
        serving(WebSocket(farewell, max_message_bytes=1000)) as net,
        open_(library, net) as client,
    ):
        await client.send("x" * 1000)
        assert await client.receive() == "x" * 1000
        await client.send("x" * 1001)
        with pytest.raises(Closed) as caught:
            await client.receive()
    assert caught.value.code == 1009


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "leaving"), (4321, "h\xe9 later")])
async def test_ws_14_the_server_sees_why_a_client_closes(
    library: str, code: int, reason: str
) -> None:
    async def keep(ws: WebSocketConn) -> None:
        async for _ in ws:
            pass
        seen.append((ws.close_code, ws.close_reason))

    seen: list[tuple[int | None, str]] = []
    async with serving(WebSocket(keep)) as net, open_(library, net) as client:
        answered, _ = await client.close(code, reason)
    assert answered == code
    assert seen == [(code, reason)]
