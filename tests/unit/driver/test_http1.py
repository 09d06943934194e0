"""A connection without a server around it."""

from __future__ import annotations

import gc
import socket
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

from tests.unit.driver._service import make_service
from tests.unit.transport._tls import client_context, server_context
from tests.wire import Peer, request, serving, settled
from trillium_trio.driver import Http1Connection, Service
from trillium_trio.transport import Listener, StreamTransport, TlsTransport, Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    import trillium_trio as tt

TCP = Listener(kind="tcp", address=("127.0.0.1", 80))
TLS = Listener(kind="tcp", address=("127.0.0.1", 443), is_tls=True)


def plain_pair() -> tuple[Peer, Transport]:
    client, server = memory_stream_pair()
    return Peer(client), StreamTransport(server, TCP, ("192.0.2.1", 5))


def tls_pair() -> tuple[Peer, Transport]:
    far, near = memory_stream_pair()
    client = trio.SSLStream(
        far, client_context("http/1.1"), server_hostname="localhost", https_compatible=True
    )
    below = StreamTransport(near, TLS, ("192.0.2.1", 5))
    return Peer(client), TlsTransport(below, server_context("http/1.1"))


async def facts(conn: tt.Conn) -> tt.Conn:
    return conn.ok(f"{conn.is_secure} {conn.peer_ip} {conn.listener} {conn.url}")


def start(nursery: trio.Nursery, service: Service, transport: Transport) -> Http1Connection:
    nursery.start_soon(service.watchdog.run)
    connection = Http1Connection(service, transport)
    nursery.start_soon(connection.run)
    return connection


async def test_what_a_conn_knows_of_its_connection(nursery: trio.Nursery) -> None:
    for pair, text in (
        (plain_pair(), "False 192.0.2.1 http://127.0.0.1:80 http://x/"),
        (tls_pair(), "True 192.0.2.1 https://127.0.0.1:443 https://x/"),
    ):
        client, transport = pair
        connection = start(nursery, make_service(facts), transport)
        assert repr(connection) == "<Http1Connection 192.0.2.1:5 idle>"
        assert connection.label == "idle"
        assert (await client.get()).body.decode() == text
        await client.stream.aclose()


async def test_it_comes_and_goes(nursery: trio.Nursery) -> None:
    idle: list[str] = []
    service = make_service("hello", idle=idle)
    pairs = [plain_pair() for _ in range(2)]
    for _, transport in pairs:
        start(nursery, service, transport)
    await settled()
    assert repr(service) == "<Service _Answer, 2 connections>"
    for client, _ in pairs:
        assert idle == []
        await client.stream.aclose()
        await settled()
    assert (service.connections, idle) == (set(), ["idle"])


@pytest.mark.parametrize(
    "make", [KeyboardInterrupt, lambda: BaseExceptionGroup("", [SystemExit(3)])]
)
async def test_an_exit_is_handed_on(
    make: Callable[[], BaseException], nursery: trio.Nursery
) -> None:
    exits: list[BaseException] = []

    async def leave(conn: tt.Conn) -> tt.Conn:
        raise make()

    client, transport = plain_pair()
    start(nursery, make_service(leave, exits=exits), transport)
    await client.send(request())
    assert await client.ends()
    [found] = exits
    assert isinstance(found, KeyboardInterrupt | SystemExit)


@pytest.mark.parametrize("when", ["before it runs", "in the handshake", "when idle"])
async def test_a_notice_does_not_break_tls(
    when: str, autojump_clock: object, nursery: trio.Nursery
) -> None:
    service = make_service("hello")
    client, transport = tls_pair()
    connection = start(nursery, service, transport)
    assert isinstance(client.stream, trio.SSLStream)
    if when == "in the handshake":
        await settled()
        assert connection.state.value == "in the handshake"
    if when == "when idle":
        await client.stream.do_handshake()
        await settled()
    service.swansong.shut_down()
    service.begin_drain(trio.current_time())
    service.notify()
    response = await client.get()
    assert (response.body, response.closes) == (b"hello", True)


@pytest.mark.parametrize("how", ["silent", "nonsense", "cut"])
async def test_a_handshake_that_fails_only_closes(
    how: str, autojump_clock: object, nursery: trio.Nursery
) -> None:
    service = make_service("hello", handshake_timeout=4)
    client, transport = tls_pair()
    assert isinstance(client.stream, trio.SSLStream)
    far = client.stream.transport_stream
    connection = start(nursery, service, transport)
    begin = trio.current_time()
    if how == "nonsense":
        await far.send_all(b"SSH-2.0-OpenSSH_9.6\r\n")
    await settled()
    if how == "cut":
        connection.cut("enough", linger=1)
    got = await Peer(far).rest()
    # Nothing of HTTP.
    assert b"HTTP" not in got
    await far.aclose()
    assert trio.current_time() - begin <= 4
    await settled()
    assert service.connections == set()


async def test_a_polite_close_over_tls(autojump_clock: object, nursery: trio.Nursery) -> None:
    client, transport = tls_pair()
    start(nursery, make_service("hello"), transport)
    await client.send(request("/", "Connection: close"))
    assert (await client.response()).closes
    assert await client.ends()


@pytest.mark.parametrize("what", ["the 503", "a refusal"])
async def test_who_has_left_gets_no_last_words(
    what: str, autojump_clock: object, nursery: trio.Nursery
) -> None:
    seen: list[str] = []

    async def after(conn: tt.Conn) -> None:
        seen.append("after")

    async def handler(conn: tt.Conn) -> tt.Conn:
        conn.after_send(after)
        await trio.sleep_forever()
        return conn

    service = make_service(handler)
    client, transport = plain_pair()
    connection = start(nursery, service, transport)
    await client.send(request() if what == "the 503" else b"NONSENSE\r\n\r\n")
    if what == "the 503":
        await settled()
    await client.stream.aclose()
    connection.cut("enough", linger=1)
    connection.cut("twice is once", linger=1)
    await settled()
    assert service.connections == set()
    assert seen == (["after"] if what == "the 503" else [])
    assert service.swansong.guard_count == 0


async def test_a_cut_that_is_not_taken_lasts_two_seconds(
    autojump_clock: object, nursery: trio.Nursery
) -> None:
    seen: list[float] = []

    async def after(conn: tt.Conn) -> None:
        try:
            await trio.sleep_forever()
        finally:
            seen.append(trio.current_time() - begin)

    async def handler(conn: tt.Conn) -> tt.Conn:
        conn.after_send(after)
        await trio.sleep_forever()
        return conn

    far, near = lockstep_stream_pair()
    service = make_service(handler)
    connection = start(nursery, service, StreamTransport(near, TCP))
    await far.send_all(request())
    await settled()
    begin = trio.current_time()
    connection.cut("enough", linger=1)
    await trio.sleep(5)
    assert seen == [2]
    assert service.connections == set()


async def test_the_wake_of_a_timeout_does_not_outlive_it(
    autojump_clock: object, nursery: trio.Nursery
) -> None:
    """The watchdog's wake and the cut in one turn: the 503 is still sent."""
    client, transport = plain_pair()
    connection = start(nursery, make_service("x"), transport)
    await client.send(b"G")
    await settled()
    connection.wire.expire()
    connection.cut("enough", linger=1)
    assert (await client.response()).status == 503


async def test_a_label_and_a_repr_while_it_handles(nursery: trio.Nursery) -> None:
    seen: list[str] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        for each in (connection.label, connection.exchange, connection.wire):
            seen.append(str(each))
        return conn

    client, transport = plain_pair()
    connection = start(nursery, make_service(handler), transport)
    await client.get("/it")
    assert seen[:2] == ["GET /it", "<Http1Exchange GET /it in the handler>"]
    assert seen[2].startswith("<Wire <StreamTransport")


@pytest.mark.parametrize("option", ["keep-alive", "close"])
async def test_a_closed_connection_is_freed_without_the_collector(
    nursery: trio.Nursery, option: str
) -> None:
    client, transport = plain_pair()
    start(nursery, make_service(facts), transport)
    del transport
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: %b\r\n\r\n" % option.encode())
        assert (await client.response()).status == 200
        await client.stream.aclose()
        await settled()
        gc.collect()
        left = [each for each in gc.garbage if isinstance(each, Http1Connection)]
    finally:
        gc.set_debug(0)
        gc.enable()
        gc.garbage.clear()
    assert left == []


async def test_background_work_is_the_server_s(autojump_clock: object) -> None:
    done: list[int] = []

    async def work(n: int) -> None:
        await trio.sleep(5)
        done.append(n)

    async def handler(conn: tt.Conn) -> tt.Conn:
        conn.start_soon(work, 7)
        await trio.sleep(1)
        # The client has gone by now.
        conn.start_soon(work, 8)
        return conn.ok("x")

    async with serving(handler) as app:
        client = app.connect()
        await client.send(request())
        await settled()
        await client.stream.aclose()
        await trio.sleep(1)
        app.handle.shut_down()
        assert (await app.handle).is_clean
    assert done == [7, 8]


async def test_a_real_socket_in_a_pair(nursery: trio.Nursery) -> None:
    near, far = socket.socketpair()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(far))
    transport = StreamTransport(trio.SocketStream(trio.socket.from_stdlib_socket(near)), TCP)
    start(nursery, make_service("hello"), transport)
    client = Peer(stream)
    assert (await client.get()).body == b"hello"
    await stream.aclose()
    await settled()
